"""What an operator's tools ask of the process: /healthz, /readyz and /metrics."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import NamedTuple

from pdp.attributes import RedisAttributes
from pdp.audit.answers import AnswerLog
from pdp.engine.matcher import ShadowEngine
from pdp.policy import EngineFactory, PolicyKeeper
from pdp.server.rpc import HttpHandler, HttpRequest, HttpResponse
from pdp.telemetry.setup import Telemetry
from pdp.telemetry.sharing import SharedMetrics

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_JSON = {"content-type": "application/json", "cache-control": "no-store"}


@dataclass(frozen=True, slots=True)
class _PolicyState:
    """The policy source as metrics see it."""

    revision: str
    loaded_at: float
    rules: int
    loads: int
    load_failures: int
    engine_differences: int


class Parts(NamedTuple):
    """What the probes ask."""

    policies: PolicyKeeper
    engine: EngineFactory
    attributes: RedisAttributes
    log: AnswerLog
    telemetry: Telemetry
    shared: SharedMetrics | None


class Probes:
    """Tells how the parts are, in the words of each."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._draining = False
        parts.telemetry.watch_attributes(parts.attributes.stats)
        parts.telemetry.watch_policy(self._policy_state)
        parts.telemetry.watch_audit(parts.log.state)

    def drain(self) -> None:
        """Report not ready from now on."""
        self._draining = True

    def obstacles(self) -> dict[str, str]:
        """Say what stands in the way of deciding, by part; empty where nothing does."""
        found = {
            "server": "draining" if self._draining else None,
            "policy": None if self._parts.policies.current() else "no policy revision has been accepted",
            "attributes": self._parts.attributes.ready(),
            "audit": self._parts.log.obstacle(),
        }
        return {part: reason for part, reason in found.items() if reason}

    def handlers(self) -> dict[tuple[str, str], HttpHandler]:
        """Give the HTTP handlers."""
        return {
            ("GET", "/healthz"): self._healthz,
            ("GET", "/readyz"): self._readyz,
            ("GET", "/metrics"): self._metrics,
        }

    async def _healthz(self, _: HttpRequest) -> HttpResponse:
        return HttpResponse(200, b'{"status":"alive"}\n', _JSON)

    async def _readyz(self, _: HttpRequest) -> HttpResponse:
        obstacles = self.obstacles()
        status = self._parts.policies.status
        body = {
            "status": "not ready" if obstacles else "ready",
            **({"obstacles": obstacles} if obstacles else {}),
            "revision": status.revision,
            # The last good revision decides on; what is wrong with the files since is told, not acted on.
            **({"policy_problems": [str(problem) for problem in status.problems]} if status.problems else {}),
        }
        return HttpResponse(503 if obstacles else 200, json.dumps(body).encode() + b"\n", _JSON)

    async def _metrics(self, request: HttpRequest) -> HttpResponse:
        if self._parts.shared:
            text = await asyncio.to_thread(self._parts.shared.merged, self.own_metrics())
            return HttpResponse(200, text, {"content-type": _TEXT})
        answer = self._parts.telemetry.render_metrics(request.headers.get("accept", ""))
        return HttpResponse(200, answer.body, {"content-type": answer.content_type})

    def own_metrics(self) -> bytes:
        """Give this worker's metrics in text format 0.0.4."""
        return self._parts.telemetry.render_metrics().body

    def _policy_state(self) -> _PolicyState:
        status, policy = self._parts.policies.status, self._parts.policies.current()
        rules = len(policy.rules) if policy else 0
        differences = self._parts.engine.differences if isinstance(self._parts.engine, ShadowEngine) else 0
        return _PolicyState(status.revision, status.since, rules, status.loads, status.failures, differences)
