"""The parts that watch behaviour: who counts, where, and who is told."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pdp.attributes.settings import RedisSettings
from pdp.attributes.windows import RedisRiskStore
from pdp.config import Config
from pdp.ports import PolicySource
from pdp.risk import Notices, Outbox, RiskMonitor, SigningKeyError
from pdp.server.rpc import HttpHandler, HttpRequest, HttpResponse

_TYPE: Final = {"content-type": "application/jwk-set+json", "cache-control": "max-age=3600"}
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _RiskState:
    """The watch on behaviour as metrics see it."""

    counted: int
    dropped: int
    lost: int
    raised: int
    lowered: int
    notices: Mapping[tuple[str, str], int]


class RiskWatch:
    """Watches what subjects do, where the policy has a limits.yaml.

    Attributes:
        monitor: to be told of each answer.
    """

    def __init__(
        self, config: Config, policies: PolicySource, writer: RedisSettings, pseudonym: Callable[[str], str]
    ) -> None:
        settings = config.risk
        self._path = settings.jwks_path
        self._notices = _notices(config)
        self._store = RedisRiskStore(writer, settings.retention, settings.timeout)
        self._outbox = Outbox(self._notices, settings, config.signals.secret)
        self.monitor = RiskMonitor(policies, self._store, self._outbox, settings, pseudonym)

    def handlers(self) -> dict[tuple[str, str], HttpHandler]:
        """Give the HTTP handler of the public key, where there is one."""
        return {("GET", self._path): self._key_set} if self._notices and self._path else {}

    def state(self) -> _RiskState:
        """Give a snapshot for metrics."""
        counts = self.monitor.counts()
        kinds = ("counted", "dropped", "lost", "raised", "lowered")
        return _RiskState(**{kind: counts.get(kind, 0) for kind in kinds}, notices=self._outbox.counts())

    async def start(self) -> None:
        """Begin to count."""
        await self._store.start()
        await self.monitor.start()

    async def stop(self) -> None:
        """End, and close every connection."""
        await self.monitor.stop()
        for close in (self._outbox.close, self._store.stop):
            with contextlib.suppress(Exception):
                await close()

    async def _key_set(self, _: HttpRequest) -> HttpResponse:
        return HttpResponse(200, self._notices.key_set() if self._notices else b"", _TYPE)


def _notices(config: Config) -> Notices | None:
    """Make what signs; without a usable key decisions go on, and every untold change is in the log."""
    if config.risk.signing_key is None:
        return None
    try:
        return Notices(config.risk.issuer, config.risk.signing_key)
    except SigningKeyError as error:
        _log.error("%s", error, extra={"event": "risk.signing_key"})
        return None
