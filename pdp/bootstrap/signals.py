"""The parts by which attributes come in: the signal receiver, and the interface for feeds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pdp.api.attribute_service import SERVICE, AttributeService
from pdp.api.signals import SignalPush
from pdp.attributes.settings import RedisSettings
from pdp.attributes.store import RedisAttributeStore
from pdp.audit.answers import AnswerLog
from pdp.bootstrap.recorded import RecordedStore
from pdp.config import Config
from pdp.ports import PolicySource, Tracer
from pdp.server.rpc import HttpHandler, Streaming, Unary
from pdp.signals import Poller, SignalReceiver, TransmitterHttp


@dataclass(frozen=True, slots=True)
class _SignalState:
    """The receiver and the poller as metrics see them."""

    received: Mapping[tuple[str, str, str], int]
    polls: Mapping[tuple[str, str], int]


class AttributeIntake:
    """Takes signals and feeds, and writes what they say into the attribute store."""

    def __init__(self, config: Config, policies: PolicySource, log: AnswerLog, tracer: Tracer | None = None) -> None:
        self._store = RedisAttributeStore(writer_settings(config))
        recorded = RecordedStore(self._store, log)
        self._http = TransmitterHttp(config.signals)
        self.receiver = SignalReceiver(policies, recorded, self._http, config.signals, tracer)
        self._poller = Poller(policies, self.receiver, self._http, config.signals, self._store)
        self._push = SignalPush(self.receiver, config.signals.path)
        self._service = AttributeService(recorded, policies, config.attribute_service)
        self._tasks: list[asyncio.Task[None]] = []

    def handlers(self) -> dict[tuple[str, str], HttpHandler]:
        """Give the HTTP handlers."""
        return self._push.handlers()

    def methods(self) -> dict[str, Unary | Streaming]:
        """Give the gRPC methods. They say themselves who may call them."""
        return self._service.methods()

    def services(self) -> list[str]:
        """Give the full names of the gRPC services that are there."""
        return [SERVICE] if self.methods() else []

    def state(self) -> _SignalState:
        """Give a snapshot for metrics."""
        return _SignalState(self.receiver.counts(), self._poller.counts())

    async def start(self) -> None:
        """Begin to fetch keys, and to poll whom signals.yaml has polled."""
        await self._store.start()
        self._tasks = [asyncio.create_task(run) for run in (self.receiver.keep_keys(), self._poller.run())]

    async def stop(self) -> None:
        """End polling and close every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(Exception):
            await self._http.close()
        with contextlib.suppress(Exception):
            await self._store.stop()


def writer_settings(config: Config) -> RedisSettings:
    """Give the store's settings with a writer's patience, and the user that may write where there is one."""
    signals = config.signals
    patient = replace(config.redis, fetch_timeout=signals.store_timeout)
    if not signals.redis_username:
        return patient
    return replace(patient, username=signals.redis_username, password=signals.redis_password)
