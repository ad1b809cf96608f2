"""Settings of a client."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ClientTls:
    """PEM files for mutual TLS. They are read again whenever they change.

    Attributes:
        ca: the authorities that may vouch for the service.
        certificate: the client's certificate chain, with its SPIFFE id.
        private_key: its key.
        server_name: the name to expect in the service's certificate, where it is not the target's host.
    """

    ca: Path
    certificate: Path | None = None
    private_key: Path | None = None
    server_name: str = ""

    def __post_init__(self) -> None:
        """Refuse half a client certificate.

        Raises:
            ValueError: says so.
        """
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate, private_key: give both or neither")


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Settings of a client. Times are in seconds.

    Attributes:
        targets: gRPC targets of the service, ``host:port``; a second attempt goes to the next one.
        tls: mutual TLS; None is for loopback and service meshes only.
        timeout: within which a question is answered, second attempt included.
        hedge_after: without an answer for so long, a question is asked a second time; no sooner than that.
        hedge_share: second attempts as a share of first ones, at most, so that a slow service is not given more work.
        staleness: how long after a change in the attribute store a held decision that it took back may be relied on,
            at the very most: without news from the service nothing held is relied on for longer. 0 holds nothing.
        ping_interval: how often the service is asked how old its knowledge is.
        max_lifetime: how long a held decision is relied on at most, whatever the service says.
        max_entries: decisions held.
        idle_after: a decision that is not used for so long is given up.
        reconnect_delay: longest pause between attempts to open the watch.
    """

    targets: tuple[str, ...]
    tls: ClientTls | None = None
    timeout: float = 1.0
    hedge_after: float = 0.05
    hedge_share: float = 0.1
    staleness: float = 1.0
    ping_interval: float = 0.2
    max_lifetime: float = 60.0
    max_entries: int = 10_000
    idle_after: float = 60.0
    reconnect_delay: float = 2.0

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ValueError: names the setting.
        """
        if not self.targets:
            raise ValueError("targets: give at least one")
        for name in ("timeout", "ping_interval", "max_lifetime", "max_entries", "idle_after", "reconnect_delay"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: must be above 0")
        if self.staleness and self.staleness < 2 * self.ping_interval:
            raise ValueError("staleness: must be at least twice ping_interval, or one late answer ends it; or 0")
        if not 0 <= self.hedge_share <= 1:
            raise ValueError("hedge_share: must be from 0 to 1")
