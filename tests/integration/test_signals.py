"""Continuous verification end to end: a security signal pushed to the running service takes an allow back."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.attributes.support import running
from tests.bootstrap.application import log_settings, records
from tests.integration.running import Service, pdp, serving
from tests.signals.support import EXECUTABLE, POLICIES, signals_text, with_line
from tests.signals.transmitter import CAEP, RISC, Transmitter
from tests.telemetry.scrapes import value

LAPTOP = {"format": "iss_sub", "iss": "https://idp.example.com/devices", "sub": "d-1"}
COMPLIANCE, REVOKED = CAEP + "device-compliance-change", CAEP + "session-revoked"


@dataclass(frozen=True)
class Deployment:
    """A service, its store, and who signals to it."""

    service: Service
    store: str
    transmitter: Transmitter

    def check(self, subject: str, session: str, device: str) -> tuple[int, list[str]]:
        """Ask whether somebody may read a customer; give the exit code and the reasons."""
        who = ("--subject", f"user:{subject}", "--session", session, "--device", device)
        what = ("--action", "read", "--resource", "customer:c-1", "--purpose", "support")
        found = pdp("check", *who, *what, "--address", self.service.grpc, "--json")
        causes = json.loads(found.stdout)["decision"]["reasons"]
        return found.returncode, [f"{it['code']}({it.get('about', '')})" for it in causes]

    def set(self, *words: str) -> int:
        """Change attributes as an operator does, by the policy that the service decides by; give the exit code."""
        settings = {**log_settings(self.service.folder), "PDP_POLICY__STATE": str(self.service.folder / "policy")}
        return pdp("attributes", "set", *words, "--redis", self.store, **settings).returncode

    def push(self, token: bytes, authorization: str = "Bearer of-the-transmitter") -> httpx.Response:
        headers = {"content-type": "application/secevent+jwt", "authorization": authorization}
        return httpx.post(f"{self.service.http}/signals/push", content=token, headers=headers)


@pytest.fixture(scope="module")
def deployment(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("signals")
    shutil.copytree(POLICIES, folder / "policies")
    (folder / "push").write_text("Bearer of-the-transmitter\n")
    with Transmitter() as transmitter, running(EXECUTABLE) as store:
        (folder / "policies" / "signals.yaml").write_text(with_line(signals_text(transmitter), "authorization: push"))
        options = ("--policies", str(folder / "policies"), "--set", f"signals.secrets={folder}", "--redis", store.url)
        with serving("--sample", "--server", transport, *options) as service:
            yield Deployment(service, store.url, transmitter)


def email(name: str) -> dict[str, str]:
    return {"format": "email", "email": f"{name}@example.com"}


def test_a_device_out_of_compliance_ends_access_and_a_compliant_one_gets_it_back(deployment: Deployment) -> None:
    alice = ("alice", "s-1", "d-1")
    transmitter = deployment.transmitter
    assert deployment.check(*alice)[0] == 0
    # Later than the sample's own word on the device.
    at = time.time() + 2
    for status, expected in (("not-compliant", (3, ["DENIED_BY_RULE(posture-noncompliant)"])), ("compliant", None)):
        claims = {"current_status": status, "event_timestamp": at}
        answer = deployment.push(transmitter.token(COMPLIANCE, LAPTOP, claims))
        assert (answer.status_code, answer.content) == (202, b"")
        found = deployment.check(*alice)
        assert found == expected if expected else found[0] == 0
        at += 0.25


def test_a_session_revoked_stays_so_whoever_writes(deployment: Deployment) -> None:
    deployment.push(deployment.transmitter.token(REVOKED, {"format": "opaque", "id": "s-carol"}))
    for _ in range(2):
        assert "DENIED_BY_RULE(session-revoked)" in deployment.check("carol", "s-carol", "d-10")[1]
        assert deployment.set("session/s-carol", "revoked=false") == 0
    by_hand = [it for it in records(deployment.service.folder, "attribute_write") if it["worker"] == "operator"]
    assert [(it["action"], it["attributes"]) for it in by_hand] == [("patch", ["revoked"])] * 2


def test_a_compromised_credential_ends_every_session_of_the_person(deployment: Deployment) -> None:
    assert deployment.check("bob", "s-bob", "d-10")[0] == 0
    claims = {"credential_type": "password"}
    deployment.push(deployment.transmitter.token(RISC + "credential-compromise", email("bob"), claims))
    assert deployment.check("bob", "s-bob", "d-10") == (3, ["DENIED_BY_RULE(session-superseded)"])


def test_a_forged_signal_is_refused_and_changes_nothing(deployment: Deployment) -> None:
    peggy = ("peggy", "s-peggy", "d-10")
    token = deployment.transmitter.token(RISC + "account-disabled", email("peggy"))
    for answer in (deployment.push(token[:-6] + b"AAAAAA"), deployment.push(token, "Bearer of-somebody-else")):
        assert (answer.status_code, answer.json()["err"]) == (400, "authentication_failed")
        assert answer.headers["content-language"] == "en"
    assert deployment.check(*peggy)[0] == 0
    assert deployment.push(token).status_code == 202
    assert deployment.check(*peggy) == (3, ["DENIED_BY_RULE(identity-account-closed)"])
    # What a token says counts as nobody's word until its signature and its sender are known to be right.
    text = httpx.get(f"{deployment.service.http}/metrics").content
    who = {"transmitter": "identity-provider"}
    assert value(text, "pdp_signals_total", **who, event="", outcome="authentication_failed") == 2
    assert value(text, "pdp_signals_total", **who, event="risc/account-disabled", outcome="applied") == 1
