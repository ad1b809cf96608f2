"""A policy's life in the running service: changed, tried, promoted, rolled back, signed; with two workers."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.running import ROOT, Service, pdp, serving

READ = (
    *("--subject", "user:alice", "--session", "s-1", "--device", "d-1", "--purpose", "billing"),
    *("--action", "read", "--resource", "customer:c-1"),
)
ALLOWED, DENIED = 0, 3


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the policy to be changed, and a stricter candidate."""
    folder = tmp_path_factory.mktemp("life")
    shutil.copytree(ROOT / "policies", folder / "policies")
    shutil.copytree(ROOT / "policies", folder / "stricter")
    deny_all(folder / "stricter")
    return folder


@pytest.fixture(scope="module")
def service(place: Path) -> Iterator[Service]:
    with serving("--sample", "--policies", str(place / "policies"), "--workers", "2") as running:
        yield running


def deny_all(folder: Path, name: str = "no-reading") -> None:
    """Have nobody read any customer."""
    rule = f"p,{name},*,read,customer,True,deny,,a test\n# end\n"
    (folder / "policy" / f"{name}.csv").write_text(rule)


def command(service: Service, *arguments: str) -> str:
    done = pdp("policy", *arguments, "--state", f"{service.folder}/policy")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def status(service: Service) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(
        pdp("policy", "status", "--json", "--state", f"{service.folder}/policy").stdout
    )
    return shown


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def ask(service: Service) -> int:
    return pdp("check", *READ, "--address", service.grpc).returncode


def revisions(service: Service) -> set[str]:
    return {it["revision"] for it in status(service)["workers"].values()}


def test_a_candidate_is_tried_promoted_and_rolled_back(service: Service, place: Path) -> None:
    until(lambda: len(status(service)["workers"]) == 2)
    (first,) = revisions(service)
    assert ask(service) == ALLOWED

    command(service, "shadow", "start", str(place / "stricter"))
    until(lambda: "candidate" in status(service)["trial"])
    candidate = status(service)["trial"]["candidate"]
    assert candidate != first

    def denied_by_the_candidate() -> bool:
        assert ask(service) == ALLOWED
        return bool(status(service)["trial"]["newly_denied"])

    until(denied_by_the_candidate)
    metrics = httpx.get(f"{service.http}/metrics").text
    assert "pdp_policy_trial_newly_denied_total" in metrics

    assert candidate in command(service, "promote")
    assert revisions(service) == {candidate}
    assert status(service)["trial"] == {}
    assert ask(service) == DENIED

    assert first in command(service, "rollback", "--to", first)
    assert revisions(service) == {first}
    assert ask(service) == ALLOWED
    # The folder holds that very revision, so it is followed again.
    until(lambda: {it["held"] for it in status(service)["workers"].values()} == {""})
    assert differences(service)


def differences(service: Service) -> list[str]:
    """Give the kinds of the records about the trial, as the decision log has them."""
    done = pdp(
        *("audit", "search", "--dir", f"{service.folder}/audit", "--keys", f"{service.folder}/keys"),
        *("--kind", "trial_difference", "--json"),
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert all(it["change"] == "newly_denied" and it["candidate_rules"] == ["no-reading"] for it in found)
    assert "alice" not in done.stdout
    return [it["kind"] for it in found]


def test_a_change_is_rolled_back_while_the_folder_still_has_it(service: Service, place: Path) -> None:
    (before,) = revisions(service)
    deny_all(place / "policies", "a-mistake")
    until(lambda: revisions(service).isdisjoint({before}) and len(revisions(service)) == 1)
    assert ask(service) == DENIED
    command(service, "rollback")
    assert revisions(service) == {before}
    assert {it["held"] for it in status(service)["workers"].values()} == {"rollback"}
    assert ask(service) == ALLOWED
    (place / "policies" / "policy" / "a-mistake.csv").unlink()
    until(lambda: {it["held"] for it in status(service)["workers"].values()} == {""})
    assert not (service.folder / "policy" / "pin").exists()


def test_a_broken_change_is_shown_and_the_service_stays_ready(service: Service, place: Path) -> None:
    (before,) = revisions(service)
    rules = place / "policies" / "policy" / "customers.csv"
    good = rules.read_text()
    rules.write_text(good.replace("allow", "alow"))
    until(lambda: all(it["problems"] for it in status(service)["workers"].values()))
    ready = httpx.get(f"{service.http}/readyz")
    assert ready.status_code == 200
    assert ready.json()["policy_problems"]
    done = pdp("policy", "status", "--state", f"{service.folder}/policy")
    assert done.returncode == 1
    assert "is not an effect" in done.stdout
    assert revisions(service) == {before}
    rules.write_text(good)
    until(lambda: not any(it["problems"] for it in status(service)["workers"].values()))


def test_only_signed_bundles_decide_where_keys_are_given(tmp_path: Path) -> None:
    policies, bundle = tmp_path / "policies", tmp_path / "p.bundle"
    shutil.copytree(ROOT / "policies", policies)
    for name in ("alice", "bob"):
        pdp("policy", "bundle", "keygen", name, "--out", str(tmp_path))
    keys = [it for name in ("alice", "bob") for it in ("--bundle-key", str(tmp_path / f"{name}.vkey"))]

    def release(*signers: str) -> None:
        assert pdp("policy", "bundle", "build", str(policies), "--out", str(bundle) + ".new").returncode == 0
        for name in signers:
            pdp("policy", "bundle", "sign", str(bundle) + ".new", "--key", str(tmp_path / f"{name}.key"))
        Path(str(bundle) + ".new").rename(bundle)

    release("alice", "bob")
    options = ("--sample", "--source", str(bundle), *keys, "--set", "policy.signatures=2")
    with serving(*options) as running:
        assert ask(running) == ALLOWED
        until(lambda: bool(revisions(running)))
        (before,) = revisions(running)
        deny_all(policies)
        release("alice")
        until(lambda: all(it["problems"] for it in status(running)["workers"].values()))
        assert "2 signatures of known keys needed, 1 found (alice)" in str(status(running))
        assert (revisions(running), ask(running)) == ({before}, ALLOWED)
        release("bob", "alice")
        until(lambda: revisions(running) != {before})
        assert ask(running) == DENIED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--source", "http://policies.example/p.bundle"), "demand signatures, or use https"),
        (("--source", "git+https://git.example/p.git"), "git+URL#REF"),
        (("--bundle-key", "nonsense"), "policy.bundle_keys"),
        (("--set", "policy.signatures=2"), "policy.signatures demands 2 signers"),
    ],
)
def test_a_source_that_is_not_safe_does_not_start(options: tuple[str, ...], message: str) -> None:
    done = pdp("serve", *options)
    assert done.returncode == 1
    assert message in done.stderr
