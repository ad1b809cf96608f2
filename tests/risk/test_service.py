"""The running service, two workers, the sample policy: who scrapes is stopped, and a receiver hears of it."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey

from pdp.attributes.file import read_file
from pdp.attributes.writer import open_writer
from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from tests.attributes.support import Server, patient, running, until
from tests.integration.running import Service, serving
from tests.risk.receiving import Receiver
from tests.signals.support import EXECUTABLE, POLICIES, sample

CUSTOMERS = 90


@dataclass(frozen=True)
class Deployment:
    """A service, its store, and who is told."""

    service: Service
    store: Server
    receiver: Receiver

    def read(self, subject: str, session: str, device: str, number: int) -> tuple[bool, str]:
        """Ask whether somebody may read a customer; a new connection may reach either worker."""
        body = {
            "subject": {"type": "user", "id": subject},
            "action": {"name": "read"},
            "resource": {"type": "customer", "id": f"c-{1000 + number}"},
            "sessionId": session,
            "deviceId": device,
            "context": {"purpose": "billing", "supportedObligations": ["mask", "watermark"]},
        }
        decision = httpx.post(f"{self.service.http}/v1/evaluate", json=body).json()["decision"]
        return decision["effect"] == "EFFECT_ALLOW", json.dumps(decision.get("reasons"))


async def put_customers(store: Server) -> None:
    now = time.time()
    schema = sample().schema
    records = read_file(POLICIES / "sample" / "attributes.yaml", schema, now)
    given = next(it.given for it in records if it.ref == EntityRef("customer", "c-1"))
    async with open_writer(patient(store.url), schema) as writer:
        for number in range(CUSTOMERS):
            await writer.put(Entity.RESOURCE, EntityRef("customer", f"c-{1000 + number}"), given, now)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("risk")
    shutil.copytree(POLICIES, folder / "policies")
    (folder / "key.pem").write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
    (folder / "siem-push").write_text("Bearer of-the-service\n")
    with Receiver() as receiver, running(EXECUTABLE) as store:
        add_receiver(folder / "policies" / "limits.yaml", receiver.url)
        asyncio.run(put_customers(store))
        settings = {
            "risk.signing_key": folder / "key.pem", "risk.issuer": "https://pdp.example.com/",
            "signals.secrets": folder, "server.workers": 2, "api.answer_seconds": 10,
            # Limits that a busy machine does not reach: this is not about them.
            "redis.lease": 30, "redis.silence": 30, "redis.fetch_timeout": 5, "redis.connect_timeout": 5,
            "risk.timeout": 5,
        }  # fmt: skip
        options = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        with serving("--sample", "--policies", str(folder / "policies"), "--redis", store.url, *options) as service:
            yield Deployment(service, store, receiver)


def add_receiver(limits: Path, url: str) -> None:
    text = limits.read_text()
    assert text.endswith("# end\n")
    told = (
        f"receivers:\n  siem:\n    url: {url}\n    audience: https://siem.example.com/\n"
        "    authorization: siem-push\n"
        '    subject: {format: email, suffix: "@example.com"}\n# end\n'
    )
    limits.write_text(text.removesuffix("# end\n") + told)


def test_who_scrapes_is_stopped_and_a_receiver_hears_of_it(deployment: Deployment) -> None:
    # The limit is 60 customers in a quarter of an hour; a few more may pass before the workers have counted.
    answers = [deployment.read("alice", "s-1", "d-1", number) for number in range(CUSTOMERS)]
    allowed = [effect for effect, _ in answers].index(False)
    assert 60 <= allowed < CUSTOMERS, answers[allowed]
    assert "identity-risk-high" in answers[allowed][1]
    assert not any(effect for effect, _ in answers[allowed:])
    # Others go on.
    assert deployment.read("bob", "s-bob", "d-10", 0)[0]

    receiver = deployment.receiver
    until(lambda: receiver.pushed, "the receiver heard nothing")
    keys = httpx.get(f"{deployment.service.http}/risk/jwks.json")
    assert keys.headers["content-type"] == "application/jwk-set+json"
    events = [claims for _, claims in receiver.tokens(keys.content)]
    (event,) = events[-1]["events"].values()
    assert (events[-1]["iss"], event["current_level"]) == ("https://pdp.example.com/", "HIGH")
    assert events[-1]["sub_id"]["user"] == {"format": "email", "email": "alice@example.com"}
    assert "customers: 60 in 15m, limit 60" in event["risk_reason"]
    assert receiver.pushed[0][0]["authorization"] == "Bearer of-the-service"
    raised = [line for line in deployment.service.lines if "risk raised" in line]
    assert raised
    assert not any("alice" in line for line in raised)
