"""``pdp policy bundle`` as those who approve a policy use it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from pdp.cli.policy.bundle import app
from pdp.core.errors import PdpError
from tests.policy.example import swap, write


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(it) for it in arguments], catch_exceptions=True)


def done(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def refused(*arguments: object) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, PdpError), (result.output, result.exception)
    return str(result.exception)


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A bundle signed by alice, whose keys and bob's lie beside it."""
    write(tmp_path / "policies")
    for name in ("alice", "bob"):
        done("keygen", name, "--out", tmp_path)
    done("build", tmp_path / "policies", "--out", tmp_path / "p.bundle", "--serial", 3)
    done("sign", tmp_path / "p.bundle", "--key", tmp_path / "alice.key")
    return tmp_path / "p.bundle"


def test_a_bundle_is_built_signed_and_verified(signed: Path) -> None:
    key = signed.parent / "alice.vkey"
    assert "signed by alice" in done("verify", signed, "--key", key)
    assert "signed by alice" in done("verify", signed, "--key", key.read_text().strip())


def test_two_persons_are_needed_where_two_are_asked_for(signed: Path) -> None:
    keys = [it for name in ("alice", "bob") for it in ("--key", signed.parent / f"{name}.vkey")]
    assert "2 signatures of known keys needed, 1 found (alice)" in refused("verify", signed, *keys, "--signatures", 2)
    done("sign", signed, "--key", signed.parent / "bob.key")
    shown = json.loads(done("verify", signed, *keys, "--signatures", 2, "--json"))
    assert shown["signed_by"] == ["alice", "bob"]


def test_inspect_shows_what_is_in_it(signed: Path) -> None:
    shown = json.loads(done("inspect", signed, "--json"))
    assert (shown["serial"], shown["claimed_signers"]) == (3, ["alice"])
    assert "policy/rules.csv" in shown["files"]
    assert shown["revision"] in done("inspect", signed)


def test_the_same_folder_elsewhere_gives_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b", symlinks=True)
    for name in ("a", "b"):
        done("build", tmp_path / name, "--out", tmp_path / f"{name}.bundle")
    assert (tmp_path / "a.bundle").read_bytes() == (tmp_path / "b.bundle").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_a_policy_with_a_fault_is_not_built(tmp_path: Path) -> None:
    write(tmp_path / "policies", swap("policy/rules.csv", "risk < 50", "rsk < 50"))
    assert "policy/rules.csv:3:" in refused("build", tmp_path / "policies", "--out", tmp_path / "p.bundle")
    assert not (tmp_path / "p.bundle").exists()


def test_a_signing_key_is_never_overwritten(signed: Path) -> None:
    before = (signed.parent / "alice.key").read_text()
    assert "never overwritten" in refused("keygen", "alice", "--out", signed.parent)
    assert (signed.parent / "alice.key").read_text() == before


def test_what_cannot_be_read_is_said(signed: Path) -> None:
    assert "No such file" in refused("inspect", signed.parent / "none.bundle")
    assert "alice.vkey" in refused("sign", signed, "--key", signed.parent / "alice.vkey")
    (signed.parent / "alice.key").chmod(0o644)
    assert "chmod 600" in refused("sign", signed, "--key", signed.parent / "alice.key")
