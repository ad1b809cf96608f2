"""The few questions a worker asks the admin interface of the Envoy it runs in.

Source: https://www.envoyproxy.io/docs/envoy/latest/operations/admin.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_POLL = 0.02


class Admin:
    """The admin interface behind a Unix socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def until_listening(self) -> None:
        """Return when the listeners accept connections."""
        while await self._stat("listener_manager.workers_started") != 1:  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(_POLL)

    async def drain_listeners(self) -> None:
        """Ask callers to leave (GOAWAY, Connection: close) and then close the listeners."""
        await self._ask("POST", "/drain_listeners?graceful")

    async def until_idle(self, patience: float) -> None:
        """Return when no request is being answered, or after ``patience`` seconds."""
        deadline = asyncio.get_running_loop().time() + patience
        while asyncio.get_running_loop().time() < deadline:
            if await self._stat("http.pdp.downstream_rq_active") == 0:
                return
            await asyncio.sleep(_POLL)

    async def _stat(self, name: str) -> int | None:
        """A counter or gauge; None when there is no such or no answer."""
        try:
            answer = await self._ask("GET", f"/stats?filter={name}")
        except OSError:
            return None
        match = re.search(rf"^{re.escape(name)}: ([0-9]+)", answer, re.MULTILINE)
        return int(match[1]) if match else None

    async def _ask(self, method: str, target: str) -> str:
        reader, writer = await asyncio.open_unix_connection(str(self._path))
        try:
            writer.write(f"{method} {target} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n".encode())
            return (await reader.read()).decode("latin-1")
        finally:
            writer.close()
