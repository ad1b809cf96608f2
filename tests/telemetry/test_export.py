"""Export against a real HTTP server: what arrives, and that a collector's trouble stays its own."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from pdp.core.request import EntityRef
from pdp.ports import Answer
from pdp.telemetry.export import SpanPipeline
from pdp.telemetry.settings import TelemetrySettings
from pdp.telemetry.spans import SpanFactory
from tests.telemetry.answers import NOW, PARENT, PSEUDONYM, allow, deny
from tests.telemetry.collectors import Collector, eventually, plain

Start = Callable[..., SpanPipeline]
Make = Callable[[Answer], ReadableSpan]


@pytest.fixture
def start(collector: Collector) -> Iterator[Start]:
    started: list[SpanPipeline] = []

    def begin(url: str = "", make: Make | None = None, **settings: object) -> SpanPipeline:
        options = {"traces_url": url or collector.url, "traces_timeout": 30.0, "traces_per_second": 10_000} | settings
        make = make or SpanFactory("1.2.3", PSEUDONYM).make
        started.append(SpanPipeline(TelemetrySettings(**options), make))  # type: ignore[arg-type]
        return started[-1]

    yield begin
    collector.resume()
    for pipeline in started:
        pipeline.shutdown(0.2)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_spans_arrive_as_otlp(collector: Collector, start: Start) -> None:
    pipeline = start(traces_headers={"authorization": "Bearer secret"})
    pipeline.offer(allow(trace=PARENT))
    pipeline.offer(deny())
    pipeline.shutdown(60)
    first, second = collector.spans
    assert first.trace_id.hex() == PARENT.trace_id
    assert first.parent_span_id.hex() == PARENT.span_id
    assert second.trace_id.hex() == deny().trace_id
    assert not second.parent_span_id
    assert plain(first.attributes)["pdp.rules"] == ["agent-reads-customer"]
    assert plain(second.attributes)["pdp.reasons"] == ["NO_MATCHING_PERMIT(device.compliant)"]
    assert collector.resource["service.version"] == "1.2.3"
    assert {name.lower(): value for name, value in collector.headers[0].items()}["authorization"] == "Bearer secret"
    assert pipeline.delivered == 2
    assert not any(pipeline.dropped.values())


def test_spans_are_exported_before_the_end_as_well(collector: Collector, start: Start) -> None:
    start().offer(deny())
    eventually(lambda: len(collector.spans) == 1)


def test_every_span_of_many_arrives_once(collector: Collector, start: Start) -> None:
    pipeline = start()
    for number in range(500):
        pipeline.offer(deny()._replace(id=f"{number:032x}"))
    pipeline.shutdown(60)
    ids = [plain(span.attributes)["pdp.decision.id"] for span in collector.spans]
    assert ids == [f"{number:032x}" for number in range(500)]
    assert pipeline.pending == 0


def test_a_stalled_collector_fills_the_queue_and_no_more(collector: Collector, start: Start) -> None:
    collector.stall()
    pipeline = start(traces_queue=50)
    for _ in range(1000):
        pipeline.offer(deny())
    assert collector.requests == [], "offering waited for the collector"
    assert 50 <= pipeline.pending <= 50 + 16, "the queue, and a batch on its way"
    assert pipeline.dropped["queue_full"] == 1000 - pipeline.pending


def test_a_collector_that_recovers_gets_what_waited(collector: Collector, start: Start) -> None:
    collector.stall()
    pipeline = start(traces_queue=50)
    for _ in range(100):
        pipeline.offer(deny())
    taken = 100 - pipeline.dropped["queue_full"]
    collector.resume()
    eventually(lambda: pipeline.pending == 0)
    assert len(collector.spans) == pipeline.delivered == taken


def test_a_collector_that_refuses_costs_spans_alone(collector: Collector, start: Start) -> None:
    collector.status = 400
    pipeline = start()
    pipeline.offer(deny())
    eventually(lambda: pipeline.dropped["export_failed"] == 1)
    collector.status = 200
    pipeline.offer(deny())
    eventually(lambda: pipeline.delivered == 1)
    assert pipeline.pending == 0


def test_a_collector_that_is_not_there_costs_spans_alone(start: Start) -> None:
    pipeline = start(f"http://127.0.0.1:{closed_port()}/v1/traces", traces_timeout=0.5)
    pipeline.offer(deny())
    eventually(lambda: pipeline.dropped["export_failed"] == 1)
    assert pipeline.pending == 0


def test_trouble_is_logged_when_it_begins_and_when_it_ends(
    collector: Collector, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    def events() -> list[str]:
        return [getattr(record, "event", "") for record in caplog.records if record.name == "pdp.telemetry.export"]

    collector.status = 400
    pipeline = start()
    with caplog.at_level(logging.WARNING):
        for expected in (1, 2, 3):
            pipeline.offer(deny())
            eventually(lambda n=expected: pipeline.dropped["export_failed"] == n)  # type: ignore[misc]
        assert events() == ["traces.failing"]
        collector.status = 200
        pipeline.offer(deny())
        eventually(lambda: "traces.recovered" in events())
    assert events() == ["traces.failing", "traces.recovered"]


def test_spans_beyond_the_rate_are_dropped_and_counted(collector: Collector, start: Start) -> None:
    pipeline = start(traces_per_second=10)
    for time_ in (NOW, NOW + 0.5, NOW + 0.7, NOW + 1.0):
        for _ in range(8):
            pipeline.offer(deny(time=time_))
    pipeline.shutdown(60)
    assert pipeline.dropped["rate_limited"] == 8 * 4 - 10 - 10 + 2
    assert len(collector.spans) == pipeline.delivered == 18


def test_a_clock_set_back_does_not_stop_tracing(collector: Collector, start: Start) -> None:
    pipeline = start(traces_per_second=1)
    for time_ in (NOW, NOW - 3600, NOW - 3599):
        pipeline.offer(deny(time=time_))
    pipeline.shutdown(60)
    assert len(collector.spans) == 3


def test_a_span_that_cannot_be_made_costs_no_other(collector: Collector, start: Start) -> None:
    factory = SpanFactory("0", PSEUDONYM)

    def make(answer: Answer) -> ReadableSpan:
        if answer.request and answer.request.subject.id == "bob":
            raise ValueError("bob")
        return factory.make(answer)

    pipeline = start(make=make)
    broken = deny()
    assert broken.request
    pipeline.offer(broken._replace(request=broken.request._replace(subject=EntityRef("user", "bob"))))
    pipeline.offer(deny())
    pipeline.shutdown(60)
    assert pipeline.dropped["not_made"] == 1
    assert len(collector.spans) == 1


def test_shutting_down_waits_no_longer_than_its_grace(
    collector: Collector, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    collector.stall()
    pipeline = start()
    for _ in range(40):
        pipeline.offer(deny())
    pipeline.shutdown(0.3)
    assert collector.spans == [], "it waited for the collector"
    assert "40 spans were not delivered" in caplog.text


def test_after_shutting_down_spans_are_dropped_and_counted(collector: Collector, start: Start) -> None:
    pipeline = start()
    pipeline.shutdown(60)
    pipeline.offer(deny())
    assert pipeline.dropped["shut_down"] == 1
    assert collector.spans == []
