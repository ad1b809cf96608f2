"""Differences between two revisions' answers, counted by whom and what they are about."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pdp.core.decision import Decision, Obligation

_EXAMPLES = 3


class Change(enum.StrEnum):
    """How two answers differ."""

    ALLOWED = "newly allowed"
    DENIED = "newly denied"
    OBLIGATIONS = "obligations changed"


class Group(NamedTuple):
    """What differences are counted by; ``roles`` are those the subject holds itself, parted by ``+``."""

    change: Change
    roles: str
    resource: str
    action: str


class Example(NamedTuple):
    """One difference: the question in words, and the answers before and after."""

    asked: str
    before: str
    after: str


@dataclass(slots=True)
class Tally:
    """Differences found.

    Attributes:
        asked: how many questions were looked at, repetitions included.
        unreadable: how many records name somebody or something by a pseudonym, or not at all.
        unknown: how many questions name what there is no record of, so that no rule was asked.
        disagreeing: how many the old revision answers otherwise than was recorded.
        counts: how often each difference was found.
        examples: some of each.
    """

    asked: int = 0
    unreadable: int = 0
    unknown: int = 0
    disagreeing: int = 0
    counts: Counter[Group] = field(default_factory=Counter)
    examples: dict[Group, list[Example]] = field(default_factory=dict)

    def wants(self, group: Group) -> bool:
        """Say whether there is room for another example."""
        return len(self.examples.get(group, ())) < _EXAMPLES

    def add(self, group: Group, example: Example | None, count: int = 1) -> None:
        """Count a difference."""
        self.counts[group] += count
        if example and self.wants(group) and example not in self.examples.get(group, ()):
            self.examples.setdefault(group, []).append(example)

    def merge(self, other: Tally) -> None:
        """Count what another tally did."""
        for name in ("asked", "unreadable", "unknown", "disagreeing"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for group, count in other.counts.items():
            self.add(group, other.examples[group][0], count)
            for example in other.examples[group][1:]:
                self.add(group, example, 0)

    def total(self, change: Change) -> int:
        """Give how often answers differ in one way."""
        return sum(count for group, count in self.counts.items() if group.change is change)

    def newly_allowed(self, resources: Iterable[str]) -> Mapping[Group, int]:
        """Give what is newly allowed on some resource types."""
        wanted = frozenset(resources)
        return {
            it: count for it, count in self.counts.items() if it.change is Change.ALLOWED and it.resource in wanted
        }


def difference(old: Decision, new: Decision) -> Change | None:
    """Say how two answers differ; None where an enforcement point would do the same."""
    if old.obligations == new.obligations and old.effect is new.effect:
        return None
    if old.effect is not new.effect:
        return Change.ALLOWED if new.allowed else Change.DENIED
    before, after = (frozenset(map(obligation_words, it.obligations)) for it in (old, new))
    return None if before == after else Change.OBLIGATIONS


def obligation_words(obligation: Obligation) -> str:
    """Give an obligation with all that it says, so that equal ones compare equal whatever their order."""
    properties = ", ".join(f"{name}={value}" for name, value in sorted(obligation.properties.items()))
    return f"{obligation.id}: {obligation.type} {'must' if obligation.mandatory else 'should'} {properties}"


def answer_words(decision: Decision) -> str:
    """Give an answer in words."""
    owed = f" with {', '.join(it.id for it in decision.obligations)}" if decision.obligations else ""
    return f"{decision.effect.value} {', '.join(map(str, decision.causes))}{owed}"
