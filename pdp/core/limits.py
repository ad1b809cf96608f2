"""Behaviour as a signal: what is counted of decisions, how much of it is too much, and how long that is held. Pure.

Rules: a crossing raises the level at once; the level falls one step at a time, each after a time without a crossing.
What is too much is said by a limit, or by what the subject itself usually does.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Final, NamedTuple

from pdp.core.decision import Effect
from pdp.core.signals.rules import Identifier

_LEAST_CAPACITY: Final = 1000
_HEADROOM: Final = 4


class Level(enum.IntEnum):
    """A risk level, by the names of CAEP 1.0, section 3.8 (risk-level-change)."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2


@dataclass(frozen=True, slots=True)
class Hours:
    """When work is expected.

    Attributes:
        zone: by whose clock.
        days: days of the week, Monday is 0.
        start: minutes after midnight at which a day's hours begin.
        end: minutes after midnight at which they are over; before ``start``, they last past midnight.
    """

    zone: tzinfo
    days: frozenset[int]
    start: int
    end: int

    def outside(self, at: float) -> bool:
        """Say whether a time, in seconds since the epoch, is outside of them."""
        local = datetime.fromtimestamp(at, self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start <= self.end:
            return day not in self.days or not self.start <= minute < self.end
        if minute < self.end:
            return (day - 1) % 7 not in self.days
        return day not in self.days or minute < self.start


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing that is counted for each subject, over a sliding window.

    Attributes:
        name: unique among features.
        window: its length in seconds.
        distinct: whether different resources are counted, rather than decisions.
        effect: which decisions count.
        actions: for which actions; empty for all.
        resources: for which types of resource; empty for all.
        off_hours: whether only decisions outside of the hours count.
        limits: by level, the least count that crosses.
        usual: the level that a count far beyond the subject's own usual one raises; None to compare with limits only.
        least: the least count that can be beyond the usual one, so that two instead of none is no alarm.
    """

    name: str
    window: float
    distinct: bool
    effect: Effect
    actions: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    off_hours: bool = False
    limits: Mapping[Level, int] = field(default_factory=dict)
    usual: Level | None = None
    least: int = 1

    @property
    def capacity(self) -> int:
        """The most different resources that are told apart: well beyond every limit, and bounded."""
        return max(_LEAST_CAPACITY, _HEADROOM * self.ceiling)

    @property
    def ceiling(self) -> int:
        """The highest limit; 0 where there is none."""
        return max(self.limits.values(), default=0)


@dataclass(frozen=True, slots=True)
class Baseline:
    """How a subject's own usual behaviour is learned, and what is beyond it.

    Attributes:
        period: seconds; the highest count of each period in which the subject was active is one sample.
        periods: how many samples are kept, the latest.
        grace: how many there must be before anything can be beyond the usual.
        score: from 0 to below 1: how improbable a count must be, by the model.
        factor: how many times the mean it must be as well.
    """

    period: float = 86400.0
    periods: int = 30
    grace: int = 5
    score: float = 0.999
    factor: float = 3.0


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is told when a level changes, by SET push (RFC 8935).

    Attributes:
        name: ours for it.
        url: where to push.
        audience: the token's ``aud``.
        subject: how subjects are identified to it.
        authorization: the name of the secret that we bring as our Authorization header; empty for none.
    """

    name: str
    url: str
    audience: str
    subject: Identifier
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """All of limits.yaml.

    Attributes:
        attribute: the subject's attribute that a level sets; a whole number.
        values: its value at each level above LOW; at LOW nothing of ours is set.
        step: seconds without a crossing after which a level falls by one.
        features: what is counted.
        hours: when work is expected; None where no feature asks.
        baseline: what is usual.
        receivers: who is told.
    """

    attribute: str = ""
    values: Mapping[Level, int] = field(default_factory=dict)
    step: float = 1800.0
    features: tuple[Feature, ...] = ()
    hours: Hours | None = None
    baseline: Baseline = Baseline()
    receivers: tuple[Receiver, ...] = ()


NO_LIMITS: Final = Limits()


class Usual(NamedTuple):
    """What a subject usually does, and how a count compares.

    Attributes:
        mean: the mean of the samples.
        deviation: their standard deviation.
        samples: how many there are.
        score: how improbable the count is, from 0 to 1.
    """

    mean: float
    deviation: float
    samples: int
    score: float


class Crossing(NamedTuple):
    """A count that is too much.

    Attributes:
        feature: what was counted.
        level: what follows.
        value: the count.
        bound: what it reached.
        usual: set where the bound is the subject's own.
    """

    feature: Feature
    level: Level
    value: int
    bound: float
    usual: Usual | None = None

    def __str__(self) -> str:
        """Say which feature, and by how much, in words without personal data."""
        count = f"{self.feature.name}: {self.value} in {span(self.feature.window)}"
        if self.usual is None:
            return f"{count}, limit {self.bound:.0f}"
        mean, deviation, samples, score = self.usual
        usually = f"usually {mean:.1f} (deviation {deviation:.1f}, {samples} samples)"
        return f"{count}, {usually}, bound {self.bound:.1f}, score {score:.4f}"


def crossings(limits: Limits, values: Mapping[str, int], usual: Mapping[str, Usual]) -> tuple[Crossing, ...]:
    """Find every count that is too much, the gravest first.

    Args:
        limits: what is too much.
        values: counts by feature.
        usual: what the subject usually does, by feature; a feature without enough samples is left out.
    """
    found = (crossing for feature in limits.features for crossing in _crossings(feature, limits, values, usual))
    return tuple(sorted(found, key=lambda it: (-it.level, it.usual is not None)))


def _crossings(
    feature: Feature, limits: Limits, values: Mapping[str, int], usual: Mapping[str, Usual]
) -> Iterator[Crossing]:
    value = values.get(feature.name, 0)
    for level, limit in sorted(feature.limits.items(), reverse=True):
        if value >= limit:
            yield Crossing(feature, level, value, limit)
            break
    known = usual.get(feature.name)
    if feature.usual is None or known is None:
        return
    bound = max(limits.baseline.factor * known.mean, feature.least)
    if value >= bound and known.score >= limits.baseline.score:
        yield Crossing(feature, feature.usual, value, bound, known)


def fallen(level: Level, since: float, now: float, step: float) -> Level:
    """Give what is left of a level that was last called for at ``since``: one less for every whole step."""
    steps = int(max(now - since, 0.0) // step)
    return Level(max(level - steps, 0))


def span(seconds: float) -> str:
    """Write a length of time in the greatest unit that needs no fraction."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}" if (unit, seconds) != ("d", length) else "24h"
    return f"{seconds:.0f}s"
