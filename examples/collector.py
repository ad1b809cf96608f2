"""A collector of traces on loopback (OTLP over HTTP), and a trace drawn in a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from rich.table import Table
from rich.text import Text

_WIDTH: Final = 30
_MILLISECOND: Final = 1e6
_STYLES: Final = {"pdp.signal": "yellow", "pdp.attributes": "cyan", "pdp.watch": "green", "pdp.evaluate": "magenta"}
_SHOWN: Final = (
    "pdp.signal.transmitter",
    "pdp.signal.event",
    "pdp.write.attributes",
    "pdp.effect",
    "pdp.reasons",
)


class Collector:
    """Takes spans. ``with Collector() as collector``.

    Attributes:
        url: where to.
    """

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._spans))
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def trace(self, number: int, least: int, patience: float) -> list[Span]:
        """Give the spans of a signal's trace, counted from the first signal, once it has so many or patience ends."""
        end = time.monotonic() + patience
        while True:
            spans = list(self._spans)
            roots = sorted((it for it in spans if it.name == "pdp.signal"), key=lambda it: it.start_time_unix_nano)
            found = [it for root in roots[number : number + 1] for it in spans if it.trace_id == root.trace_id]
            if len(found) >= least or time.monotonic() > end:
                return found
            time.sleep(0.05)


def drawn(spans: Sequence[Span]) -> Table:
    """Draw a trace: each span below what it is a part of, and when it was."""
    began = min(it.start_time_unix_nano for it in spans)
    whole = max(it.end_time_unix_nano for it in spans) - began or 1
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("span", no_wrap=True, min_width=36)
    table.add_column(f"{whole / _MILLISECOND:.2f} ms", no_wrap=True, min_width=_WIDTH)
    table.add_column("from", justify="right", no_wrap=True, min_width=6)
    table.add_column("took", justify="right", no_wrap=True, min_width=6)
    table.add_column("", no_wrap=True, overflow="ellipsis")
    for lead, span in _tree(spans):
        style = next(style for start, style in _STYLES.items() if span.name.startswith(start))
        start, took = span.start_time_unix_nano - began, span.end_time_unix_nano - span.start_time_unix_nano
        first = min(_WIDTH - 1, int(start / whole * _WIDTH))
        length = max(1, min(_WIDTH - first, round(took / whole * _WIDTH)))
        table.add_row(
            Text.assemble((lead, "dim"), (span.name, style)),
            Text(" " * first + "━" * length, style=style),
            f"{start / _MILLISECOND:.2f}",
            f"{took / _MILLISECOND:.2f}",
            Text(_said(span), style="dim"),
        )
    return table


def _tree(spans: Sequence[Span]) -> Iterator[tuple[str, Span]]:
    """Give each span with the lines that lead to it, parents first."""
    known = {it.span_id for it in spans}
    ordered = sorted(spans, key=lambda it: (it.start_time_unix_nano, -it.end_time_unix_nano))
    yield from _below([it for it in ordered if it.parent_span_id not in known], ordered, "", root=True)


def _below(these: Sequence[Span], spans: Sequence[Span], lead: str, *, root: bool) -> Iterator[tuple[str, Span]]:
    for span in these:
        last = span is these[-1]
        yield lead + ("" if root else "└─ " if last else "├─ "), span
        deeper = lead + ("" if root else "   " if last else "│  ")
        yield from _below([it for it in spans if it.parent_span_id == span.span_id], spans, deeper, root=False)


def _said(span: Span) -> str:
    facts = {it.key: it.value for it in span.attributes}
    return "  ".join(_plain(facts[name]) for name in _SHOWN if name in facts)


def _plain(value: Any) -> str:
    return ", ".join(_plain(it) for it in value.array_value.values) or value.string_value


def _handler(spans: list[Span]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
