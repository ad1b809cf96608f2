"""Our service under load: as ``pdp serve`` runs it, its decision log, metrics and traces at their defaults."""

from __future__ import annotations

import contextlib
import http.server
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import grpc

from pdp.client import Question
from pdp.v1 import policy_decision_pb2 as rpc
from tests.bench.dataplane.load import Target, WrongAnswerError
from tests.bench.dataplane.server import Server, framed

ROOT: Final = Path(__file__).parents[3]
POLICIES: Final = Path(__file__).parent / "policies"
BATCH: Final = 50
STREAM: Final = 200
_SERVICE: Final = "/pdp.v1.PolicyDecisionService/"
_ALLOW: Final = 1


@contextlib.contextmanager
def serving(transport: str, redis_url: str, traces_url: str, *, workers: int = 2) -> Iterator[Server]:
    """Run the service on two workers, verified."""
    with tempfile.TemporaryDirectory(prefix="pdp-bench-") as folder:
        started = time.perf_counter()
        process = _start(transport, redis_url, traces_url, folder, workers)
        try:
            address = _await_ready(process)
            ready = time.perf_counter() - started
            yield Server(f"pdp, {transport}", process.pid, _targets(address), ready)
        finally:
            process.terminate()
            process.wait(30)


def _start(transport: str, redis_url: str, traces_url: str, folder: str, workers: int) -> subprocess.Popen[str]:
    settings = (
        f"policy.state={folder}/policy",
        f"audit.directory={folder}/audit",
        f"audit.keys={folder}/keys",
        f"telemetry.traces_url={traces_url}",
    )
    command = [sys.executable, "-m", "pdp", "serve", "--sample", "--server", transport, "--workers", str(workers)]
    command += ["--policies", str(POLICIES), "--redis", redis_url, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    for setting in (*settings, "telemetry.log_level=warning"):
        command += ["--set", setting]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def _await_ready(process: subprocess.Popen[str]) -> str:
    lines = []
    assert process.stderr
    for line in process.stderr:
        lines.append(line)
        if line.startswith("ready"):
            threading.Thread(target=process.stderr.read, daemon=True).start()
            found = re.search(r"gRPC (\S+)", "".join(lines))
            assert found
            return found[1]
    raise WrongAnswerError("".join(lines))


def question(resource: str = "c-1") -> rpc.EvaluateRequest:
    """Ask whether alice may read a customer."""
    return Question(("user", "alice"), "read", ("customer", resource), "s-1", "d-1", "billing").message()


def _targets(address: str) -> dict[str, Target]:
    batch = rpc.BatchEvaluateRequest(defaults=question())
    for number in range(1, BATCH + 1):
        resource = batch.items.add().resource
        resource.type, resource.id = "customer", f"c-{number}"
    asked = [
        rpc.EvaluateStreamRequest(request_id=str(number), request=question(f"c-{number % BATCH + 1}"))
        for number in range(STREAM)
    ]
    with grpc.insecure_channel(address) as channel:
        _await_attributes(channel)
        return {
            "unary": _unary(channel, address),
            "batch": _batch(channel, address, batch),
            "stream": _stream(channel, address, asked),
        }


def _await_attributes(channel: grpc.Channel) -> None:
    """Ask until every worker has what it needs in memory: a new connection goes to any of them."""
    call = channel.unary_unary(f"{_SERVICE}Evaluate")
    for _ in range(100):
        answer = rpc.EvaluateResponse.FromString(call(question().SerializeToString(), timeout=5))
        if answer.decision.effect == _ALLOW:
            return
        time.sleep(0.05)
    raise WrongAnswerError(str(answer))


def _unary(channel: grpc.Channel, address: str) -> Target:
    message = question().SerializeToString()
    answer = channel.unary_unary(f"{_SERVICE}Evaluate")(message, timeout=5)
    _require([rpc.EvaluateResponse.FromString(answer).decision.effect], 1)
    return Target(f"http://{address}{_SERVICE}Evaluate", framed(message), len(framed(answer)))


def _batch(channel: grpc.Channel, address: str, batch: rpc.BatchEvaluateRequest) -> Target:
    message = batch.SerializeToString()
    answer = channel.unary_unary(f"{_SERVICE}BatchEvaluate")(message, timeout=5)
    _require([result.decision.effect for result in rpc.BatchEvaluateResponse.FromString(answer).results], BATCH)
    return Target(f"http://{address}{_SERVICE}BatchEvaluate", framed(message), len(framed(answer)), BATCH)


def _stream(channel: grpc.Channel, address: str, asked: list[rpc.EvaluateStreamRequest]) -> Target:
    call = channel.stream_stream(f"{_SERVICE}EvaluateStream")
    messages = [request.SerializeToString() for request in asked]
    answers = list(call(iter(messages), timeout=20))
    _require([rpc.EvaluateStreamResponse.FromString(answer).decision.effect for answer in answers], STREAM)
    body = b"".join(map(framed, messages))
    return Target(f"http://{address}{_SERVICE}EvaluateStream", body, sum(len(framed(a)) for a in answers), STREAM)


def _require(effects: list[int], count: int) -> None:
    if effects != [_ALLOW] * count:
        raise WrongAnswerError(f"expected {count} allows, got effects {effects}")


@contextlib.contextmanager
def trace_sink() -> Iterator[str]:
    """Take traces by OTLP over HTTP and drop them; give the URL."""

    class Sink(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    finally:
        server.shutdown()
        server.server_close()
