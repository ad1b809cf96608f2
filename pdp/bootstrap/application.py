"""What one worker process runs: adapters put around the service, and the service behind its interfaces."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pdp.api import ext_authz
from pdp.api.decisions import SERVICE, DecisionService
from pdp.api.http import DecisionHttp
from pdp.api.watch import SERVICE as WATCH_SERVICE
from pdp.api.watch import WatchService
from pdp.attributes import RedisAttributes
from pdp.audit.answers import AnswerLog
from pdp.audit.keys import load_pseudonym
from pdp.bootstrap.admission import admitted
from pdp.bootstrap.configuration import facts
from pdp.bootstrap.engines import factory_of
from pdp.bootstrap.ids import id_source
from pdp.bootstrap.policies import keeper_of, trust_of
from pdp.bootstrap.probes import Parts, Probes
from pdp.bootstrap.reporting import StatusReports
from pdp.bootstrap.risk import RiskWatch
from pdp.bootstrap.signals import AttributeIntake, writer_settings
from pdp.bootstrap.trials import Trials
from pdp.config import Config, validated
from pdp.core.errors import AuditUnavailableError
from pdp.policy import PolicyStatus, StateFolder
from pdp.server.application import Place
from pdp.server.certificates import Certificates
from pdp.server.health import Health
from pdp.server.reflection import reflection_routes
from pdp.server.rpc import Routes
from pdp.service import Clocks, PolicyDecisionPoint
from pdp.telemetry import logs
from pdp.telemetry.setup import build as build_telemetry
from pdp.telemetry.sharing import SharedMetrics
from pdp.watching import WatchHub

_CLOCKS: Final = Clocks(wall=time.time, elapsed=time.perf_counter, new_id=id_source())
_PROBE_INTERVAL: Final = 0.1
_SPAN_GRACE: Final = 3.0
_SERVICES: Final = (SERVICE, WATCH_SERVICE, ext_authz.SERVICE)
_NOTED_PROBLEMS: Final = 20
_CERTIFICATES_INTERVAL: Final = 1.0
_CONFIGURATION: Final = "configuration"


async def build(settings: Mapping[str, Any], place: Place) -> DecisionApplication:
    """Make the application of a worker.

    Args:
        settings: nested settings as ``config.validated`` takes them.
        place: where the worker stands among the others.

    Raises:
        ConfigError: they cannot be used.
        KeyFileError: a pseudonym key cannot be used.
    """
    return DecisionApplication(validated(settings), place)


class DecisionApplication:
    """Implements ``pdp.server.application.Application``."""

    def __init__(self, config: Config, place: Place) -> None:
        self._config = config
        self._output = logs.configure(config.telemetry.log_level, config.telemetry.log_format, sys.stderr)
        self._telemetry = build_telemetry(config.telemetry, load_pseudonym(config.audit.keys))
        self._attributes = RedisAttributes(config.redis)
        self._engine = factory_of(config.policy.engine)
        self._policies = keeper_of(config.policy, self._engine)
        self._log = AnswerLog(replace(config.audit, worker=f"{config.audit.worker}{place.worker}"))
        self._shared = SharedMetrics(Path(place.shared), place.worker) if place.shared else None
        self._health = Health(_SERVICES)
        parts = Parts(self._policies, self._engine, self._attributes, self._log, self._telemetry, self._shared)
        self._probes = Probes(parts)
        pseudonym = self._telemetry.pseudonyms.of("subject")
        self._risk = RiskWatch(config, self._policies, writer_settings(config), pseudonym)
        observers = (*self._telemetry.observers, self._risk.monitor)
        self.point = PolicyDecisionPoint(self._policies, self._attributes, self._log, _CLOCKS, observers)
        self.watching = WatchHub(
            self.point,
            self._policies,
            self._attributes,
            self._attributes,
            _CLOCKS,
            config.watch,
            self._telemetry.tracer,
        )
        state, trust = StateFolder(config.policy.state), trust_of(config.policy)
        self._trials = Trials(state, trust, factory_of(config.policy.engine), self.point, self._log)
        self._trying: asyncio.Task[None] | None = None
        self._telemetry.watch_trial(lambda: self._trials.counts)
        self._reports = StatusReports(state, self._policies, self._trials, place.worker)
        self._intake = AttributeIntake(config, self._policies, self._log, self._telemetry.tracer)
        self._telemetry.watch_signals(self._intake.state)
        self._telemetry.watch_risk(self._risk.state)
        self._telemetry.watch_watches(self.watching.stats)
        self._tasks: list[asyncio.Task[None]] = []
        self.routes = self._make_routes(config)

    async def start(self) -> None:
        """Take the policy, open the log, begin to connect to the attribute store."""
        await self._attributes.start()
        await self._policies.reload()
        policy = self._policies.current()
        await self._log.open(policy.schema if policy else None)
        certificates = Certificates(self._config.tls) if self._config.tls else None
        self._log.note(_CONFIGURATION, **facts(self._config))
        # Not earlier: what is noted goes on record.
        self._policies.follow(self._note_policy)
        self._note_policy(self._policies.status)
        await self._intake.start()
        await self._risk.start()
        self._tasks.append(asyncio.create_task(self._policies.watch()))
        self._tasks.append(asyncio.create_task(self._report_health()))
        self._tasks.append(asyncio.create_task(self._reports.keep()))
        if certificates:
            self._tasks.append(asyncio.create_task(self._follow(certificates)))
        if self._shared:
            self._tasks.append(asyncio.create_task(self._shared.keep(self._probes.own_metrics)))
        # What was made until now stays: the collector need not look at it again.
        gc.freeze()

    def drain(self) -> None:
        """Report not ready from now on, end the streams that would last, and go on answering."""
        self._probes.drain()
        self._health.drain()
        self.watching.drain()

    async def stop(self) -> None:
        """Close what was opened, the log last but for the spans of what it recorded."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._risk.stop()
        await self._intake.stop()
        with contextlib.suppress(Exception):
            await self._attributes.stop()
        await self._log.close()
        await asyncio.to_thread(self._telemetry.shutdown, _SPAN_GRACE)
        self._output.close()

    def _make_routes(self, config: Config) -> Routes:
        telemetry, point = self._telemetry, self.point
        decisions = DecisionService(point, telemetry.pseudonyms.of("attribute"), config.api)
        envoy = ext_authz.ExtAuthz(point, self._policies, config.ext_authz)
        watch = WatchService(self.watching)
        reflection = reflection_routes([*_SERVICES, *self._intake.services()])
        asked = {**decisions.methods(), **watch.methods(), **envoy.methods(), **reflection}
        http = DecisionHttp(point, config.api).handlers()
        callers = frozenset(config.server.callers)
        return Routes(
            rpc={**admitted(asked, callers), **self._intake.methods(), **self._health.routes()},
            http={**http, **self._intake.handlers(), **self._risk.handlers(), **self._probes.handlers()},
        )

    def _note_policy(self, status: PolicyStatus) -> None:
        """Decide by the revision in force from now on, and put on record which it is, or why a change is not."""
        self.watching.policy_changed()
        self._risk.monitor.policy_changed()
        problems = [str(problem) for problem in status.problems[:_NOTED_PROBLEMS]]
        with contextlib.suppress(AuditUnavailableError):
            self._log.note("reload", revision=status.revision, refused=problems, held=status.held or None)
        self._reports.changed()
        self._trying = asyncio.ensure_future(self._trials.follow(self._policies.current()))

    async def _follow(self, certificates: Certificates) -> None:
        """Put on record when new connections come to be made by other certificates."""
        while True:
            await asyncio.sleep(_CERTIFICATES_INTERVAL)
            if await asyncio.to_thread(certificates.changed):
                with contextlib.suppress(AuditUnavailableError):
                    self._log.note(_CONFIGURATION, **facts(self._config))

    async def _report_health(self) -> None:
        while True:
            self._health.set(serving=not self._probes.obstacles())
            await asyncio.sleep(_PROBE_INTERVAL)
