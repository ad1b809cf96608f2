"""Which decisions are traced: every deny, and allows as the caller or the ratio says."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.core.reasons import Reason
from pdp.ports import Answer
from pdp.telemetry.tracing import DecisionTracer, rejection_threshold
from tests.telemetry.answers import PARENT, allow, deny

UNSAMPLED = replace(PARENT, sampled=False)
TRACE_IDS = st.integers(1, (1 << 128) - 1).map(lambda number: f"{number:032x}")


def traced(answers: list[Answer], ratio: float) -> list[Answer]:
    kept: list[Answer] = []
    tracer = DecisionTracer(kept.append, ratio)
    for answer in answers:
        tracer.answered(answer)
    return kept


@pytest.mark.parametrize("ratio", [0.0, 1.0])
@pytest.mark.parametrize("trace", [None, PARENT, UNSAMPLED])
@pytest.mark.parametrize("code", [reason for reason in Reason if reason is not Reason.PERMITTED])
def test_every_deny_is_traced_whatever_ratio_and_caller_say(code: Reason, trace: object, ratio: float) -> None:
    answer = deny(code, trace=trace, step_up=code is Reason.STEP_UP_REQUIRED)  # type: ignore[arg-type]
    assert traced([answer], ratio) == [answer]


def test_a_callers_trace_decides_for_its_allows() -> None:
    recorded, unrecorded = allow(trace=PARENT), allow(trace=UNSAMPLED)
    assert traced([recorded, unrecorded], 0.0) == [recorded]
    assert traced([recorded, unrecorded], 1.0) == [recorded]


@given(TRACE_IDS)
def test_no_allow_is_traced_at_ratio_0_and_every_one_at_1(trace_id: str) -> None:
    answer = allow(trace_id=trace_id)
    assert traced([answer], 0.0) == []
    assert traced([answer], 1.0) == [answer]


@given(TRACE_IDS, st.floats(0, 1), st.floats(0, 1))
def test_a_greater_ratio_keeps_what_a_smaller_one_kept(trace_id: str, one: float, other: float) -> None:
    answer = allow(trace_id=trace_id)
    assert len(traced([answer], min(one, other))) <= len(traced([answer], max(one, other)))


@given(TRACE_IDS, st.floats(0, 1))
def test_text_order_is_the_order_of_consistent_sampling(trace_id: str, ratio: float) -> None:
    randomness = int(trace_id, 16) % (1 << 56)
    kept = randomness >= round((1 - ratio) * (1 << 56))
    assert bool(traced([allow(trace_id=trace_id)], ratio)) is kept


@pytest.mark.parametrize(
    "make", [lambda: secrets.token_hex(16), lambda: "018f" + secrets.token_hex(6) + "8" + secrets.token_hex(8)[1:]]
)
def test_the_ratio_holds_for_random_and_for_time_ordered_ids(make: object) -> None:
    answers = [allow(trace_id=make()) for _ in range(4000)]  # type: ignore[operator]
    assert 0.2 < len(traced(answers, 0.25)) / len(answers) < 0.3


def test_thresholds_are_those_of_the_convention() -> None:
    assert rejection_threshold(1.0) == "0" * 14
    assert rejection_threshold(0.5) == "8" + "0" * 13
    assert rejection_threshold(0.25) == "c" + "0" * 13
    assert rejection_threshold(0.0) > "f" * 14
