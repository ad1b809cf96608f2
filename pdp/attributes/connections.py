"""Connections to the store: how they are made, and where to.

Nothing here retries: the request path fails at once and the tracking loop has a pace of its own. Nothing here has a
time limit either: whoever uses a connection puts ``asyncio.timeout`` around the whole of what it does. The library's
own limits go through ``asyncio.wait_for``, which before Python 3.12 can swallow the cancellation of its caller.
"""

from __future__ import annotations

from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.connection import (
    AbstractConnection,
    BlockingConnectionPool,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from pdp.attributes.settings import RedisSettings, parse_url
from pdp.core.errors import PdpError

Address = tuple[str, int]
_PROTOCOL: Final = 3


class Connector:
    """Makes connections and clients for an address, by the settings.

    Attributes:
        fetch_timeout: what one round trip may take, in seconds.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self.fetch_timeout = settings.fetch_timeout
        url = parse_url(settings.url)
        username = settings.username or url.username
        password = settings.password or url.password
        self._login: dict[str, Any] = {"username": username or None, "password": password or None}
        self._unix = bool(url.path)
        self._tls = url.tls
        self._db = url.db

    def dedicated(self, address: Address) -> AbstractConnection:
        """Make a connection of one's own."""
        kind, where = self._kind(address)
        return kind(**where, **self._common(), **self._login, db=self._db)

    def client(self, address: Address) -> Redis:
        """Make a client with a bounded pool."""
        kind, where = self._kind(address)
        pool = BlockingConnectionPool(
            max_connections=self._settings.max_connections,
            timeout=None,
            connection_class=kind,
            **where,
            **self._common(),
            **self._login,
            db=self._db,
        )
        return Redis.from_pool(pool)

    def sentinel(self, address: Address) -> Redis:
        """Make a client of one sentinel."""
        settings = self._settings
        kind, where = self._kind(address)
        pool = BlockingConnectionPool(
            max_connections=1,
            timeout=None,
            connection_class=kind,
            username=settings.sentinel_username or None,
            password=settings.sentinel_password or None,
            **where,
            **self._common(),
        )
        return Redis.from_pool(pool)

    def _kind(self, address: Address) -> tuple[type[AbstractConnection], dict[str, Any]]:
        host, port = address
        if self._unix:
            return UnixDomainSocketConnection, {"path": host}
        if not self._tls:
            return Connection, {"host": host, "port": port}
        settings = self._settings
        files = {
            "ssl_ca_certs": settings.ca_file or None,
            "ssl_certfile": settings.cert_file or None,
            "ssl_keyfile": settings.key_file or None,
        }
        return SSLConnection, {"host": host, "port": port, **files}

    def _common(self) -> dict[str, Any]:
        # Maintenance notifications and CLIENT SETINFO are off: the least-privileged user may do neither, and the
        # former makes the first call on a connection that the server had closed fail.
        return {
            "protocol": _PROTOCOL,
            "socket_timeout": None,
            "socket_connect_timeout": None,
            "retry": Retry(NoBackoff(), 0),
            "driver_info": None,
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        }


def describe(error: BaseException) -> str:
    """Say what failed in a form safe for logs: the kind of error and Redis's own code, never its text."""
    if isinstance(error, PdpError):
        return str(error)
    cause = error.__cause__ or error.__context__
    if type(error) is RedisConnectionError and isinstance(cause, RedisError):
        return describe(cause)
    name = type(error).__name__
    if isinstance(error, RedisError) and isinstance(cause, OSError) and cause.strerror:
        return f"{name}: {cause.strerror}"
    code = str(error).partition(" ")[0] if isinstance(error, ResponseError) else ""
    return f"{name}: {code}" if code.isalpha() and code.isupper() else name
