"""A compiled Casbin: the same model and policy files, the same answers, from an index.

Stands alone: it imports nothing of this project outside of this package.
"""

from pdp.engine.compiled.enforcer import CompiledEnforcer, MatchedRule, Mode
from pdp.engine.compiled.errors import ConditionError, Finding, KindMismatchError, PolicyError
from pdp.engine.compiled.loading import RowsAdapter
from pdp.engine.compiled.pacing import GiveWay
from pdp.engine.compiled.report import CompilationReport
from pdp.engine.compiled.strict_engine import Verdict

__all__ = [
    "CompilationReport",
    "CompiledEnforcer",
    "ConditionError",
    "Finding",
    "GiveWay",
    "KindMismatchError",
    "MatchedRule",
    "Mode",
    "PolicyError",
    "RowsAdapter",
    "Verdict",
]
