"""Counts of decisions: each answer once, under its effect, reason and duration."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from pdp.core.reasons import FAULTS, Reason
from pdp.ports import Answer
from pdp.telemetry.export import SpanPipeline
from pdp.telemetry.metrics import BUCKETS, DecisionMetrics, TraceMetrics
from pdp.telemetry.settings import TelemetrySettings
from pdp.telemetry.spans import SpanFactory
from tests.telemetry.answers import PSEUDONYM, allow, deny
from tests.telemetry.collectors import collecting
from tests.telemetry.scrapes import scrape, series, value

DENY_REASONS = [reason for reason in Reason if reason is not Reason.PERMITTED]


def observed(*answers: Answer) -> bytes:
    metrics = DecisionMetrics()
    for answer in answers:
        metrics.answered(answer)
    return scrape(metrics)


def test_decisions_count_by_effect_and_first_reason() -> None:
    stale = deny(Reason.ATTRIBUTE_STALE, Reason.DEVICE_UNKNOWN)
    text = observed(allow(), allow(), stale, deny(Reason.DENIED_BY_RULE))
    assert value(text, "pdp_decisions_total", effect="allow", reason="PERMITTED") == 2
    assert value(text, "pdp_decisions_total", effect="deny", reason="ATTRIBUTE_STALE") == 1
    assert value(text, "pdp_decisions_total", effect="deny", reason="DENIED_BY_RULE") == 1
    assert value(text, "pdp_decisions_total", effect="deny", reason="DEVICE_UNKNOWN") == 0


def test_every_reason_has_a_series_before_it_happens() -> None:
    text = observed()
    for reason in DENY_REASONS:
        assert value(text, "pdp_decisions_total", effect="deny", reason=reason.value) == 0
    for fault in FAULTS:
        assert value(text, "pdp_faults_total", reason=fault.value) == 0


@given(st.lists(st.sampled_from(DENY_REASONS), min_size=1, max_size=4))
def test_a_deny_is_a_fault_where_the_core_says_so(codes: list[Reason]) -> None:
    answer = deny(*codes)
    text = observed(answer)
    faults = sum(v for (name, _), v in series(text).items() if name == "pdp_faults_total")
    assert faults == int(answer.decision.fault)


def test_step_ups_count() -> None:
    text = observed(deny(Reason.STEP_UP_REQUIRED, step_up=True), deny(), allow())
    assert value(text, "pdp_step_ups_total") == 1


@given(st.lists(st.one_of(st.floats(0, 3), st.sampled_from(BUCKETS)), max_size=30))
def test_durations_are_bucketed_as_the_library_would(durations: list[float]) -> None:
    registry = CollectorRegistry()
    peer = Histogram("peer", "peer", buckets=BUCKETS, registry=registry)
    for duration in durations:
        peer.observe(duration)
    text = observed(*(allow(duration=duration) for duration in durations))
    mine = series(text)
    for bound in (*BUCKETS, math.inf):
        label = "+Inf" if bound == math.inf else str(bound)
        key = "pdp_decision_duration_seconds_bucket", frozenset({"cached": "true", "le": label}.items())
        assert mine[key] == registry.get_sample_value("peer_bucket", {"le": label})
    total = value(text, "pdp_decision_duration_seconds_sum", cached="true")
    assert total == pytest.approx(sum(durations))


def test_decisions_from_memory_are_told_from_those_that_waited() -> None:
    text = observed(allow(), allow(), allow()._replace(cached=False, duration=0.004))
    assert value(text, "pdp_decision_duration_seconds_count", cached="true") == 2
    assert value(text, "pdp_decision_duration_seconds_count", cached="false") == 1
    assert value(text, "pdp_decision_duration_seconds_bucket", cached="false", le="0.0025") == 0
    assert value(text, "pdp_decision_duration_seconds_bucket", cached="false", le="0.005") == 1


def test_buckets_suit_work_of_microseconds() -> None:
    assert BUCKETS[0] == 10e-6
    assert BUCKETS[-1] == 1.0
    assert list(BUCKETS) == sorted(set(BUCKETS))
    assert sum(bound < 1e-3 for bound in BUCKETS) >= 6


def test_nothing_of_a_request_is_in_a_scrape() -> None:
    text = observed(allow(), deny(step_up=True))
    for word in (b"alice", b"c-4711", b"customer", b"agent-reads-customer", b"spiffe"):
        assert word not in text


def test_spans_count_by_what_became_of_them() -> None:
    with collecting() as collector:
        settings = TelemetrySettings(traces_url=collector.url, traces_per_second=3)
        pipeline = SpanPipeline(settings, SpanFactory("0", PSEUDONYM).make)
        for _ in range(5):
            pipeline.offer(deny())
        pipeline.shutdown(60)
    text = scrape(TraceMetrics(pipeline))
    assert value(text, "pdp_spans_delivered_total") == 3
    assert value(text, "pdp_spans_dropped_total", reason="rate_limited") == 2
    assert value(text, "pdp_spans_dropped_total", reason="queue_full") == 0
    assert value(text, "pdp_spans_pending") == 0
