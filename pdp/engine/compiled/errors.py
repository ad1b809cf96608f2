"""What the engine raises. No message holds an attribute's value: reasons may be logged, attributes may not."""

from __future__ import annotations

from dataclasses import dataclass


class NotCompilableError(Exception):
    """An expression that cannot be compiled soundly. The message is the reason, for the compilation report."""


class KindMismatchError(TypeError):
    """Strict mode: an operand is of a kind its operator does not take, such as text where a number is due."""


class UnsureError(Exception):
    """Exact mode: this request leaves what was compiled; the reference enforcer has to answer it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Why strict mode refuses a model or policy.

    Attributes:
        section: the policy type (``p``, ``g2``), or ``model``.
        row: the row's position among the rows of that type in load order, from 0; -1 where the whole is meant.
        reason: a text for the person who wrote the row.
    """

    section: str
    row: int
    reason: str

    def __str__(self) -> str:
        where = self.section if self.row < 0 else f"{self.section} row {self.row}"
        return f"{where}: {self.reason}"


class PolicyError(ValueError):
    """Strict mode refuses to load: the model or the policy has at least one hole.

    Attributes:
        findings: every hole found, in order of discovery, at least one.
    """

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        super().__init__(f"{findings[0]}{more}")
        self.findings = findings


class ConditionError(Exception):
    """Strict mode: a rule that applies to the request could not be evaluated. The caller must deny.

    Attributes:
        failures: (row index, exception class) of each rule that failed, in row order. The index is -1 when
            the request itself failed, before any rule was reached: a key attribute is missing or not text.
    """

    def __init__(self, failures: tuple[tuple[int, type[Exception]], ...]) -> None:
        super().__init__(", ".join(f"rule {index}: {kind.__name__}" for index, kind in failures))
        self.failures = failures

    @property
    def rows(self) -> tuple[int, ...]:
        """The indexes of the rules that failed; empty when the request itself did."""
        return tuple(index for index, _ in self.failures if index >= 0)
