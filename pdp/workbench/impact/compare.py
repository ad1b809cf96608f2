"""Asking two revisions the same questions of the same records."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, NamedTuple

from pdp.core.decide import judge
from pdp.core.decision import Decision
from pdp.core.policy import PolicySnapshot
from pdp.core.reasons import Reason
from pdp.core.request import Request
from pdp.workbench.impact.changes import Example, Group, Tally, answer_words, difference
from pdp.workbench.impact.questions import Question
from pdp.workbench.testing.world import Stored, World

_UNKNOWN: Final = frozenset(
    {Reason.SUBJECT_UNKNOWN, Reason.DEVICE_UNKNOWN, Reason.SESSION_UNKNOWN, Reason.RESOURCE_UNKNOWN}
)
# Answers kept, so that a question asked all day long is asked once: bounds their memory.
_KNOWN: Final = 100_000


class _Gap(enum.Enum):
    """Why nothing could be compared."""

    UNREADABLE = enum.auto()
    UNKNOWN = enum.auto()


class _Found(NamedTuple):
    """What asking came to."""

    gap: _Gap | None = None
    disagrees: bool = False
    group: Group | None = None
    example: Example | None = None


class Comparison:
    """Two revisions, and what is known."""

    def __init__(self, old: PolicySnapshot, new: PolicySnapshot, stored: Stored, now: float) -> None:
        """Take note of both.

        Args:
            old: the revision before.
            new: the revision after.
            stored: records, as the new revision's schema has them; the old one reads of them what it declares.
            now: the time at which everything is asked, in seconds since the epoch.
        """
        self._sides = tuple((policy, World(policy.schema, now, stored)) for policy in (old, new))
        self._now = now
        self._known: dict[Question, _Found] = {}
        self._every = frozenset(it.type for policy in (old, new) for it in policy.obligations.values())

    def add(self, question: Question, count: int, tally: Tally) -> None:
        """Ask both revisions a question that was recorded some number of times, and count how they differ."""
        tally.asked += count
        found = self._known.get(question)
        if found is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            found = self._known[question] = self._ask(question)
        tally.unreadable += count * (found.gap is _Gap.UNREADABLE)
        tally.unknown += count * (found.gap is _Gap.UNKNOWN)
        tally.disagreeing += count * found.disagrees
        if found.group and found.example:
            tally.add(found.group, found.example, count)

    def _ask(self, question: Question) -> _Found:
        request = question.request(self._every)
        if request is None:
            return _Found(_Gap.UNREADABLE)
        # A step-up changes nothing about who may do what, so none is looked for.
        old, new = (judge(request, world.entities(request), policy, self._now) for policy, world in self._sides)
        if new.causes[0].code in _UNKNOWN and old.causes[0].code in _UNKNOWN:
            return _Found(_Gap.UNKNOWN)
        disagrees = bool(question.outcome) and question.outcome != old.effect.value
        change = difference(old, new)
        if change is None:
            return _Found(disagrees=disagrees)
        group = Group(change, self._roles(request), request.resource.type, request.action)
        return _Found(None, disagrees, group, example_of(request, old, new))

    def _roles(self, request: Request) -> str:
        subject = self._sides[1][1].entities(request).subject
        values: Mapping[str, object] = subject.view.__dict__ if subject else {}
        roles = values.get("roles", ())
        return "+".join(roles) if isinstance(roles, tuple) and roles else "no role"


def example_of(request: Request, old: Decision, new: Decision) -> Example:
    """Give a difference as an example of its group."""
    purpose = f" for {request.context.purpose}" if request.context.purpose else ""
    parts = (("session", request.session), ("device", request.device))
    where = "".join(f", {name} {value}" for name, value in parts if value)
    asked = f"{request.subject} {request.action} {request.resource}{purpose}{where}"
    return Example(asked, answer_words(old), answer_words(new))
