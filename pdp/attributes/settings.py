"""Where the attribute store is and how long it may take; checked when made, secrets kept out of ``repr``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

_SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
_REDIS_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Settings of the Redis attribute source. Times are in seconds.

    Attributes:
        url: ``redis://host:port/db``, ``rediss://`` for TLS, ``unix:///path`` (``?db=1``), or
            ``redis+sentinel://host:port,host:port/service`` (``rediss+sentinel://`` for TLS to the primary and the
            sentinels). ``user:password@`` may stand before the host. Other query parameters are refused. Empty for
            none: then the service starts an embedded server of its own and puts that one's URL here.
        username: ACL user; overrides the one in the URL.
        password: its password; overrides the one in the URL.
        sentinel_username: ACL user at the sentinels, if they ask for one.
        sentinel_password: its password.
        ca_file: PEM file of the authorities that may vouch for the server; the system's where empty.
        cert_file: PEM file of the client certificate, where the server asks for one.
        key_file: PEM file of its key.
        lease: how long a cached attribute may decide after the store was last known to be in touch.
        ping_interval: how often the lease is renewed.
        silence: how long the tracking connection may owe an answer before it is given up.
        connect_timeout: bound on connecting, logging in and switching tracking on.
        fetch_timeout: bound on one read; a caller's own deadline may be nearer.
        reconnect_delay: longest pause between attempts to connect; the first is a twentieth of it.
        max_connections: connections for reads.
        max_entries: entities held in memory, per process.
    """

    url: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    sentinel_username: str = ""
    sentinel_password: str = field(default="", repr=False)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    lease: float = 0.3
    ping_interval: float = 0.1
    silence: float = 1.0
    connect_timeout: float = 0.5
    fetch_timeout: float = 0.05
    reconnect_delay: float = 1.0
    max_connections: int = 16
    max_entries: int = 100_000

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ValueError: names the setting and what is allowed; never shows the URL.
        """
        if self.url:
            parse_url(self.url)
        for name in ("lease", "ping_interval", "silence", "connect_timeout", "fetch_timeout", "reconnect_delay"):
            if not 0 < getattr(self, name) <= 60:  # noqa: PLR2004 - a minute is beyond any use
                raise ValueError(f"{name}: must be above 0 and at most 60 seconds")
        if self.lease < 2 * self.ping_interval:
            raise ValueError("lease: must be at least twice ping_interval, or one late answer ends it")
        if self.silence < self.lease:
            raise ValueError("silence: must be at least lease")
        for name in ("max_connections", "max_entries"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1")
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file, key_file: give both or neither")


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """A store URL taken apart.

    Attributes:
        hosts: host and port of the server, or of each sentinel; empty for a unix socket.
        path: the unix socket; empty otherwise.
        service: the name sentinels know the primary by; empty where there are none.
        tls: whether connections are encrypted.
        db: database number.
        username: empty for the default user.
        password: empty for none.
    """

    hosts: tuple[tuple[str, int], ...]
    path: str
    service: str
    tls: bool
    db: int
    username: str
    password: str = field(repr=False)


def parse_url(url: str) -> StoreUrl:
    """Take a store URL apart.

    Raises:
        ValueError: says what is wrong without repeating the URL, which may hold a password.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"url: must start with one of {', '.join(f'{scheme}://' for scheme in _SCHEMES)}")
    if parts.fragment:
        raise ValueError("url: '#' must be written %23 in a password")
    login, _, places = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    sentinel = parts.scheme.endswith("+sentinel")
    unix = parts.scheme == "unix"
    hosts = () if unix else _hosts(places, _SENTINEL_PORT if sentinel else _REDIS_PORT)
    if unix and not parts.path:
        raise ValueError("url: unix:// needs the path of a socket")
    if len(hosts) > 1 and not sentinel:
        raise ValueError("url: several hosts need redis+sentinel://")
    service, db = _service_and_db(parts, sentinel=sentinel, unix=unix)
    return StoreUrl(
        hosts=hosts,
        path=unquote(parts.path) if unix else "",
        service=service,
        tls=parts.scheme.startswith("rediss"),
        db=db,
        username=unquote(username),
        password=unquote(password),
    )


def _hosts(places: str, port: int) -> tuple[tuple[str, int], ...]:
    return tuple(_host(place, port) for place in places.split(","))


def _host(place: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{place}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if not parts.hostname or port == -1 or "@" in place:
        raise ValueError("url: needs host or host:port, several parted by commas for sentinels")
    return parts.hostname, default_port if port is None else port


def _service_and_db(parts: SplitResult, *, sentinel: bool, unix: bool) -> tuple[str, int]:
    name, _, value = parts.query.partition("=")
    segments = [] if unix else [unquote(segment) for segment in parts.path.strip("/").split("/") if segment]
    service = segments.pop(0) if sentinel and segments else ""
    if sentinel and not service:
        raise ValueError("url: redis+sentinel:// needs /service after the hosts")
    if parts.query:
        if name != "db":
            raise ValueError("url: the only query parameter is db")
        segments.append(value)
    if len(segments) > 1 or not all(segment.isascii() and segment.isdigit() for segment in segments):
        raise ValueError("url: the database must be one whole number")
    return service, int(segments[0]) if segments else 0
