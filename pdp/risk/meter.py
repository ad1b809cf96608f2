"""Which features a decision counts for."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from pdp.core.decision import SUBJECT, Effect
from pdp.core.limits import Feature, Limits
from pdp.core.request import EntityRef, Request
from pdp.ports import Answer, Sighting

_DIGEST: Final = 8
# Its keys come from the finite names of a schema; a request can also name what no schema has.
_MEMO_LIMIT: Final = 4096
# A watched decision that is made anew is nothing the subject did; that it still relies on the resource is.
_WATCH: Final = "watch_decisions"


class Meter:
    """Makes sightings of answers, under one revision's limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._memo: dict[tuple[Effect, str, str], tuple[Feature, ...]] = {}

    def sightings(self, answers: Iterable[Answer]) -> list[Sighting]:
        """Group what counts by subject.

        A decision counts where it rests on the subject's record: anybody can ask about a name that is nobody's, and
        a deny for want of the means to decide says nothing of behaviour.
        """
        found: dict[EntityRef, dict[str, dict[str, float]]] = {}
        for answer in answers:
            request = answer.request
            if request is not None and any(use.entity is SUBJECT for use in answer.decision.attributes):
                self._add(found, request, answer)
        return [
            Sighting(subject, {name: [(at, key) for key, at in seen.items()] for name, seen in features.items()})
            for subject, features in found.items()
        ]

    def _add(self, found: dict[EntityRef, dict[str, dict[str, float]]], request: Request, answer: Answer) -> None:
        features = self._features(answer.decision.effect, request.action, request.resource.type)
        if not features:
            return
        at, hours = answer.time, self._limits.hours
        outside = hours is not None and hours.outside(at)
        resource = blake2b(str(request.resource).encode(), digest_size=_DIGEST).hexdigest()
        kept = answer.caller.interface == _WATCH
        for feature in features:
            if (feature.off_hours and not outside) or (kept and not feature.distinct):
                continue
            seen = found.setdefault(request.subject, {}).setdefault(feature.name, {})
            seen[resource if feature.distinct else answer.id] = at

    def _features(self, effect: Effect, action: str, resource_type: str) -> tuple[Feature, ...]:
        key = (effect, action, resource_type)
        known = self._memo.get(key)
        if known is None:
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            known = self._memo[key] = tuple(
                feature
                for feature in self._limits.features
                if feature.effect is effect
                and (not feature.actions or action in feature.actions)
                and (not feature.resources or resource_type in feature.resources)
            )
        return known
