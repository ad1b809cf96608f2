"""Delivery of spans over OTLP/HTTP by a thread of its own: bounded, counted, and harmless when it fails.

Two rules keep decisions unharmed. Nothing here waits on the event loop's thread. And a span that would not be
delivered is not made: making one costs far more than a decision, so a full queue and a spent budget refuse it first.
"""

from __future__ import annotations

import logging
import platform
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer

from pdp.telemetry.settings import TelemetrySettings

_log = logging.getLogger(__name__)

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
_SCHEDULE_MS: Final = 1000
# Encoding a span takes the interpreter lock for tens of microseconds. A small batch ends before the lock's switch
# interval (5 ms) does, and then waits for the network without it, so decisions in between are held up little.
_BATCH: Final = 32
QUEUE_FULL: Final = "queue_full"
RATE_LIMITED: Final = "rate_limited"
EXPORT_FAILED: Final = "export_failed"
NOT_MADE: Final = "not_made"
SHUT_DOWN: Final = "shut_down"
DROP_REASONS: Final = (QUEUE_FULL, RATE_LIMITED, EXPORT_FAILED, NOT_MADE, SHUT_DOWN)


class GivenTraceIds(RandomIdGenerator):
    """Gives the next root span the trace id that its decision already has. For one thread."""

    def __init__(self) -> None:
        self.next = 0

    def generate_trace_id(self) -> int:
        """Give the trace id set in ``next``, as an unsigned 128-bit integer."""
        return self.next

    def is_trace_id_random(self) -> bool:
        """Say no: who made the id is not known here."""
        return False


class _Delivery(SpanExporter):
    """Counts what arrives and what does not, and logs when that changes. Used by the export thread alone."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._failing = False
        self.close_by = float("inf")
        self.delivered = 0
        self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            if time.monotonic() < self.close_by:
                result = self._exporter.export(spans)
        finally:
            # In any case, or the spans would count as waiting for ever and the queue would seem full.
            self._settle(len(spans), delivered=result is SpanExportResult.SUCCESS)
        return result

    def _settle(self, spans: int, *, delivered: bool) -> None:
        if delivered:
            self.delivered += spans
        else:
            self.failed += spans
        if delivered is self._failing:
            self._failing = not delivered
            event = "traces.recovered" if delivered else "traces.failing"
            _log.warning("trace export %s", "works again" if delivered else "fails", extra={"event": event})

    def shutdown(self) -> None:
        self._exporter.shutdown()


class SpanPipeline:
    """Admits spans to a bounded queue and exports them.

    Admission is for the event loop's thread alone; counts may be read from any.

    Attributes:
        ids: where to put the trace id of a span without a parent.
        tracer: makes the spans.
    """

    def __init__(self, settings: TelemetrySettings, version: str) -> None:
        self._delivery = _Delivery(_exporter(settings))
        self._queue = settings.traces_queue
        self._per_second = settings.traces_per_second
        self._second = 0
        self._left = 0
        self._closed = False
        self._admitted = 0
        self._refused: Counter[str] = Counter()
        self.ids = GivenTraceIds()
        # Which decisions to trace is settled before a span is made, so every span made is kept.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=_resource(version), id_generator=self.ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._delivery,
                max_queue_size=self._queue,
                schedule_delay_millis=_SCHEDULE_MS,
                max_export_batch_size=min(_BATCH, self._queue),
            )
        )
        self.tracer: Tracer = self._provider.get_tracer("pdp", version, SCHEMA_URL)

    @property
    def pending(self) -> int:
        """Spans admitted and not yet delivered or given up."""
        return self._admitted - self._delivery.delivered - self._delivery.failed

    @property
    def delivered(self) -> int:
        """Spans that the endpoint took."""
        return self._delivery.delivered

    @property
    def dropped(self) -> Mapping[str, int]:
        """Spans that were not delivered, by reason."""
        counts = {reason: self._refused[reason] for reason in DROP_REASONS}
        counts[EXPORT_FAILED] += self._delivery.failed
        return counts

    def admit(self, now: float) -> bool:
        """Say whether to make a span now, in seconds since the epoch. A True is to be followed by one span, ended."""
        if self._closed:
            return self._refuse(SHUT_DOWN)
        if self.pending >= self._queue:
            return self._refuse(QUEUE_FULL)
        if (second := int(now)) != self._second:
            self._second, self._left = second, self._per_second
        if not self._left:
            return self._refuse(RATE_LIMITED)
        self._left -= 1
        self._admitted += 1
        return True

    def withdraw(self) -> None:
        """Take back an admission whose span could not be made."""
        self._admitted -= 1
        self._refuse(NOT_MADE)

    def shutdown(self, grace: float) -> None:
        """Export what waits for at most ``grace`` seconds; the rest is dropped."""
        self._closed = True
        failed_before = self._delivery.failed
        self._delivery.close_by = time.monotonic() + grace
        # The SDK's own shutdown may wait half a minute for an endpoint that does not answer.
        closing = threading.Thread(target=self._provider.shutdown, name="traces-shutdown", daemon=True)
        closing.start()
        closing.join(grace)
        if lost := self.pending + self._delivery.failed - failed_before:
            _log.warning("%d spans were not delivered", lost, extra={"event": "traces.lost"})

    def _refuse(self, reason: str) -> bool:
        self._refused[reason] += 1
        return False


def _exporter(settings: TelemetrySettings) -> OTLPSpanExporter:
    return OTLPSpanExporter(
        endpoint=settings.traces_url,
        certificate_file=_path(settings.traces_ca),
        client_certificate_file=_path(settings.traces_certificate),
        client_key_file=_path(settings.traces_private_key),
        headers=settings.traces_headers or None,
        timeout=settings.traces_timeout,
    )


def _path(path: object) -> str | None:
    return None if path is None else str(path)


def _resource(version: str) -> Resource:
    """Describe this process; ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` override and add."""
    own = {
        "service.name": "pdp",
        "service.version": version,
        "process.runtime.name": platform.python_implementation().lower(),
        "process.runtime.version": platform.python_version(),
    }
    return Resource.create(own).merge(OTELResourceDetector().detect())
