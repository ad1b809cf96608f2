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

from pdp.attributes.keys import parse_address
from pdp.core.entities import Entities, refs
from pdp.core.record import VERSION_FIELD
from pdp.core.request import Request
from pdp.core.schema import Schema
from pdp.workbench.testing import requests, shown
from pdp.workbench.testing.requests import OPTIONS
from pdp.workbench.testing.world import Owner, Stored, World, read_records, stored_text

__all__ = ["POLICIES", "Case", "Stored", "find_entities", "make_request", "read_cases", "read_sample", "shown"]

FOLDER: Final = Path(__file__).parent
POLICIES: Final = FOLDER.parents[1] / "policies"
SAMPLE: Final = POLICIES / "sample" / "attributes.yaml"
VERSIONS: Final = {"subject": 3, "device": 5, "session": 7, "resource": 11}
_EVERY_OBLIGATION: Final = ("filter", "mask", "notify", "review", "watermark")
_NAMED_RULE: Final = re.compile(r"(?:PERMITTED|DENIED_BY_RULE)\((.+)\)")


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
    _refuse_unknown(options, set(OPTIONS))
    return requests.make_request(options, _EVERY_OBLIGATION)


def read_sample(schema: Schema, now: float) -> Stored:
    """Read the sample as the service does, and give what it would store, at versions that tell entities apart."""
    found = read_records(SAMPLE, schema, now)
    return {owner: {VERSION_FIELD: str(VERSIONS[owner[0]]), **fields} for owner, fields in found.items()}


def find_entities(
    request: Request, given: Mapping[str, Mapping[str, Any]], stored: Stored, schema: Schema, now: float
) -> Entities:
    """Give the records of a request's parties: the stored ones, with a case's changes."""
    changes = {parse_address(address): values for address, values in given.items()}
    assert set(changes) <= {*refs(request)}, "a case changes what its request does not name"
    assert stored.keys() >= changes.keys(), "a case changes what the sample does not hold"
    texts = {owner: _texts(owner, values, schema, now) for owner, values in changes.items()}
    return World(schema, now, stored).entities(request, texts)


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


def _texts(owner: Owner, changes: Mapping[str, Any], schema: Schema, now: float) -> dict[str, str | None]:
    declared = schema.attributes_of(owner[0], owner[1].type)
    texts = {name: it if it is None or isinstance(it, str | list) else json.dumps(it) for name, it in changes.items()}
    return {name: it if it is None else stored_text(declared.get(name), it, now) for name, it in texts.items()}


def _seconds(moment: datetime) -> float:
    assert moment.tzinfo is not None, "write the time zone: 2026-01-15T10:00:00Z"
    return moment.timestamp()


def _refuse_unknown(given: Mapping[str, Any], known: set[str]) -> None:
    assert given.keys() <= known, f"unknown keys: {sorted(given.keys() - known)}"
