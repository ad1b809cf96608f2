"""``pdp signals``: the file shown, and streams managed at a real transmitter."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pdp.cli.signals import app
from tests.signals.support import POLICIES, signals_text, with_line
from tests.signals.transmitter import Transmitter

ENDPOINT = "https://pdp.example.com/signals/push"
NAME = "identity-provider"


@pytest.fixture
def transmitter() -> Iterator[Transmitter]:
    with Transmitter() as one:
        yield one


@pytest.fixture
def folder(tmp_path: Path, transmitter: Transmitter) -> Path:
    shutil.copytree(POLICIES, tmp_path / "policies", ignore=shutil.ignore_patterns("sample"))
    (tmp_path / "policies" / "signals.yaml").write_text(signals_text(transmitter))
    return tmp_path / "policies"


def signals(*words: str, folder: Path, **variables: str) -> Result:
    environment = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb", **variables}
    return CliRunner(env=environment).invoke(app, [*words, "--policies", str(folder)])


def test_show_names_transmitters_and_what_events_set(folder: Path, transmitter: Transmitter) -> None:
    shown = signals("show", folder=folder).output
    assert NAME in shown
    assert transmitter.issuer in shown
    assert "caep/device-compliance-change" in shown
    assert "change_type is revoke" in shown


def test_a_stream_s_life(folder: Path, transmitter: Transmitter) -> None:
    created = json.loads(signals("stream", "create", NAME, "--endpoint", ENDPOINT, folder=folder).output)
    name = created["stream_id"]
    assert list(transmitter.streams) == [name]
    assert json.loads(signals("stream", "read", NAME, folder=folder).output) == [created]
    assert (
        json.loads(signals("stream", "update", NAME, name, "--description", "x", folder=folder).output)["description"]
        == "x"
    )
    assert json.loads(signals("stream", "status", NAME, name, folder=folder).output)["status"] == "enabled"
    paused = signals("stream", "status", NAME, name, "--set", "paused", folder=folder)
    assert json.loads(paused.output)["status"] == "paused"
    assert transmitter.streams[name]["status"] == "paused"
    verified = signals("stream", "verify", NAME, name, folder=folder).output
    assert transmitter.verifications[0]["state"] in verified
    assert "is deleted" in signals("stream", "delete", NAME, name, folder=folder).output
    assert transmitter.streams == {}


def test_a_secret_is_not_printed(folder: Path, transmitter: Transmitter, tmp_path: Path) -> None:
    (tmp_path / "push").write_text("Bearer very-secret")
    (folder / "signals.yaml").write_text(with_line(signals_text(transmitter), "authorization: push"))
    secrets = {"PDP_SIGNALS__SECRETS": str(tmp_path)}
    result = signals("stream", "create", NAME, "--endpoint", ENDPOINT, folder=folder, **secrets)
    assert next(iter(transmitter.streams.values()))["delivery"]["authorization_header"] == "Bearer very-secret"
    assert "very-secret" not in result.output
    assert "(hidden)" in result.output


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("create", NAME), "needs --endpoint"),
        (("read", "nobody"), "there are: device-management, identity-provider"),
        (("status", NAME, "s", "--set", "broken"), "status"),
        (("status", NAME, "no-such-stream"), "404"),
    ],
)
def test_what_goes_wrong_is_said(folder: Path, words: tuple[str, ...], problem: str) -> None:
    result = signals("stream", *words, folder=folder)
    assert result.exit_code == 1
    assert problem in str(result.exception)
