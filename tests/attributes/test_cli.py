"""``pdp attributes`` as a person uses it, against real servers and the policy folder's schema."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner, Result

from pdp.attributes.announcement import announce, withdraw
from pdp.audit import AuditUnavailable, DecisionLog
from pdp.cli.attributes import app
from tests.attributes.support import Server, until
from tests.bootstrap.application import log_settings, make_keys, records

POLICIES = str(Path(__file__).parents[2] / "policies")
FILE = """\
version: 1
records:
  - entity: subject
    id: user:alice
    attributes: {roles: [agent], status: active, regions: [eu, uk], team: "[red]", customer_id: secret-7}
  - {entity: session, id: s-1, attributes: {risk: 5, revoked: false, subject: alice, auth_time: "-5m"}}
"""

Run = Callable[..., Result]


@pytest.fixture
def run(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("PDP_")]:
        monkeypatch.delenv(name)
    make_keys(tmp_path)
    for name, value in log_settings(tmp_path).items():
        monkeypatch.setenv(name, value)

    def invoke(*arguments: str, url: str = server.url) -> Result:
        where = ["--redis", url] if url else []
        return CliRunner().invoke(app, [*arguments, "--policies", POLICIES, *where])

    return invoke


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "attributes.yaml"
    path.write_text(FILE)
    return str(path)


def _row(result: Result, name: str) -> list[str]:
    return next(line.split() for line in result.stdout.splitlines() if line.split()[:1] == [name])


def test_load_set_get_delete(run: Run, file: str, server: Server) -> None:
    assert run("load", file).stdout == f"records loaded from {file}: 2\n"
    assert "session/s-1 is at version" in run("set", "session/s-1", "risk=90", "last_activity=now").stdout
    assert server.client().hget("attr:session:session:s-1", "risk") == b"90"
    shown = run("get", "session/s-1")
    assert shown.exit_code == 0
    assert _row(shown, "risk")[1] == "90"
    assert _row(shown, "risk")[-1] == "usable"
    assert _row(shown, "revoked")[1] == "false"
    assert _row(shown, "network")[-1] == "missing"
    assert "is deleted, at version" in run("delete", "session/s-1").stdout
    assert "session/s-1 is not on record" in str(run("get", "session/s-1").exception)


def test_every_write_is_one_record_and_names_no_value(run: Run, file: str, tmp_path: Path) -> None:
    run("load", file)
    run("set", "session/s-1", "risk=90", "last_activity=now")
    run("set", "resource/customer:c-7", "region=eu", "--create")
    run("set", "session/s-1", "rsik=5")
    run("get", "session/s-1")
    run("delete", "user:alice")
    made = records(tmp_path, "attribute_write")
    assert [(it["action"], it.get("attributes")) for it in made] == [
        ("put", ["customer_id", "regions", "roles", "status", "team"]),
        ("put", ["auth_time", "revoked", "risk", "subject"]),
        ("patch", ["last_activity", "risk"]),
        ("patch", ["region"]),
        ("delete", None),
    ]
    assert {it["caller"] for it in made} == {f"local:{getpass.getuser()}"}
    assert {it["worker"] for it in made} == {"operator"}
    assert made[0]["subject"] == made[4]["subject"] != made[1].get("session")
    assert made[3]["resource"]["type"] == "customer"
    assert all(isinstance(it["version"], int) for it in made)
    text = json.dumps(made)
    assert not any(secret in text for secret in ("alice", "s-1", "c-7", "secret-7"))


def test_nothing_is_written_that_cannot_be_put_on_record(run: Run, file: str, server: Server, tmp_path: Path) -> None:
    (tmp_path / "keys" / "signing.key").unlink()
    for arguments in (["load", file], ["set", "session/s-1", "risk=90", "--create"], ["delete", "session/s-1"]):
        refused = run(*arguments)
        assert refused.exit_code == 1
        assert "cannot be put on record, so nothing is written" in str(refused.exception)
    assert server.client().dbsize() == 0
    assert run("load", file, "--unrecorded").exit_code == 0
    assert not list(tmp_path.glob("audit/*/*.log"))


def test_a_write_that_stands_without_a_record_is_told(
    run: Run, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills up between the write and its record."""
    full = AuditUnavailable("disk_full", "no space left")
    monkeypatch.setattr(DecisionLog, "append_many", Mock(side_effect=full))
    refused = run("set", "session/s-1", "risk=90", "--create")
    assert "this was written, and could not be put on record (disk_full" in str(refused.exception)
    assert server.client().hget("attr:session:session:s-1", "risk") == b"90"


def test_values_are_shown_as_far_as_the_schema_lets_them_be_seen(run: Run, file: str) -> None:
    run("load", file)
    shown = run("get", "user:alice")
    assert "secret-7" not in shown.stdout
    assert _row(shown, "customer_id")[1] == "(hidden)"
    assert _row(shown, "team")[1] == "[red]"  # And no markup is taken from a value.
    assert "alice" not in _row(run("get", "session/s-1"), "subject")


def test_a_stale_and_an_invalid_attribute_are_named(run: Run, file: str, server: Server) -> None:
    run("load", file)
    server.client().hset("attr:session:session:s-1", mapping={"risk@issued_at": "1000", "revoked": "maybe"})
    shown = run("get", "session/s-1")
    assert _row(shown, "risk")[-1] == "stale"
    assert _row(shown, "revoked")[-1] == "invalid"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["set", "session/s-1", "risk=500"], "risk: must be a whole number from 0 to 100"),
        (["set", "session/s-1", "risk"], "'risk' is not of the form name=value"),
        (["set", "session/s-2", "risk=5"], "session/s-2 is not on record; --create makes it"),
        (["set", "session/s-1", "rsik=5"], "no such attribute; there are:"),
        (["set", "planet/x", "a=b"], "must start with one of"),
        (["get", "user:bob"], "subject/user:bob is not on record"),
        (["get", "robot:x"], "subject type 'robot': must be one of service, user"),
        (["delete", "user:bob"], "not on record"),
        (["load", "/nonexistent.yaml"], "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(run: Run, file: str, arguments: list[str], problem: str) -> None:
    run("load", file)
    result = run(*arguments)
    assert result.exit_code == 1
    assert problem in str(result.exception)


def test_create_makes_an_entity(run: Run) -> None:
    assert run("set", "session/s-9", "risk=5", "--create").exit_code == 0
    assert _row(run("get", "session/s-9"), "risk")[1] == "5"


def test_the_store_of_a_running_service_is_found(run: Run, server: Server) -> None:
    assert "no store: give --redis URL" in str(run("get", "user:alice", url="").exception)
    announce(server.url)
    try:
        assert "is not on record" in str(run("get", "user:alice", url="").exception)
    finally:
        withdraw(server.url)


def test_a_store_that_is_not_there_is_named(run: Run) -> None:
    assert "ConnectionError" in str(run("get", "user:alice", url="redis://127.0.0.1:1").exception)


def test_a_bad_url_is_refused_without_being_shown(run: Run) -> None:
    result = run("get", "user:alice", url="http://u:hunter2@h")
    assert "must start with one of redis://" in str(result.exception)
    assert "hunter2" not in str(result.exception)


def test_watch_follows_changes_until_ctrl_c(run: Run, file: str, server: Server, tmp_path: Path) -> None:
    run("load", file)
    out = tmp_path / "watched"
    program = "from pdp.cli.attributes import app; app()"
    arguments = ["watch", "--redis", server.url, "--policies", POLICIES]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with out.open("w") as sink:
        watcher = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdout=sink,
            env=environment,
            # A shell's background job has SIGINT ignored, and its children would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread runs here yet
        )
    try:
        until(lambda: "following changes" in out.read_text(), "it does not follow", limit=30)
        run("set", "session/s-1", "risk=6")
        until(lambda: "session/s-1 changed version" in out.read_text(), "no first change", limit=30)
        run("set", "session/s-1", "risk=90", "subject=bob")
        until(lambda: "session/s-1 risk 6 → 90" in out.read_text(), "no second change", limit=30)
        run("delete", "session/s-1")
        until(lambda: "session/s-1 is not on record" in out.read_text(), "no deletion", limit=30)
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(10) == 0
    finally:
        watcher.kill()
        watcher.wait()
    assert "bob" not in out.read_text()
    assert "subject (hidden) → (hidden)" in out.read_text()
