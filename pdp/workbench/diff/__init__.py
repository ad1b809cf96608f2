"""What a change of a policy folder says, in words: rules, links, obligations and the schema."""

from pdp.workbench.diff.revisions import other_changes
from pdp.workbench.diff.rules import RuleChange, rule_changes

__all__ = ["RuleChange", "other_changes", "rule_changes"]
