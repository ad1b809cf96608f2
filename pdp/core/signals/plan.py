"""What an event changes: the pure step from an event to attribute writes.

Rules: the first rule of signals.yaml that applies is the one. A rule applies where the event's subject has the
rule's member and its claims are what the rule asks for. A value that the schema does not allow is never written: the
event is refused, so that its transmitter hears of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pdp.core.decision import Entity
from pdp.core.record import parse_value
from pdp.core.request import EntityRef
from pdp.core.schema import Attribute, Kind, Schema
from pdp.core.signals.events import CONTROL, Event, SignalInvalidError, check_claims, claim_at
from pdp.core.signals.rules import FromClaim, Given, Member, Moment, SignalRule, SignalRules, Transmitter
from pdp.core.signals.subjects import Subject

_MEMBER_OF: Final = {member.entity: member for member in Member}


class Write(NamedTuple):
    """One attribute to be set.

    Attributes:
        name: the attribute.
        text: its value, as it is stored.
        latch: whether the value can only rise.
    """

    name: str
    text: str
    latch: bool


class Guard(NamedTuple):
    """What a record must say, where it says anything, for the subject to be the one the event means."""

    name: str
    text: str


class Plan(NamedTuple):
    """What one event changes, to be carried out whole or not at all.

    Attributes:
        entity: whose record.
        ref: the same.
        writes: what is set; none for an event that is to be remembered as seen and nothing else.
        guards: see ``Guard``.
        note: in a word, why there is nothing to write; empty where there is.
    """

    entity: Entity
    ref: EntityRef
    writes: tuple[Write, ...]
    guards: tuple[Guard, ...] = ()
    note: str = ""


_NOBODY: Final = EntityRef("none", "none")


def plan_for(event: Event, transmitter: Transmitter, rules: SignalRules, schema: Schema) -> Plan:
    """Work out what an event changes.

    Args:
        event: what was signalled.
        transmitter: by whom.
        rules: what events mean.
        schema: what attributes there are.

    Raises:
        SignalInvalidError: the event does not conform to its definition, its subject cannot be processed, or it
            carries a value that an attribute cannot hold.
    """
    check_claims(event.type, event.claims)
    if event.type in CONTROL:
        return _nothing("control")
    subject = Subject(event.subject, transmitter)
    if subject.foreign():
        return _nothing("tenant")
    candidates = [rule for rule in rules.rules.get(event.type, ()) if _applies(rule, event.claims)]
    for rule in candidates:
        if ref := subject.ref(rule.of):
            declared = schema.attributes_of(rule.of.entity, ref.type)
            writes = tuple(_write(declared[name], given, event) for name, given in rule.given.items())
            return Plan(rule.of.entity, ref, writes, _guards(rule.of, subject, schema))
    return _nothing("subject" if candidates else "event")


def _nothing(note: str) -> Plan:
    return Plan(Entity.SUBJECT, _NOBODY, (), note=note)


def _applies(rule: SignalRule, claims: Mapping[str, Any]) -> bool:
    return all(_word(claims, path) == text for path, text in rule.when.items()) and all(
        _carried(given, claims) for given in rule.given.values() if isinstance(given, FromClaim)
    )


def _carried(given: FromClaim, claims: Mapping[str, Any]) -> bool:
    if given.values:
        return _word(claims, given.path) in given.values
    return claim_at(claims, given.path) is not None


def _word(claims: Mapping[str, Any], path: tuple[str, ...]) -> str | None:
    """Give a claim that is a single value as text; None for anything else."""
    value = claim_at(claims, path)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float | str) else None


def _write(attribute: Attribute, given: Given, event: Event) -> Write:
    text = _text(attribute, given, event)
    if text is None or parse_value(attribute, text) is None:
        raise SignalInvalidError(f"the event's value is none that {attribute.name} can hold")
    return Write(attribute.name, text, attribute.latch)


def _text(attribute: Attribute, given: Given, event: Event) -> str | None:
    if isinstance(given, Moment):
        return str(math.floor(event.at) + (given is Moment.AFTER))
    if isinstance(given, str):
        return given
    word = _word(event.claims, given.path)
    if given.values:
        return given.values.get(word or "")
    if attribute.kind is not Kind.LIST:
        return word
    value = claim_at(event.claims, given.path)
    return json.dumps([value] if isinstance(value, str) else value, ensure_ascii=False, separators=(",", ":"))


def _guards(of: Member, subject: Subject, schema: Schema) -> tuple[Guard, ...]:
    """A session belongs to a subject and a device; where the event names those too, they must be the session's."""
    if of is not Member.SESSION:
        return ()
    others = {name: subject.ref(_MEMBER_OF[entity]) for name, entity in schema.bindings.items()}
    return tuple(Guard(name, ref.id) for name, ref in others.items() if ref)
