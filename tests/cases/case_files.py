"""Golden cases: a request and attributes in, the whole decision and its log record out, with the clock pinned.

A file of cases has ``now``, ``defaults`` for requests, and ``cases``. Each case has

* ``request``: as the options of ``pdp check``; ``emergency`` is the stated reason, ``supports`` the obligation types
  that the enforcement point carries out (all of them where left out);
* ``each``: options of the request with several values; the case holds for every one of them;
* ``given``: changes to the sample's records, by address such as ``session/s-1``; an attribute set to null is absent,
  any other is stored as it stands, right or wrong, and ``_issued_at`` is the record's time of issue;
* ``decision``: all of it. ``rules`` where left out are those that the reasons name; ``valid_for`` is in seconds from
  now, where left out 60 for an allow and 5 for a deny, the schema's limits;
* ``reads``: whose records the decision rests on, which the log holds by version: where left out, as the file's
  ``reads`` says, or all four, but not the resource's for ``list``. The rest of the log record follows from the
  request and the decision.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any, Final

import yaml

from pdp.attributes.file import read_file
from pdp.attributes.keys import parse_address
from pdp.attributes.values import encode_all, parse_relative_time
from pdp.core.decision import Decision, Entity
from pdp.core.entities import Entities, refs
from pdp.core.record import ISSUED_FIELD, VERSION_FIELD, Record, parse_record
from pdp.core.request import Context, EntityRef, Request
from pdp.core.schema import Kind, Schema

FOLDER: Final = Path(__file__).parent
POLICIES: Final = FOLDER.parents[1] / "policies"
SAMPLE: Final = POLICIES / "sample" / "attributes.yaml"
VERSIONS: Final = {"subject": 3, "device": 5, "session": 7, "resource": 11}
_EVERY_OBLIGATION: Final = ("filter", "mask", "notify", "review", "watermark")
_CONTEXT: Final = ("purpose", "channel", "network", "emergency", "supports")
_NAMED_RULE: Final = re.compile(r"(?:PERMITTED|DENIED_BY_RULE)\((.+)\)")

Stored = dict[tuple[Entity, EntityRef], dict[str, str]]
"""Fields of stored records, by whose they are."""


@dataclass(frozen=True)
class Case:
    """One golden case."""

    name: str
    now: float
    request: Request
    given: Mapping[str, Mapping[str, Any]]
    decision: Mapping[str, Any]
    record: Mapping[str, Any]


def read_cases() -> Iterator[Case]:
    """Give every case of every file."""
    for path in sorted(FOLDER.glob("*.yaml")):
        content = yaml.safe_load(path.read_text())
        for case in content["cases"]:
            yield from _expanded(path.stem, case, content)


def make_request(options: Mapping[str, Any]) -> Request:
    """Make a request of the options of ``pdp check``."""
    _refuse_unknown(options, {"subject", "action", "resource", "session", "device", *_CONTEXT})
    reason = options.get("emergency", "")
    context = Context(
        purpose=options.get("purpose", ""),
        channel=options.get("channel", ""),
        network=options.get("network", ""),
        emergency=bool(reason),
        emergency_reason=reason,
        supported_obligations=frozenset(options.get("supports", _EVERY_OBLIGATION)),
    )
    subject, resource = (EntityRef(*options[name].split(":", 1)) for name in ("subject", "resource"))
    return Request(
        subject, options["action"], resource, context, options.get("session", ""), options.get("device", "")
    )


def read_sample(schema: Schema, now: float) -> Stored:
    """Read the sample as the service does, and give what it would store."""
    records = read_file(SAMPLE, schema, now)
    found = {(it.entity, it.ref): encode_all(schema, it.entity, it.ref, it.given, now) for it in records}
    assert len(found) == len(records), "an entity stands twice in the sample"
    return found


def find_entities(
    request: Request, given: Mapping[str, Mapping[str, Any]], stored: Stored, schema: Schema, now: float
) -> Entities:
    """Give the records of a request's parties: the stored ones, with a case's changes."""
    changes = {parse_address(address): values for address, values in given.items()}
    wanted = dict(refs(request))
    assert set(changes) <= set(wanted.items()), "a case changes what its request does not name"
    return Entities(
        **{
            entity.value: _parsed(entity, ref, stored.get((entity, ref)), changes.get((entity, ref), {}), schema, now)
            for entity, ref in wanted.items()
        }
    )


def shown(decision: Decision, now: float) -> dict[str, Any]:
    """Write a decision as a case does."""
    step_up = decision.step_up
    return {
        "effect": decision.effect.value,
        "reasons": [str(cause) for cause in decision.causes],
        "rules": list(decision.rules),
        "obligations": [obligation.id for obligation in decision.obligations],
        "step_up": step_up and {"acr_values": list(step_up.acr_values), "max_age": step_up.max_age},
        "valid_for": decision.valid_until - now,
    }


def _expanded(theme: str, case: Mapping[str, Any], content: Mapping[str, Any]) -> Iterator[Case]:
    _refuse_unknown(case, {"name", "request", "each", "given", "decision", "reads"})
    decision = _decision(case["decision"])
    each = case.get("each", {})
    for values in product(*each.values()):
        options = {**content.get("defaults", {}), **case["request"], **dict(zip(each, values, strict=True))}
        usual = [name for name in VERSIONS if options["action"] != "list" or name != "resource"]
        reads = case.get("reads", content.get("reads", usual))
        yield Case(
            f"{theme}: {', '.join([case['name'], *values])}",
            _seconds(content["now"]),
            make_request(options),
            case.get("given", {}),
            decision,
            _record(options, decision, reads),
        )


def _decision(given: Mapping[str, Any]) -> Mapping[str, Any]:
    named = [found[1] for reason in given["reasons"] if (found := _NAMED_RULE.fullmatch(reason))]
    lifetime = 60.0 if given["effect"] == "allow" else 5.0
    complete = {"rules": named, "obligations": [], "step_up": None, "valid_for": lifetime, **given}
    if complete["step_up"]:
        complete["step_up"] = {"acr_values": [], "max_age": None, **complete["step_up"]}
    return complete


def _record(options: Mapping[str, Any], decision: Mapping[str, Any], reads: Sequence[str]) -> dict[str, Any]:
    resource_type, _, resource_id = options["resource"].partition(":")
    stated = {name: options.get(name) or None for name in ("purpose", "session", "device")}
    return {
        "kind": "decision",
        "subject": options["subject"],
        "action": options["action"],
        "resource": {"type": resource_type, "id": resource_id},
        **stated,
        "outcome": decision["effect"],
        **{name: decision[name] for name in ("reasons", "rules", "obligations")},
        "attribute_versions": {name: VERSIONS[name] for name in reads},
        **({"emergency_reason": options["emergency"]} if options.get("emergency") else {}),
    }


def _parsed(
    entity: Entity,
    ref: EntityRef,
    held: dict[str, str] | None,
    changes: Mapping[str, Any],
    schema: Schema,
    now: float,
) -> Record | None:
    if held is None:
        assert not changes, f"a case changes {entity} {ref}, which the sample does not hold"
        return None
    declared = schema.attributes_of(entity, ref.type)
    version = str(VERSIONS[entity])
    fields = {VERSION_FIELD: version, ISSUED_FIELD: str(int(now)), **held}
    for name, value in changes.items():
        relative = name == "_issued_at" or declared[name].kind is Kind.TIME
        text = value if isinstance(value, str) else json.dumps(value)
        fields[name] = parse_relative_time(text, now) if relative else text
    absent = {name for name, value in changes.items() if value is None}
    return parse_record(ref, declared, {k: v for k, v in fields.items() if k not in absent}, schema.clock_skew)


def _seconds(moment: datetime) -> float:
    assert moment.tzinfo is not None, "write the time zone: 2026-01-15T10:00:00Z"
    return moment.timestamp()


def _refuse_unknown(given: Mapping[str, Any], known: set[str]) -> None:
    assert given.keys() <= known, f"unknown keys: {sorted(given.keys() - known)}"
