"""Traces and metrics put together."""

from __future__ import annotations

from pdp.telemetry.settings import TelemetrySettings
from pdp.telemetry.setup import build
from tests.telemetry.answers import KEY, PSEUDONYM, allow, deny
from tests.telemetry.collectors import Collector, plain
from tests.telemetry.scrapes import series, value
from tests.telemetry.test_state import Audit, Policy, attributes


def test_an_answer_is_counted_and_traced(collector: Collector) -> None:
    telemetry = build(TelemetrySettings(traces_url=collector.url, traces_ratio=0.0), KEY)
    for answer in (allow(), deny()):
        for observer in telemetry.observers:
            observer.answered(answer)
    telemetry.shutdown(60)
    text = telemetry.render_metrics().body
    assert value(text, "pdp_decisions_total", effect="allow", reason="PERMITTED") == 1
    assert value(text, "pdp_decisions_total", effect="deny", reason="NO_MATCHING_PERMIT") == 1
    assert value(text, "pdp_spans_delivered_total") == 1
    (span,) = collector.spans
    assert plain(span.attributes)["enduser.pseudo.id"] == PSEUDONYM("user:alice")
    assert telemetry.pseudonyms.of("subject")("user:alice") == PSEUDONYM("user:alice")


def test_without_an_endpoint_nothing_is_traced() -> None:
    telemetry = build(TelemetrySettings())
    for observer in telemetry.observers:
        observer.answered(deny())
    telemetry.shutdown(0.0)
    names = {name for name, _ in series(telemetry.render_metrics().body)}
    assert "pdp_decisions_total" in names
    assert not any(name.startswith("pdp_spans") for name in names)


def test_states_are_exposed_once_watched() -> None:
    telemetry = build(TelemetrySettings())
    telemetry.watch_policy(Policy)
    telemetry.watch_attributes(attributes)
    telemetry.watch_audit(Audit)
    text = telemetry.render_metrics().body
    for part in ("policy", "attributes", "audit"):
        assert value(text, "pdp_state_up", part=part) == 1
    assert value(text, "pdp_policy_rules") == 44


def test_the_build_and_the_process_are_exposed() -> None:
    names = {name for name, _ in series(build(TelemetrySettings()).render_metrics().body)}
    assert {"pdp_build_info", "process_resident_memory_bytes", "python_gc_collections_total"} <= names


def test_two_in_one_process_keep_apart() -> None:
    one, other = build(TelemetrySettings()), build(TelemetrySettings())
    one.observers[0].answered(allow())
    assert value(other.render_metrics().body, "pdp_decisions_total", effect="allow", reason="PERMITTED") == 0
