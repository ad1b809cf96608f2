"""Counts of behaviour in Redis, shared by all workers: ``RiskStore`` of the ports.

Bounded for each subject: counts have at most 25 buckets a feature, resources are told apart up to a feature's
capacity (the oldest make room), past periods are as many as the baseline keeps, and all of it expires.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import RedisError

from pdp.attributes.connections import Connector, describe
from pdp.attributes.fetch import Reader
from pdp.attributes.keys import key_of
from pdp.attributes.locate import locator_of
from pdp.attributes.settings import RedisSettings
from pdp.attributes.window_scripts import ASSESS, COUNT, FORGET
from pdp.core.decision import Entity
from pdp.core.errors import AttributesUnavailableError
from pdp.core.limits import Feature, Level, Limits
from pdp.core.request import EntityRef
from pdp.ports import Assessment, Sighting, Standing, Tally

BUCKETS: Final = 24
_STATE: Final = "risk:state:"
_SEEN: Final = "risk:seen:"
_DUE: Final = "risk:due"
# What others write over ours while it stands is noticed, and put right, at the latest after this many seconds.
_LOOK_AGAIN: Final = 15.0
_HEAD: Final = 3


class RedisRiskStore:
    """Counts in Redis. Make it, ``start`` it on the event loop that uses it, ``stop`` it there.

    Args:
        settings: where the store is.
        retention: seconds for which a subject that is not seen any more is remembered.
        timeout: the most seconds that one step may take.
    """

    def __init__(self, settings: RedisSettings, retention: float, timeout: float) -> None:
        connector = Connector(settings)
        self._retention = retention
        self._timeout = timeout
        self._locator = locator_of(settings, connector)
        self._reader = Reader(connector, self._locator)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look for the server; connections are made when they are needed."""
        self._task = asyncio.create_task(self._locator.run())

    async def stop(self) -> None:
        """Close every connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._reader.close()

    async def count(self, limits: Limits, sightings: Sequence[Sighting], now: float) -> list[Tally]:
        """Add what was seen and give what there is; see ``RiskStore``."""
        apart = [feature for feature in limits.features if feature.distinct]
        calls = []
        for sighting in sightings:
            keys = [f"{_STATE}{sighting.subject}", *(f"{_SEEN}{it.name}:{sighting.subject}" for it in apart)]
            calls.append((COUNT, keys, [self._question(limits, sighting, now)]))
        answers = await self._run(calls)
        return [_tally(it.subject, limits, answer) for it, answer in zip(sightings, answers, strict=True)]

    async def assess(self, limits: Limits, assessment: Assessment) -> Level | None:
        """Set a level; see ``RiskStore``."""
        subject, level, called, found, at, (issuer, token) = assessment
        own = f"signal:{issuer} "
        value = str(limits.values[level]) if level else ""
        told = (str(found.level.value), str(found.peak.value), repr(found.since))
        again = f"{at + min(limits.step, _LOOK_AGAIN):.3f}"
        arguments = [
            str(subject), limits.attribute, str(level.value), value, str(int(called)), *told, f"{at:.3f}", again,
            own, own + token, f"{self._retention:.0f}",
        ]  # fmt: skip
        keys = [f"{_STATE}{subject}", key_of(Entity.SUBJECT, subject), _DUE]
        (answer,) = await self._run([(ASSESS, keys, arguments)])
        if not answer or answer[0] == answer[1]:
            return None
        return Level(answer[0])

    async def due(self, now: float, most: int) -> list[EntityRef]:
        """Give who is to be looked at again; see ``RiskStore``. They are put off, so that one worker looks."""
        found = await self._run([(_TAKE_DUE, [_DUE], [f"{now:.3f}", f"{now + _LOOK_AGAIN:.3f}", str(most)])])
        return [EntityRef(*member.decode().split(":", 1)) for member in found[0]]

    async def raised(self, most: int) -> list[EntityRef]:
        """Give who stands above LOW, and leave it at that."""
        found = await self._run([(_LIST_DUE, [_DUE], [str(most)])])
        return [EntityRef(*member.decode().split(":", 1)) for member in found[0]]

    async def forget(self, limits: Limits, subject: EntityRef) -> None:
        """Forget what a subject did within the windows. The level is to be assessed after it; habits are kept."""
        seen = [f"{_SEEN}{feature.name}:{subject}" for feature in limits.features if feature.distinct]
        await self._run([(FORGET, [f"{_STATE}{subject}", *seen], [])])

    def _question(self, limits: Limits, sighting: Sighting, now: float) -> str:
        features = [_asked(feature, sighting) for feature in limits.features]
        baseline = limits.baseline
        frame = {"now": now, "period": baseline.period, "periods": baseline.periods, "ttl": int(self._retention)}
        return json.dumps({**frame, "features": features}, separators=(",", ":"))

    async def _run(self, calls: Sequence[tuple[str, list[str], list[str]]]) -> list[Any]:
        """Run scripts in one round trip.

        Raises:
            AttributesUnavailableError: the store did not answer in time, or refused one of them.
        """
        try:
            pipeline = self._reader.client().pipeline(transaction=False)
            for script, keys, arguments in calls:
                pipeline.eval(script, len(keys), *keys, *arguments)
            async with asyncio.timeout(self._timeout):
                return await pipeline.execute()
        except (RedisError, OSError) as error:
            raise AttributesUnavailableError(f"behaviour cannot be counted: {describe(error)}") from None


# KEYS: the schedule. ARGV: now; when to look again at those given out; how many at most.
_TAKE_DUE: Final = """
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, member in ipairs(found) do redis.call('ZADD', KEYS[1], ARGV[2], member) end
return found
"""


# KEYS: the schedule. ARGV: how many at most.
_LIST_DUE: Final = "return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '+inf', 'LIMIT', 0, ARGV[1])"


def _asked(feature: Feature, sighting: Sighting) -> dict[str, object]:
    return {
        "name": feature.name,
        "distinct": feature.distinct,
        "window": feature.window,
        "buckets": BUCKETS,
        "capacity": feature.capacity,
        "ceiling": feature.ceiling,
        "seen": sighting.seen.get(feature.name, ()),
    }


def _tally(subject: EntityRef, limits: Limits, answer: Sequence[bytes]) -> Tally:
    level, peak, since = answer[:_HEAD]
    names = [feature.name for feature in limits.features]
    values = {name: int(text) for name, text in zip(names, answer[_HEAD::2], strict=True)}
    samples = {
        name: [int(part) for part in text.decode().split(",")] if text else []
        for name, text in zip(names, answer[_HEAD + 1 :: 2], strict=True)
    }
    return Tally(subject, values, samples, Standing(Level(int(level)), Level(int(peak)), float(since)))
