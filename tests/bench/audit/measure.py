"""What the benchmarks of the decision log share."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pdp.audit import AuditKeys, Durability, LogSettings
from pdp.core.decision import AttributeUse, Decision, Effect, Entity, Obligation
from pdp.core.reasons import Cause, Reason
from pdp.core.request import Context, EntityRef, Request
from pdp.ports import Answer, Caller
from pdp.signing.note import Signer
from pdp.signing.pseudonyms import PseudonymKey


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table, and its figures for machines."""

    what: str
    measured: str
    beside: str = ""
    figures: dict[str, float] = field(default_factory=dict)


def keys() -> AuditKeys:
    return AuditKeys(Signer.generate("example.com/pdp"), {"1": PseudonymKey("1", b"k" * 32)}, None)


def settings(directory: Path, durability: Durability = Durability.OS, segment_bytes: int = 64 << 20) -> LogSettings:
    return LogSettings(
        directory=directory,
        worker="w0",
        keys=directory / "none",
        durability=durability,
        segment_bytes=segment_bytes,
        compress=False,
    )


def decision(number: int, subjects: int = 2000) -> dict[str, object]:
    """A contact centre's decision: agents, devices and sessions come again and again, calls and ids do not."""
    subject = number * 2_654_435_761 % subjects
    denied = number % 8 == 0
    return {
        "kind": "decision",
        "decision_id": str(uuid.UUID(int=(number * 0x9E3779B97F4A7C15) % (1 << 128), version=4)),
        "caller": "spiffe://example.org/ns/prod/sa/agent-desktop",
        "subject": f"agent:{subject}",
        "action": ("read", "update", "export")[number % 3],
        "resource": {"type": ("recording", "customer", "transcript", "payment")[number % 4], "id": f"c-{number}"},
        "purpose": ("customer_service", "quality_review")[number % 2],
        "session": f"session-{subject}-{number % 3}",
        "device": f"device-{subject}",
        "outcome": "deny" if denied else "allow",
        "reasons": ["session.risk"] if denied else ["permit"],
        "rules": [f"p:{number % 40}"],
        "obligations": ["mask_pan"],
        "revision": "sha256:" + "5e" * 32,
        "attribute_versions": {"subject": 12, "device": 7, "session": 33, "resource": 2},
        "trace_id": f"{number * 0x9E3779B97F4A7C15 % (1 << 128):032x}",
    }


_OFFERS = [
    (Effect.DENY, (Cause(Reason.DENIED_BY_RULE, f"deny-{n}"),), (f"deny-{n}",), ())
    if n % 8 == 0
    else (
        Effect.ALLOW,
        (Cause(Reason.PERMITTED, f"permit-{n}"),),
        (f"permit-{n}",),
        (Obligation("mask-pan", "mask"),),
    )
    for n in range(40)
]
_CONTEXTS = [Context(purpose) for purpose in ("customer_service", "quality_review")]
_CALLER = Caller("spiffe://example.org/ns/prod/sa/agent-desktop", "evaluate", None, 0.0)
_RECORDS = (Entity.SUBJECT, 12), (Entity.DEVICE, 7), (Entity.SESSION, 33), (Entity.RESOURCE, 2)
_USES = tuple(AttributeUse(entity, version, 1.7e9) for entity, version in _RECORDS)


def answer(number: int, subjects: int = 2000) -> Answer:
    """The same as the service gives it to the log: what a rule entails is shared, what names one event is new."""
    subject = number * 2_654_435_761 % subjects
    effect, causes, rules, owed = _OFFERS[number % 40]
    kind = ("recording", "customer", "transcript", "payment")[number % 4]
    request = Request(
        EntityRef("agent", str(subject)),
        ("read", "update", "export")[number % 3],
        EntityRef(kind, f"c-{number}"),
        _CONTEXTS[number % 2],
        f"session-{subject}-{number % 3}",
        f"device-{subject}",
    )
    decided = Decision(effect, causes, rules, owed, "sha256:" + "5e" * 32, _USES, 1.7e9)
    identifier = f"{number * 0x9E3779B97F4A7C15 % (1 << 128):032x}"
    return Answer(identifier, identifier[::-1], 1.7e9, request, _CALLER, decided, 1e-5, cached=True)


@contextmanager
def quiet_heap() -> Iterator[None]:
    """Keep the benchmark's own objects out of garbage collection, which a service does not have to trace."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
