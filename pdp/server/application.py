"""What a worker process runs: an application built by a factory, and the settings both transports share."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pdp.server.rpc import Limits, Routes, Tls


class Application(Protocol):
    """A service as a transport runs it.

    A transport calls ``start``, serves ``routes``, calls ``drain`` when it is asked to stop, waits for the
    calls in flight, then calls ``stop``. All in one event loop, each at most once; ``drain`` and ``stop`` also
    when ``start`` has raised. ``routes`` is read once, after ``start``.
    """

    @property
    def routes(self) -> Routes:
        """What to serve."""
        ...

    async def start(self) -> None:
        """Connect and load. An exception ends the worker."""
        ...

    def drain(self) -> None:
        """From now on report not ready (health NOT_SERVING), yet go on answering."""
        ...

    async def stop(self) -> None:
        """Release all that ``start`` took. No call is in flight."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker stands among those of one service.

    Attributes:
        worker: its number, from 0; a successor after a crash has its predecessor's.
        shared: a folder that all of them share while the service runs; empty where there is one worker only.
    """

    worker: int = 0
    shared: str = ""


Factory = Callable[[Mapping[str, Any], Place], Awaitable[Application]]


def load_factory(name: str) -> Factory:
    """The factory named ``module:function``.

    Raises:
        ValueError: when the name has another form.
        ImportError, AttributeError: when there is no such module or function.
    """
    module, separator, function = name.partition(":")
    if not (module and separator and function):
        raise ValueError(f"factory {name!r} is not of the form module:function")
    factory: Factory = getattr(importlib.import_module(module), function)
    return factory


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address to listen on; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """All a worker process needs to serve. Travels as JSON over a private pipe.

    Attributes:
        factory: the application's factory, ``module:function``.
        settings: what the factory is called with; JSON values only.
        listen: where gRPC is served; on Envoy all protocols.
        http: where HTTP/1.1 is served as well, if given.
        limits: what one caller may ask for.
        tls: certificate files; None serves plaintext.
        place: where the worker stands among the others.
    """

    factory: str
    settings: Mapping[str, Any]
    listen: Address
    http: Address | None = None
    limits: Limits = field(default_factory=Limits)
    tls: Tls | None = None
    place: Place = field(default_factory=Place)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ServerSettings:
        """The inverse of ``to_json``."""
        values = json.loads(text)
        return cls(
            factory=values["factory"],
            settings=values["settings"],
            listen=Address(**values["listen"]),
            http=Address(**values["http"]) if values["http"] else None,
            limits=Limits(**values["limits"]),
            tls=Tls(**values["tls"]) if values["tls"] else None,
            place=Place(**values["place"]),
        )
