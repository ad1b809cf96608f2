"""An ASGI application that is only ever loaded."""

from __future__ import annotations


async def app(_scope: object, _receive: object, _send: object) -> None:
    raise NotImplementedError
