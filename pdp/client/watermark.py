"""Watermarks: who looks at data, and when, put where whoever photographs a screen photographs it as well."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pdp.client.decision import Decision, Obligation
from pdp.client.question import Question

_MEMBER: Final = "watermark"
Place = Callable[[Any, str], Any]


def as_member(data: Any, text: str) -> Any:
    """Put the text beside the members of a JSON object.

    Raises:
        TypeError: the data is none.
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"{type(data).__name__} has no place for a watermark")
    return {**data, _MEMBER: text}


class Watermark:
    """Puts subject and time on data.

    Args:
        place: gives the data with the text on it; whoever shows the data must show the text. The default adds a
            member ``watermark`` to a JSON object and refuses other data.
        clock: seconds since the epoch.
    """

    type: Final = "watermark"

    def __init__(self, place: Place = as_member, clock: Callable[[], float] = time.time) -> None:
        self._place = place
        self._clock = clock

    def understands(self, obligation: Obligation) -> bool:
        """Understand the one text there is."""
        return dict(obligation.properties) == {"text": "subject_and_time"}

    async def before(self, obligation: Obligation, question: Question, decision: Decision) -> None:
        """Do nothing before."""

    def transform(self, obligation: Obligation, question: Question, data: Any) -> Any:  # noqa: ARG002 - see Handler
        """Give the data with the text on it."""
        kind, name = question.subject
        at = datetime.fromtimestamp(self._clock(), UTC)
        return self._place(data, f"{kind}:{name} {at:%Y-%m-%dT%H:%M:%SZ}")
