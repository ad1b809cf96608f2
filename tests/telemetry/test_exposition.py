"""Formats of a scrape, and several workers' scrapes made one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Summary
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from pdp.core.reasons import Reason
from pdp.ports import Answer
from pdp.telemetry.exposition import merge, render
from pdp.telemetry.metrics import DecisionMetrics
from tests.telemetry.answers import allow, deny
from tests.telemetry.scrapes import scrape, series, value

# Durations whose sums are exact, so that an order of adding does not show.
ANSWERS = st.one_of(
    st.sampled_from([2**-16, 2**-12, 2**-8, 2**-1, 2.0]).map(lambda duration: allow(duration=duration)),
    st.sampled_from([reason for reason in Reason if reason is not Reason.PERMITTED]).map(deny),
).map(lambda answer: answer._replace(duration=2**-10) if answer.decision.effect.value == "deny" else answer)
WORKERS = st.lists(st.lists(ANSWERS, max_size=10), max_size=3)
few = settings(max_examples=30)


def worker(answers: list[Answer]) -> bytes:
    metrics = DecisionMetrics()
    for answer in answers:
        metrics.answered(answer)
    return scrape(metrics)


def library(counter: float = 0.0, gauge: float = 0.0, label: str = "x") -> bytes:
    registry = CollectorRegistry()
    Counter("work", "Work done.", ("kind",), registry=registry).labels(label).inc(counter)
    Gauge("level", "A level.", ("kind",), registry=registry).labels(label).set(gauge)
    return render(registry).body


@few
@given(WORKERS)
def test_merged_workers_count_as_one_that_did_it_all(shares: list[list[Answer]]) -> None:
    merged = series(merge([worker(answers) for answers in shares]))
    expected = series(worker([answer for answers in shares for answer in answers])) if shares else {}
    assert merged == expected


@few
@given(WORKERS, WORKERS)
def test_a_worker_that_ended_goes_on_counting(live: list[list[Answer]], ended: list[list[Answer]]) -> None:
    all_live = merge([worker(answers) for answers in (*live, *ended)])
    assert series(merge([worker(a) for a in live], [worker(a) for a in ended])) == series(all_live)


@few
@given(WORKERS, WORKERS)
def test_texts_of_the_ended_can_be_kept_as_one(live: list[list[Answer]], ended: list[list[Answer]]) -> None:
    texts, last = [worker(answers) for answers in live], [worker(answers) for answers in ended]
    assert series(merge(texts, [merge((), last)])) == series(merge(texts, last))


def test_a_gauge_stays_each_workers_own() -> None:
    merged = merge([library(gauge=1.5), b"", library(gauge=4.0)])
    assert value(merged, "level", kind="x", worker="0") == 1.5
    assert value(merged, "level", kind="x", worker="2") == 4.0
    assert len([name for name, _ in series(merged) if name == "level"]) == 2


def test_an_ended_workers_gauges_are_gone_and_its_counters_are_not() -> None:
    merged = merge([library(counter=1, gauge=1)], [library(counter=2, gauge=2)])
    assert value(merged, "work_total", kind="x") == 3
    assert [value for (name, _), value in series(merged).items() if name == "level"] == [1]


def test_summaries_add_up() -> None:
    registry = CollectorRegistry()
    Summary("took", "Time taken.", registry=registry).observe(2.0)
    text = render(registry).body
    merged = merge([text, text])
    assert value(merged, "took_count") == 2
    assert value(merged, "took_sum") == 4.0


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs",))))
def test_label_values_survive(label: str) -> None:
    merged = merge([library(counter=1, label=label), library(counter=2, label=label)])
    assert value(merged, "work_total", kind=label) == 3


def test_types_and_help_survive() -> None:
    merged = merge([library(1), library(2)]).decode()
    assert "# HELP work_total Work done.\n# TYPE work_total counter\n" in merged
    assert merged.count("# TYPE level gauge") == 1


@pytest.mark.parametrize("text", [b"not a metric\n", b'work_total{kind="x} 1\n', b"work_total one\n"])
def test_a_text_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"could not convert|substring|Invalid|Unclosed"):
        merge([text])


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=0.0.4", "text/html"])
def test_the_text_format_is_the_default(accept: str) -> None:
    exposition = render(CollectorRegistry(), accept)
    assert exposition.content_type == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize("version", ["; version=1.0.0", "", "; version=0.0.1", "; version=evil", "; version=\x00"])
def test_openmetrics_is_given_where_it_is_accepted(version: str) -> None:
    registry = CollectorRegistry()
    registry.register(DecisionMetrics())
    exposition = render(registry, f"application/openmetrics-text{version};q=0.9,*/*;q=0.1")
    assert exposition.content_type.startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert exposition.body.endswith(b"# EOF\n")
    assert {family.name for family in parse_openmetrics(exposition.body.decode())} >= {"pdp_decisions"}
