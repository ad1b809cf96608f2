"""Delivery of decisions' spans over OTLP/HTTP by a thread of its own: bounded, counted, and harmless when it fails.

Making and encoding a span takes longer than a decision, so both happen on the thread. A decision's own path only puts
it in a queue. The thread still takes the interpreter lock from decisions: how many spans a second it may make is
limited, and a batch is small, so that it ends before the lock's switch interval (5 ms) does.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from pdp.core.trace import Step
from pdp.ports import Answer
from pdp.telemetry.settings import TelemetrySettings

_log = logging.getLogger(__name__)

_PAUSE: Final = 0.5
_BATCH: Final = 16


class SpanPipeline:
    """A queue of decisions and steps, and the thread that makes spans of them and exports those.

    ``offer`` is for the event loop's thread alone; counts may be read on any.

    Args:
        settings: the endpoint and the bounds.
        make: makes a span of either. Called on the thread; a span it cannot make is dropped and counted.
    """

    def __init__(self, settings: TelemetrySettings, make: Callable[[Answer | Step], ReadableSpan]) -> None:
        self._make = make
        self._exporter = _exporter(settings)
        self._capacity = settings.traces_queue
        self._per_second = settings.traces_per_second
        self._waiting: deque[Answer | Step] = deque()
        self._second = self._left = 0
        # Each count has one thread that writes it.
        self._queue_full = self._rate_limited = self._shut_down = 0
        self._not_made = self._failed = self._in_flight = self.delivered = 0
        self._failing = False
        self._close_by = float("inf")
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="span-export", daemon=True)
        self._thread.start()

    def offer(self, work: Answer | Step) -> None:
        """Take work to make a span of, unless there is no room for it. Never waits."""
        if self._closing.is_set():
            self._shut_down += 1
        elif len(self._waiting) >= self._capacity:
            self._queue_full += 1
        elif self._within_limit(int(work.time)):
            self._waiting.append(work)
        else:
            self._rate_limited += 1

    @property
    def pending(self) -> int:
        """Spans taken and not yet delivered or given up."""
        return len(self._waiting) + self._in_flight

    @property
    def dropped(self) -> Mapping[str, int]:
        """Spans that were not delivered, by reason."""
        return {
            "queue_full": self._queue_full,
            "rate_limited": self._rate_limited,
            "export_failed": self._failed,
            "not_made": self._not_made,
            "shut_down": self._shut_down,
        }

    def shutdown(self, grace: float) -> None:
        """Export what waits, for at most ``grace`` seconds; the rest is given up."""
        failed_before = self._failed
        self._close_by = time.monotonic() + grace
        self._closing.set()
        self._thread.join(grace)
        self._exporter.shutdown()
        if lost := self.pending + self._failed - failed_before:
            _log.warning("%d spans were not delivered", lost, extra={"event": "traces.lost"})

    def _within_limit(self, second: int) -> bool:
        if second != self._second:
            self._second, self._left = second, self._per_second
        self._left -= 1
        return self._left >= 0

    def _run(self) -> None:
        while not self._closing.wait(_PAUSE):
            self._drain()
        self._drain()

    def _drain(self) -> None:
        while self._waiting:
            self._in_flight = min(_BATCH, len(self._waiting))
            spans = self._made([self._waiting.popleft() for _ in range(self._in_flight)])
            self._settle(len(spans), delivered=self._sent(spans))
            self._in_flight = 0

    def _made(self, works: Sequence[Answer | Step]) -> list[ReadableSpan]:
        spans = []
        for work in works:
            try:
                spans.append(self._make(work))
            except Exception:  # noqa: BLE001 - one span must not cost the others, nor end the thread
                self._not_made += 1
        return spans

    def _sent(self, spans: Sequence[ReadableSpan]) -> bool:
        try:
            return time.monotonic() < self._close_by and self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception as error:  # noqa: BLE001 - a failure of the library's must not end the thread
            _log.error("trace export raised %s", type(error).__name__, extra={"event": "traces.failing"})
            return False

    def _settle(self, spans: int, *, delivered: bool) -> None:
        if delivered:
            self.delivered += spans
        else:
            self._failed += spans
        if delivered is self._failing:
            self._failing = not delivered
            event = "traces.recovered" if delivered else "traces.failing"
            _log.warning("trace export %s", "works again" if delivered else "fails", extra={"event": event})


def _exporter(settings: TelemetrySettings) -> SpanExporter:
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
