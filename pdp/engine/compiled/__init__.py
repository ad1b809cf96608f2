"""A compiled Casbin: the same model and policy files, the same answers, from an index.

Stands alone: it imports nothing of this project outside of this package.
"""

from pdp.engine.compiled.enforcer import CompiledEnforcer, MatchedRule, Mode, Verdict, no_pause
from pdp.engine.compiled.errors import ConditionError, Finding, KindMismatchError, PolicyError
from pdp.engine.compiled.loading import RowsAdapter
from pdp.engine.compiled.report import CompilationReport

__all__ = [
    "CompilationReport",
    "CompiledEnforcer",
    "ConditionError",
    "Finding",
    "KindMismatchError",
    "MatchedRule",
    "Mode",
    "PolicyError",
    "RowsAdapter",
    "Verdict",
    "no_pause",
]
