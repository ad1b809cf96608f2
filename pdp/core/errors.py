"""Errors by what a caller can do about them. None of them ever stands for a decision."""

from __future__ import annotations

from dataclasses import dataclass


class PdpError(Exception):
    """The base of every error this project raises on purpose."""


class InvalidRequestError(PdpError):
    """A request that names nothing decidable.

    Attributes:
        field: the path of the offending field in the request message, such as ``subject.id``.
        problem: what is wrong with it, without repeating its value.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class AttributesUnavailableError(PdpError):
    """The attribute source cannot vouch for what it holds: unreachable, too slow, or its lease has lapsed."""


class AuditUnavailableError(PdpError):
    """A decision could not be put on record; it must not be answered as an allow."""


@dataclass(frozen=True, slots=True)
class PolicyProblem:
    """One thing wrong with the policy files.

    Attributes:
        file: path relative to the policy folder.
        line: 1-based; 0 where the file as a whole is meant.
        column: 1-based, in characters; 0 where the line as a whole is meant.
        problem: what is wrong.
        help: how to mend it; empty where that is plain.
    """

    file: str
    line: int
    column: int
    problem: str
    help: str = ""

    def __str__(self) -> str:
        """Give the usual ``file:line:column: problem`` form."""
        where = self.file + (f":{self.line}" if self.line else "") + (f":{self.column}" if self.column else "")
        return f"{where}: {self.problem}" + (f" ({self.help})" if self.help else "")


class PolicyInvalidError(PdpError):
    """A set of policy files that is refused as a whole; ``problems`` has at least one entry."""

    def __init__(self, problems: tuple[PolicyProblem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
