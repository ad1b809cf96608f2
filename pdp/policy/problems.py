"""Collecting everything that is wrong with a policy folder, so that its author mends it in one go."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from pdp.core.errors import PolicyInvalidError, PolicyProblem


class Problems:
    """What was found wrong so far, in no particular order."""

    def __init__(self) -> None:
        self._found: dict[PolicyProblem, None] = {}

    def add(self, problem: PolicyProblem) -> None:
        """Take note of a problem; the same one twice counts once."""
        self._found[problem] = None

    def __bool__(self) -> bool:
        return bool(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def in_order(self) -> tuple[PolicyProblem, ...]:
        """Give the problems by file, line and column."""
        return tuple(sorted(self._found, key=lambda it: (it.file, it.line, it.column)))

    def raise_if_any(self) -> None:
        """Refuse the policy if anything is wrong with it.

        Raises:
            PolicyInvalidError: with every problem found.
        """
        if self:
            raise PolicyInvalidError(self.in_order())


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Give a hint for a name that is none of the options."""
    known = sorted(map(str, options))
    if close := get_close_matches(name, known, 1):
        return f"did you mean {close[0]!r}?"
    return ("one of " + ", ".join(known)) if known else ""
