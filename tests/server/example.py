"""An application for the transports' tests: it echoes, streams, denies, dawdles, fails and remembers."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import wrappers_pb2
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2
from prometheus_client import REGISTRY, Counter, generate_latest

from pdp.server.application import Place
from pdp.server.health import Health
from pdp.server.reflection import reflection_routes
from pdp.server.rpc import (
    Call,
    Code,
    HttpRequest,
    HttpResponse,
    Routes,
    RpcError,
    Streaming,
    Unary,
)
from pdp.telemetry.sharing import SharedMetrics

SERVICE = "test.v1.Example"
_CALLS = Counter("example_calls", "Echo calls answered.")


def path(method: str) -> str:
    return f"/{SERVICE}/{method}"


class Example:
    """Implements ``pdp.server.application.Application``."""

    def __init__(self, settings: Mapping[str, Any], place: Place) -> None:
        self._settings = settings
        self._shared = SharedMetrics(Path(place.shared), place.worker) if place.shared else None
        self._health = Health([SERVICE])
        self._cancelled: list[str] = []
        self._draining = False

    @property
    def routes(self) -> Routes:
        rpc: dict[str, Unary | Streaming] = {
            path("Echo"): Unary(self.echo),
            path("Size"): Unary(self.size),
            path("Parse"): Unary(self.parse),
            path("Deny"): Unary(self.deny),
            path("Fail"): Unary(self.fail),
            path("Sleep"): Unary(self.sleep),
            path("WhoAmI"): Unary(self.who_am_i),
            path("Chat"): Streaming(self.chat),
            path("Count"): Streaming(self.count),
            path("Break"): Streaming(self.break_off),
            path("Cancelled"): Unary(self.cancelled),
        }
        http = {
            ("GET", "/healthz"): self.healthz,
            ("GET", "/readyz"): self.readyz,
            ("GET", "/metrics"): self.metrics,
            ("POST", "/v1/echo"): self.http_echo,
            ("POST", "/v1/fail"): self.http_fail,
        }
        rpc |= self._health.routes() | reflection_routes([SERVICE, "grpc.health.v1.Health"])
        return Routes(rpc=rpc, http=http)

    async def start(self) -> None:
        if self._settings.get("fail_at_start"):
            raise RuntimeError("this application does not start")
        if self._shared:
            self._keeping = asyncio.create_task(self._shared.keep(lambda: generate_latest(REGISTRY)))
        self._health.set(serving=True)

    def drain(self) -> None:
        self._draining = True
        self._health.drain()

    async def stop(self) -> None:
        if stopped := self._settings.get("stopped_file"):
            with open(stopped, "a") as file:  # noqa: ASYNC230, PTH123 - one short line at the end
                file.write(f"{os.getpid()}\n")

    async def echo(self, message: bytes, _call: Call) -> bytes:
        _CALLS.inc()
        return message

    async def size(self, message: bytes, _call: Call) -> bytes:
        return str(len(message)).encode()

    async def parse(self, message: bytes, _call: Call) -> bytes:
        try:
            return wrappers_pb2.StringValue.FromString(message).value.encode()
        except DecodeError:
            raise RpcError(Code.INVALID_ARGUMENT, "malformed StringValue") from None

    async def deny(self, _message: bytes, _call: Call) -> bytes:
        details = status_pb2.Status(code=code_pb2.PERMISSION_DENIED, message="not you: ünïcode 100%")
        details.details.add().Pack(error_details_pb2.ErrorInfo(reason="RISK_HIGH", domain="pdp"))
        raise RpcError(Code.PERMISSION_DENIED, details.message, details.SerializeToString())

    async def fail(self, _message: bytes, _call: Call) -> bytes:
        raise ValueError("secret-card-number")

    async def sleep(self, message: bytes, call: Call) -> bytes:
        """Sleep the milliseconds stated; remember under the rest of the message if cancelled."""
        milliseconds, _, name = message.decode().partition(" ")
        try:
            await asyncio.sleep(int(milliseconds) / 1000)
        except asyncio.CancelledError:
            self._cancelled.append(name)
            raise
        return str(call.deadline - asyncio.get_running_loop().time()).encode()

    async def cancelled(self, _message: bytes, _call: Call) -> bytes:
        return json.dumps(self._cancelled).encode()

    async def who_am_i(self, _message: bytes, call: Call) -> bytes:
        left = call.deadline - asyncio.get_running_loop().time()
        seen = {
            "pid": os.getpid(),
            "path": call.path,
            "spiffe_id": call.peer.spiffe_id,
            "encrypted": call.peer.encrypted,
            "address": call.peer.address,
            "metadata": dict(call.metadata),
            "left": left,
        }
        return json.dumps(seen).encode()

    async def chat(self, requests: AsyncIterator[bytes], _call: Call) -> AsyncIterator[bytes]:
        message = b""
        try:
            async for message in requests:
                yield message
        finally:
            self._cancelled.append(f"chat ended after {message[:20].decode('latin-1')}")

    async def count(self, requests: AsyncIterator[bytes], _call: Call) -> AsyncIterator[bytes]:
        """Count up to the number in the one request, then for ever if it is negative."""
        async for message in requests:
            number, most = 0, int(message)
            try:
                while most < 0 or number < most:
                    yield str(number).encode()
                    number += 1
                    if most < 0:
                        await asyncio.sleep(0.01)
            finally:
                self._cancelled.append(f"count ended at {most}")

    async def break_off(self, requests: AsyncIterator[bytes], _call: Call) -> AsyncIterator[bytes]:
        """Echo one message, then fail with what the second asks for."""
        async for message in requests:
            if message == b"status":
                raise RpcError(Code.ABORTED, "as asked")
            if message == b"bug":
                raise ValueError("secret-card-number")
            yield message

    async def healthz(self, _request: HttpRequest) -> HttpResponse:
        return HttpResponse(200, b"ok\n", {"content-type": "text/plain"})

    async def readyz(self, _request: HttpRequest) -> HttpResponse:
        return HttpResponse(503 if self._draining else 200)

    async def metrics(self, _request: HttpRequest) -> HttpResponse:
        text = generate_latest(REGISTRY)
        return HttpResponse(200, self._shared.merged(text) if self._shared else text, {"content-type": "text/plain"})

    async def http_echo(self, request: HttpRequest) -> HttpResponse:
        seen = {
            "query": request.query,
            "body": request.body.decode(),
            "header": request.headers.get("x-test"),
            "spiffe_id": request.peer.spiffe_id,
        }
        return HttpResponse(200, json.dumps(seen).encode(), {"content-type": "application/json"})

    async def http_fail(self, _request: HttpRequest) -> HttpResponse:
        raise ValueError("secret-card-number")


async def build(settings: Mapping[str, Any], place: Place) -> Example:
    return Example(settings, place)
