"""Prometheus metrics of decisions, counted where it costs a fraction of a microsecond.

A library counter takes a lock and looks up its labels each time. Answers come from one event loop, so plain integers
do; they become metric families only when scraped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from pdp.core.decision import Effect
from pdp.core.reasons import FAULTS, Reason
from pdp.ports import Answer
from pdp.telemetry.export import SpanPipeline

# Seconds. A warm decision takes tens of microseconds; a slow one is ended by its deadline.
BUCKETS: Final = (
    *(10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6),
    *(1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1.0),
)
_BOUNDS: Final = tuple(map(floatToGoString, (*BUCKETS, float("inf"))))
_ALLOW: Final = Effect.ALLOW
_PERMITTED: Final = Reason.PERMITTED


class _Durations:
    """How long decisions took: counts per bucket, the last one for what is beyond them all."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0


class DecisionMetrics(Collector):
    """An observer that counts decisions, and the collector that exposes the counts.

    ``answered`` is for the event loop's thread; ``collect`` may run on any.
    """

    def __init__(self) -> None:
        # Every series is there from the start: a rate cannot see a counter's first step from nothing to one.
        self._allows: defaultdict[Reason, int] = defaultdict(int, {_PERMITTED: 0})
        self._denies: defaultdict[Reason, int] = defaultdict(int, {r: 0 for r in Reason if r is not _PERMITTED})
        self._faults: dict[str, int] = dict.fromkeys(sorted(FAULTS), 0)
        self._step_ups = 0
        self._from_memory = _Durations()
        self._from_store = _Durations()

    def answered(self, answer: Answer) -> None:
        """Count an answer."""
        decision = answer.decision
        if decision.effect is _ALLOW:
            self._allows[decision.causes[0].code] += 1
        else:
            self._denies[decision.causes[0].code] += 1
            if decision.step_up is not None:
                self._step_ups += 1
            for cause in decision.causes:
                if cause.code in FAULTS:
                    self._faults[cause.code] += 1
                    break
        durations = self._from_memory if answer.cached else self._from_store
        durations.counts[bisect_left(BUCKETS, answer.duration)] += 1
        durations.total += answer.duration

    def collect(self) -> Iterator[Metric]:
        """Give the metric families."""
        yield self._decisions()
        yield _counter("pdp_faults_total", "Denies for want of the means to decide.", "reason", self._faults)
        yield CounterMetricFamily(
            "pdp_step_ups_total",
            "Denies that stronger or fresher authentication would turn into an allow.",
            self._step_ups,
        )
        yield self._duration()

    def _decisions(self) -> Metric:
        help_text = "Decisions by effect and first reason."
        family = CounterMetricFamily("pdp_decisions_total", help_text, labels=("effect", "reason"))
        for effect, counts in (("allow", self._allows), ("deny", self._denies)):
            for reason, count in list(counts.items()):
                family.add_metric((effect, reason.value), count)
        return family

    def _duration(self) -> Metric:
        help_text = "From the parsed request to the decision, by whether every attribute came from memory."
        family = HistogramMetricFamily("pdp_decision_duration_seconds", help_text, labels=("cached",))
        for cached, durations in (("true", self._from_memory), ("false", self._from_store)):
            bounds = map(floatToGoString, (*BUCKETS, float("inf")))
            family.add_metric(
                (cached,), list(zip(bounds, accumulate(durations.counts), strict=True)), durations.total
            )
        return family


class TraceMetrics(Collector):
    """Exposes what became of spans."""

    def __init__(self, pipeline: SpanPipeline) -> None:
        self._pipeline = pipeline

    def collect(self) -> Iterator[Metric]:
        """Give the metric families."""
        pipeline = self._pipeline
        yield CounterMetricFamily("pdp_spans_delivered_total", "Spans the collector took.", pipeline.delivered)
        yield _counter("pdp_spans_dropped_total", "Spans that were not delivered.", "reason", pipeline.dropped)
        yield GaugeMetricFamily("pdp_spans_pending", "Spans that wait for delivery.", pipeline.pending)


def _counter(name: str, help_text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=(label,))
    for value, count in counts.items():
        family.add_metric((str(value),), count)
    return family
