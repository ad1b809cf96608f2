"""Casbin engines. The only package that imports casbin."""

from pdp.engine.compiled import (
    CompilationReport,
    CompiledEnforcer,
    ConditionError,
    Finding,
    GiveWay,
    KindMismatchError,
    MatchedRule,
    Mode,
    PolicyError,
    RowsAdapter,
    Verdict,
)

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
