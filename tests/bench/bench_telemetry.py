"""What observing an answer costs, beside the libraries' own ways of doing the same in the same run.

Run: python -m tests.bench.bench_telemetry
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import quantiles
from timeit import repeat

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from prometheus_client import CollectorRegistry, Counter, Histogram

from pdp.core.reasons import Reason
from pdp.ports import Answer
from pdp.telemetry.export import SpanPipeline
from pdp.telemetry.metrics import BUCKETS, DecisionMetrics
from pdp.telemetry.pseudonym import Pseudonyms
from pdp.telemetry.settings import TelemetrySettings
from pdp.telemetry.spans import SpanFactory
from pdp.telemetry.tracing import DecisionTracer
from tests.telemetry.answers import PARENT, allow, deny

ROUNDS = 7


def cost(action: Callable[[], object], number: int) -> float:
    """Microseconds of one call: the best of several rounds, less an empty call."""
    empty = min(repeat(lambda: None, number=number, repeat=ROUNDS))
    return (min(repeat(action, number=number, repeat=ROUNDS)) - empty) / number * 1e6


def library_metrics(answer: Answer) -> Callable[[], None]:
    registry = CollectorRegistry()
    decisions = Counter("d", "d", ("effect", "reason"), registry=registry)
    durations = Histogram("h", "h", ("cached",), buckets=BUCKETS, registry=registry)

    def observe() -> None:
        decisions.labels(answer.decision.effect.value, answer.decision.causes[0].code).inc()
        durations.labels("true" if answer.cached else "false").observe(answer.duration)

    return observe


def library_tracing(ratio: float) -> Callable[[], None]:
    tracer = TracerProvider(sampler=ParentBasedTraceIdRatio(ratio), shutdown_on_exit=False).get_tracer("peer")

    def observe() -> None:
        tracer.start_span("pdp.evaluate", attributes={"pdp.effect": "allow"}).end()

    return observe


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def lateness(tracer: DecisionTracer | None, per_second: int, seconds: float = 4.0) -> tuple[float, float]:
    """How late a busy thread finishes 100-us steps while spans are exported: p99 and p99.9, in milliseconds."""
    late, began, made = [], time.perf_counter(), 0
    while (now := time.perf_counter()) - began < seconds:
        if tracer and made < (now - began) * per_second:
            made += 1
            tracer.answered(deny(time=time.time()))
        until = time.perf_counter() + 100e-6
        while time.perf_counter() < until:
            pass
        late.append((time.perf_counter() - until) * 1e3)
    cuts = quantiles(late, n=1000)
    return cuts[989], cuts[998]


def started(url: str) -> tuple[SpanFactory, SpanPipeline]:
    settings = TelemetrySettings(traces_url=url, traces_per_second=10**6, traces_queue=65_536)
    spans = SpanFactory("0", Pseudonyms(None).of("subject"))
    return spans, SpanPipeline(settings, spans.make)


def per_answer(url: str) -> Iterator[str]:
    metrics, answer, denied = DecisionMetrics(), allow(), deny(Reason.ATTRIBUTE_STALE, trace=PARENT)
    spans, pipeline = started(url)
    tracer = DecisionTracer(pipeline.offer, 0.01)
    mine, peer = cost(lambda: metrics.answered(answer), 200_000), cost(library_metrics(answer), 50_000)
    yield f"metrics, allow             {mine:6.2f} us   prometheus_client {peer:6.2f} us   {peer / mine:5.1f} x"
    yield f"metrics, deny              {cost(lambda: metrics.answered(denied), 200_000):6.2f} us"
    mine, peer = cost(lambda: tracer.answered(answer), 200_000), cost(library_tracing(0.0), 20_000)
    yield f"trace, allow not traced    {mine:6.2f} us   OpenTelemetry SDK {peer:6.2f} us   {peer / mine:5.1f} x"
    mine, peer = cost(lambda: tracer.answered(denied), 2000), cost(library_tracing(1.0), 2000)
    yield f"trace, deny                {mine:6.2f} us   OpenTelemetry SDK {peer:6.2f} us   {peer / mine:5.1f} x"
    pipeline.shutdown(60)
    made = [spans.make(denied) for _ in range(16)]
    yield f"  made on the thread       {cost(lambda: spans.make(denied), 2000):6.2f} us"
    yield f"  encoded on the thread    {cost(lambda: encode_spans(made).SerializeToString(), 20) / 16:6.2f} us"


def beside(url: str) -> Iterator[str]:
    for per_second in (0, 200, 1000):
        _, pipeline = started(url)
        tracer = DecisionTracer(pipeline.offer, 0.01) if per_second else None
        p99, p999 = lateness(tracer, per_second)
        yield f"late with {per_second:4} spans/s        p99 {p99:.3f} ms   p99.9 {p999:.3f} ms"
        pipeline.shutdown(5)


def main() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/traces"
        for line in (*per_answer(url), *beside(url)):
            sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
