"""What an operator's tools ask of the process: /healthz, /readyz and /metrics."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pdp.attributes import RedisAttributes
from pdp.audit.answers import AnswerLog
from pdp.engine.matcher import ShadowEngine
from pdp.policy import EngineFactory
from pdp.policy.folder import FolderSource
from pdp.server.rpc import HttpHandler, HttpRequest, HttpResponse
from pdp.telemetry.setup import Telemetry

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


class Probes:
    """Tells how the parts are, in the words of each."""

    def __init__(
        self,
        policies: FolderSource,
        engine: EngineFactory,
        attributes: RedisAttributes,
        log: AnswerLog,
        telemetry: Telemetry,
    ) -> None:
        self._policies = policies
        self._engine = engine
        self._attributes = attributes
        self._log = log
        self._telemetry = telemetry
        self._draining = False
        telemetry.watch_attributes(attributes.stats)
        telemetry.watch_policy(self._policy_state)
        telemetry.watch_audit(log.state)

    def drain(self) -> None:
        """Report not ready from now on."""
        self._draining = True

    def obstacles(self) -> dict[str, str]:
        """Say what stands in the way of deciding, by part; empty where nothing does."""
        found = {
            "server": "draining" if self._draining else None,
            "policy": None if self._policies.current() else "no policy revision has been accepted",
            "attributes": self._attributes.ready(),
            "audit": self._log.obstacle(),
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
        status = self._policies.status
        body = {
            "status": "not ready" if obstacles else "ready",
            **({"obstacles": obstacles} if obstacles else {}),
            "revision": status.revision,
            # The last good revision decides on; what is wrong with the files since is told, not acted on.
            **({"policy_problems": [str(problem) for problem in status.problems]} if status.problems else {}),
        }
        return HttpResponse(503 if obstacles else 200, json.dumps(body).encode() + b"\n", _JSON)

    async def _metrics(self, request: HttpRequest) -> HttpResponse:
        answer = self._telemetry.render_metrics(request.headers.get("accept", ""))
        return HttpResponse(200, answer.body, {"content-type": answer.content_type})

    def _policy_state(self) -> _PolicyState:
        status, policy = self._policies.status, self._policies.current()
        rules = len(policy.rules) if policy else 0
        differences = self._engine.differences if isinstance(self._engine, ShadowEngine) else 0
        return _PolicyState(status.revision, status.since, rules, status.loads, status.failures, differences)
