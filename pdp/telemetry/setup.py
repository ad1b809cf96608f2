"""Puts traces and metrics together from settings."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from pdp.ports import Observer, Tracer
from pdp.signing.pseudonyms import PseudonymKey
from pdp.telemetry import exposition, state
from pdp.telemetry.export import SpanPipeline
from pdp.telemetry.exposition import Exposition
from pdp.telemetry.metrics import DecisionMetrics, TraceMetrics
from pdp.telemetry.pseudonym import Pseudonyms
from pdp.telemetry.settings import TelemetrySettings
from pdp.telemetry.spans import SpanFactory
from pdp.telemetry.state import (
    AttributeState,
    AuditState,
    PolicyState,
    RiskState,
    SignalState,
    StateCollector,
    TrialState,
    WatchState,
)
from pdp.telemetry.tracing import DecisionTracer, StepTracer

_PACKAGE: Final = "pdp"


class Telemetry:
    """Traces and metrics of one process. For one event loop's thread, except ``render_metrics``.

    Attributes:
        observers: to be told of each answer.
        pseudonyms: the pseudonyms that traces use, so that other outputs may use the same.
        tracer: takes what is no decision into traces; None where nothing is traced.
    """

    def __init__(self, settings: TelemetrySettings, pseudonyms: Pseudonyms) -> None:
        self.pseudonyms = pseudonyms
        self._registry = CollectorRegistry()
        self._states = StateCollector()
        self._pipeline: SpanPipeline | None = None
        self.tracer: Tracer | None = None
        decisions = DecisionMetrics()
        self.observers: tuple[Observer, ...] = (decisions,)
        for collector in (decisions, self._states, _BuildInfo()):
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        if settings.traces_url:
            spans = SpanFactory(version(_PACKAGE), pseudonyms.of("subject"))
            self._pipeline = SpanPipeline(settings, spans.make)
            self._registry.register(TraceMetrics(self._pipeline))
            self.observers += (DecisionTracer(self._pipeline.offer, settings.traces_ratio),)
            self.tracer = StepTracer(self._pipeline.offer, settings.traces_ratio)

    def watch_attributes(self, read: Callable[[], AttributeState]) -> None:
        """Expose the state of the attribute source. ``read`` is called at each scrape and must be quick."""
        self._states.watch("attributes", state.ATTRIBUTES, read)

    def watch_policy(self, read: Callable[[], PolicyState]) -> None:
        """Expose the state of the policy source. ``read`` is called at each scrape and must be quick."""
        self._states.watch("policy", state.POLICY, read)

    def watch_trial(self, read: Callable[[], TrialState]) -> None:
        """Expose the state of a candidate policy's trial. ``read`` is called at each scrape and must be quick."""
        self._states.watch("trial", state.TRIAL, read)

    def watch_audit(self, read: Callable[[], AuditState]) -> None:
        """Expose the state of the decision log. ``read`` is called at each scrape and must be quick."""
        self._states.watch("audit", state.AUDIT, read)

    def watch_signals(self, read: Callable[[], SignalState]) -> None:
        """Expose the state of the signal receiver. ``read`` is called at each scrape and must be quick."""
        self._states.watch("signals", state.SIGNALS, read)

    def watch_risk(self, read: Callable[[], RiskState]) -> None:
        """Expose the state of the watch on behaviour. ``read`` is called at each scrape and must be quick."""
        self._states.watch("risk", state.RISK, read)

    def watch_watches(self, read: Callable[[], WatchState]) -> None:
        """Expose the state of watched decisions. ``read`` is called at each scrape and must be quick."""
        self._states.watch("watches", state.WATCHES, read)

    def render_metrics(self, accept: str = "") -> Exposition:
        """Give the answer to ``GET /metrics`` for its ``Accept`` header. Takes about a millisecond; never raises."""
        return exposition.render(self._registry, accept)

    def shutdown(self, grace: float) -> None:
        """Export the spans that wait, for at most ``grace`` seconds. Blocks: call it when no request is left."""
        if self._pipeline:
            self._pipeline.shutdown(grace)


class _BuildInfo(Collector):
    """Says which build runs."""

    def __init__(self) -> None:
        labels = {"version": version(_PACKAGE), "python": platform.python_version()}
        self._family = InfoMetricFamily("pdp_build", "The build that runs.", labels)

    def collect(self) -> list[Metric]:
        return [self._family]


def build(settings: TelemetrySettings, key: PseudonymKey | None = None) -> Telemetry:
    """Make traces and metrics. Nothing connects yet; a span's export does, on a thread of its own.

    Args:
        settings: what is traced, and where it goes.
        key: what pseudonyms are made with; None stands for one that is gone with the process.
    """
    return Telemetry(settings, Pseudonyms(key))
