"""A rule as Casbin has it: one row of texts, in the order of the model's policy definition."""

from __future__ import annotations

import re
from typing import Final

from pdp.core.policy import Rule

_LINE_SPACE: Final = re.compile(r"[\t\n\r\f\v]")


def row_of(rule: Rule) -> list[str]:
    """Give the row of a rule, without the policy type."""
    names = [rule.id, rule.role, rule.action, rule.resource]
    return [*names, _condition(rule.text), rule.effect.value, ";".join(rule.obligations), rule.basis]


def _condition(text: str) -> str:
    """Make a checked condition readable to Casbin, which replaces && by the letters ``and`` with nothing around.

    No text constant can hold what is replaced here (``core.condition.parse``).
    """
    return _LINE_SPACE.sub(" ", text).replace("&&", " && ").replace("||", " || ")
