"""What was compiled, and what was left to the reference enforcer, and why."""

from __future__ import annotations

from dataclasses import dataclass

from pdp.engine.compiled.errors import Finding


@dataclass(frozen=True, slots=True)
class CompilationReport:
    """How a model and its policy are evaluated.

    Attributes:
        mode: ``exact`` or ``strict``.
        rules: the number of rules.
        indexed: the matcher's conjuncts that the index answers, as text.
        distinct_conditions: the number of distinct conditions compiled for these rules.
        reference: why every request is answered by the reference enforcer; empty if it is not.
        interpreted: the rules whose test is run by simpleeval when the index leads to them, and why.
    """

    mode: str
    rules: int
    indexed: tuple[str, ...] = ()
    distinct_conditions: int = 0
    reference: str = ""
    interpreted: tuple[Finding, ...] = ()

    def __str__(self) -> str:
        if self.reference:
            return f"{self.mode}: {self.rules} rules on the reference enforcer: {self.reference}"
        keys = " && ".join(self.indexed) or "nothing"
        text = f"{self.mode}: {self.rules} rules, {self.distinct_conditions} conditions, indexed by {keys}"
        return "\n".join([text, *(f"  interpreted: {finding}" for finding in self.interpreted)])
