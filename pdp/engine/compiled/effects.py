"""Casbin's five effects over the codes of matched rules (``casbin/effect/default_effectors.py``)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

OTHER: Final = 0
ALLOW: Final = 1
DENY: Final = 2
_CODES: Final = {"allow": ALLOW, "deny": DENY}


def code_of(text: str) -> int:
    """The code of a rule's ``eft`` field: anything but lower-case allow and deny decides nothing."""
    return _CODES.get(text, OTHER)


@dataclass(frozen=True, slots=True)
class Effect:
    """How matched rules combine.

    Attributes:
        stops: the codes after which no further rule is looked at.
        needs_allow: whether an allow must have matched.
        deny_trumps: whether one deny outweighs every allow.
        ordered: whether the order of rules matters.
    """

    stops: int
    needs_allow: bool = True
    deny_trumps: bool = True
    ordered: bool = False

    def allows(self, seen: int) -> bool:
        """The answer, from the codes of the rules looked at, or-ed together."""
        if seen & DENY and self.deny_trumps:
            return False
        return bool(seen & ALLOW) or not self.needs_allow

    def replay(self, matched: Iterable[tuple[int, int]]) -> tuple[int, int]:
        """The explaining rule, -1 for none, and the codes up to it, from (row index, code) in row order."""
        seen, last = 0, -1
        for index, code in matched:
            seen |= code
            last = index
            if code & self.stops:
                break
        return last, seen


EFFECTS: Final = {
    "some(where (p_eft == allow))": Effect(ALLOW, deny_trumps=False),
    "!some(where (p_eft == deny))": Effect(DENY, needs_allow=False),
    "some(where (p_eft == allow)) && !some(where (p_eft == deny))": Effect(DENY),
    "priority(p_eft) || deny": Effect(ALLOW | DENY, ordered=True),
    "subjectPriority(p_eft) || deny": Effect(ALLOW | DENY, ordered=True),
}
