"""The receiver on a real store and a real transmitter, under the sample policy."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from pdp.attributes.store import RedisAttributeStore
from pdp.attributes.writer import AttributeWriter, open_writer
from pdp.core.decision import Entity
from pdp.core.policy import PolicySnapshot
from pdp.core.request import EntityRef
from pdp.core.signals.rules import SignalRules
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import load
from pdp.policy.problems import Problems
from pdp.policy.signals import read_signals
from pdp.policy.source import Source
from pdp.signals import SignalReceiver, SignalSettings, TransmitterHttp
from tests.attributes.support import EXECUTABLES, Server, patient
from tests.signals.transmitter import Transmitter

POLICIES = Path(__file__).parents[2] / "policies"
EXECUTABLE = EXECUTABLES[min(EXECUTABLES)]

ALICE = (Entity.SUBJECT, EntityRef("user", "alice"))
LAPTOP = (Entity.DEVICE, EntityRef("device", "d-1"))
SESSION = (Entity.SESSION, EntityRef("session", "s-1"))
OPAQUE = {"format": "opaque", "id": "s-1"}
DEVICE = {"format": "iss_sub", "iss": "https://idp.example.com/devices", "sub": "d-1"}
USER = {"format": "email", "email": "alice@example.com"}

ATTRIBUTES = {
    ALICE: {"roles": ["agent"], "status": "active", "team": "north", "regions": ["eu"], "shift_start": "-4h"},
    LAPTOP: {"managed": True, "compliant": True, "posture_score": 92},
    SESSION: {
        "subject": "alice", "device": "d-1", "revoked": False, "risk": 8, "aal": 1, "auth_time": "-20m",
        "last_activity": "-10m",
    },
}  # fmt: skip


@functools.cache
def sample() -> PolicySnapshot:
    """Give the sample policy."""
    return load(POLICIES, ReferenceMatcher)


def signals_text(transmitter: Transmitter | None = None) -> str:
    """Give the sample's signals.yaml with a transmitter in the identity provider's place that may send all."""
    text = (POLICIES / "signals.yaml").read_text()
    if transmitter is not None:
        replaced = {
            "issuer: https://idp.example.com/": f"issuer: {transmitter.issuer}",
            "jwks_uri: https://idp.example.com/jwks.json": f"jwks_uri: {transmitter.jwks_uri}",
            "https://idp.example.com/.well-known": f"{transmitter.url}/.well-known",
            "    authorization: identity-provider-push\n": "",
            "    secret: identity-provider-api\n": "",
            "- caep/credential-change\n": "- caep/credential-change\n      - caep/device-compliance-change\n",
        }
        for old, new in replaced.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
    return text


def with_line(text: str, line: str) -> str:
    """Add a line to the identity provider's part of a signals.yaml."""
    assert text.count("    configuration_uri:") == 1
    return text.replace("    configuration_uri:", f"    {line}\n    configuration_uri:")


def rules_of(text: str) -> SignalRules:
    """Read a signals.yaml under the sample's schema."""
    problems = Problems()
    found = read_signals(Source("signals.yaml", text), sample().schema, problems)
    problems.raise_if_any()
    return found


class Policies:
    """Holds a policy in force: the sample's, with other signals."""

    def __init__(self, signals: SignalRules) -> None:
        self.policy: PolicySnapshot | None = dataclasses.replace(sample(), signals=signals)

    def current(self) -> PolicySnapshot | None:
        return self.policy


@dataclass
class World:
    """A receiver and all it stands on."""

    transmitter: Transmitter
    policies: Policies
    receiver: SignalReceiver
    store: RedisAttributeStore
    writer: AttributeWriter
    server: Server
    http: TransmitterHttp
    settings: SignalSettings

    async def attribute(self, target: tuple[Entity, EntityRef], name: str) -> object:
        """Give an attribute as decisions read it; None where there is none."""
        record = (await self.writer.read(*target)).record
        return record and record.view.__dict__.get(name)

    def stored(self) -> dict[bytes, dict[bytes, bytes]]:
        """Give all that the store holds, so that a test can say that nothing was written."""
        client = self.server.client()
        return {
            key: client.hgetall(key) if client.type(key) == b"hash" else {b"": client.get(key)}
            for key in client.keys("*")
        }


@contextlib.asynccontextmanager
async def receiving(
    server: Server,
    transmitter: Transmitter,
    *,
    text: str | None = None,
    clock: Callable[[], float] | None = None,
    written: bool = True,
    **settings: object,
) -> AsyncIterator[World]:
    """Run a receiver on a store that holds a person, a device and a session."""
    policies = Policies(rules_of(text or signals_text(transmitter)))
    chosen = SignalSettings(**{"keys_interval": 0.0, **settings})
    http = TransmitterHttp(chosen)
    store = RedisAttributeStore(patient(server.url))
    await store.start()
    receiver = SignalReceiver(policies, store, http, chosen, **({"clock": clock} if clock else {}))
    try:
        async with open_writer(patient(server.url), sample().schema) as writer:
            if written:
                for target, given in ATTRIBUTES.items():
                    await writer.put(*target, given, issued_at=1_000_000_000.0)
            yield World(transmitter, policies, receiver, store, writer, server, http, chosen)
    finally:
        await http.close()
        await store.stop()
