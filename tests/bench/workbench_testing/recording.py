"""A busy organisation, and a recording of what it asked: the sample's people and records many times over."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

from pdp.attributes.file import FileRecord, read_file
from pdp.core.decision import DEVICE, RESOURCE, SESSION, SUBJECT, Entity
from pdp.core.request import EntityRef
from pdp.engine.matcher import CompiledEngine
from pdp.policy import load
from tests.cases.case_files import POLICIES

SAMPLE: Final = POLICIES / "sample" / "attributes.yaml"
_NAMES: Final = ("alice", "bob", "carol", "dan", "erin", "frank", "oscar")
_ACTIONS: Final = ("read", "play", "list", "update", "export", "download")
_PURPOSES: Final = ("support", "complaint", "billing", "training", "quality_review", "fraud_investigation")
_QUARTER: Final = 90 * 24 * 60

Person = tuple[str, str, str]
"""Subject, session and device."""


class Organisation:
    """People with a session and a device each, and resources; no two have the same times, owners or scores.

    Attributes:
        people: everybody.
        resources: everything.
    """

    def __init__(self, people: int, resources: int, now: float) -> None:
        """Make as many people and resources; relative times count from ``now``, in seconds since the epoch."""
        self._chosen = random.Random(2)  # noqa: S311 - the same ones each time
        known = read_file(SAMPLE, load(POLICIES, CompiledEngine()).schema, now)
        self._by_name = {(it.entity, it.ref.id): it.given for it in known}
        self._records: list[str] = []
        self.people = [self._person(at, name) for at, name in enumerate(islice(cycle(_NAMES), people))]
        samples = [it for it in known if it.entity is RESOURCE]
        self.resources = [self._resource(at, it) for at, it in enumerate(islice(cycle(samples), resources))]

    def write(self, file: Path) -> None:
        """Write the records as a file of attributes."""
        file.write_text("\n".join(["version: 1", "records:", *self._records, ""]))

    def _person(self, number: int, name: str) -> Person:
        one, session, device = f"{name}{number}", f"s-{number}", f"d-{number}"
        chosen = self._chosen
        team = {"team": f"team-{chosen.randrange(40)}"}
        self._add(SUBJECT, f"user:{one}", {**self._by_name[SUBJECT, name], **team})
        own = {"subject": one, "device": device, "last_activity": f"-{chosen.randrange(1200)}s"}
        opened = self._by_name[SESSION, "s-2" if name == "alice" else f"s-{name}"]
        self._add(SESSION, session, {**opened, **own})
        score = {"posture_score": str(chosen.randrange(60, 100))}
        self._add(DEVICE, device, {**self._by_name[DEVICE, "d-1"], **score})
        return f"user:{one}", session, device

    def _resource(self, number: int, sample: FileRecord) -> EntityRef:
        chosen, given = self._chosen, dict(sample.given)
        for name, value in given.items():
            if isinstance(value, str) and value[0] in "+-":
                given[name] = f"{value[0]}{chosen.randrange(_QUARTER)}m"
        if "agent_id" in given:
            given["agent_id"] = chosen.choice(self.people)[0].removeprefix("user:")
        ref = EntityRef(sample.ref.type, f"x-{number}")
        self._add(RESOURCE, str(ref), given)
        return ref

    def _add(self, entity: Entity, name: str, given: Mapping[str, Any]) -> None:
        self._records.append(f"  - {json.dumps({'entity': entity.value, 'id': name, 'attributes': given})}")


def record_decisions(file: Path, count: int, who: Organisation, distinct: int) -> None:
    """Write decisions as ``pdp audit export`` does, with as many distinct questions among them, if there are any."""
    chosen = random.Random(1)  # noqa: S311 - the same recording each time
    questions = list(islice(_questions(chosen, who), distinct))
    with file.open("w") as out:
        for seq, (person, resource, action, purpose) in enumerate(islice(cycle(questions), count)):
            subject, session, device = person
            record = {
                "seq": seq,
                "time": "2026-01-15T10:00:00.000000Z",
                "worker": "w-0",
                "kind": "decision",
                "decision_id": f"{chosen.getrandbits(128):032x}",
                "caller": "spiffe://example.test/gateway",
                "subject": subject,
                "action": action,
                "resource": {"type": resource.type, "id": resource.id},
                "purpose": purpose,
                "session": session,
                "device": device,
                "outcome": "deny",
                "reasons": ["NO_MATCHING_PERMIT"],
                "rules": [],
                "obligations": [],
                "revision": "sha256:" + "0" * 64,
                "trace_id": f"{chosen.getrandbits(128):032x}",
                "attribute_versions": {"subject": 3, "device": 5, "session": 7, "resource": 11},
            }
            out.write(json.dumps(record, separators=(",", ":")) + "\n")


def _questions(chosen: random.Random, who: Organisation) -> Iterator[tuple[Person, EntityRef, str, str]]:
    seen = set()
    while True:
        question = (
            chosen.choice(who.people),
            chosen.choice(who.resources),
            chosen.choice(_ACTIONS),
            chosen.choice(_PURPOSES),
        )
        if question not in seen:
            seen.add(question)
            yield question
