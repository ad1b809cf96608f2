"""Which decisions are traced.

A sampler that chooses before the outcome is known loses the denies. Here the outcome comes first: denies, faults and
step-ups are always traced, allows as their caller's trace says or else by ratio. An allow that is not traced costs a
comparison of two strings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pdp.core.decision import Effect
from pdp.core.trace import Step
from pdp.ports import Answer

_ALLOW: Final = Effect.ALLOW
# The last 56 bits of a trace id are random (W3C Trace Context level 2, section 3.2.2.4), and a trace is kept where
# they reach the rejection threshold: OpenTelemetry's consistent probability sampling, so that all who follow it keep
# the same traces. As hexadecimal digits of one length they compare as numbers do.
_RANDOM: Final = slice(18, None)
_RANDOM_SPACE: Final = 1 << 56
_BEYOND_HEX: Final = "g"


class StepTracer:
    """Takes what is no decision into traces: implements ``pdp.ports.Tracer``.

    Args:
        offer: takes a step to be traced; must not wait, must not raise.
        ratio: share of traces to keep whatever is in them, 0 to 1.
    """

    def __init__(self, offer: Callable[[Step], None], ratio: float) -> None:
        self._offer = offer
        self._threshold = rejection_threshold(ratio)

    def samples(self, trace_id: str) -> bool:
        """Say whether a trace is one of those kept whatever is in it."""
        return trace_id[_RANDOM] >= self._threshold

    def ended(self, step: Step) -> None:
        """Take note of a step that is to be in its trace."""
        self._offer(step)


class DecisionTracer:
    """An observer that picks the answers to trace.

    Args:
        offer: takes an answer to be traced; must not wait, must not raise.
        ratio: share of allows to trace where the caller sent no trace, 0 to 1.
    """

    def __init__(self, offer: Callable[[Answer], None], ratio: float) -> None:
        self._offer = offer
        self._threshold = rejection_threshold(ratio)

    def answered(self, answer: Answer) -> None:
        """Trace an answer, if it is one to trace."""
        if answer.decision.effect is _ALLOW:
            parent = answer.caller.trace
            if not (parent.sampled if parent else answer.trace_id[_RANDOM] >= self._threshold):
                return
        self._offer(answer)


def rejection_threshold(ratio: float) -> str:
    """Give the least random part of a trace id, as 14 hexadecimal digits, that keeps this share of all traces."""
    threshold = round((1.0 - ratio) * _RANDOM_SPACE)
    return f"{threshold:014x}" if threshold < _RANDOM_SPACE else _BEYOND_HEX
