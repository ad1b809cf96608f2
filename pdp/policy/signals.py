"""signals.yaml: whose security signals are believed, whom they are about, and which attributes they change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from pdp.core.decision import Entity
from pdp.core.record import parse_value
from pdp.core.schema import Attribute, Kind, Schema
from pdp.core.signals.events import CAEP, RISC
from pdp.core.signals.rules import (
    NO_SIGNALS,
    FromClaim,
    Given,
    Identifier,
    Member,
    Moment,
    SignalRule,
    SignalRules,
    Transmitter,
)
from pdp.core.signals.subjects import FORMATS, MEMBERS
from pdp.policy.fields import Fields
from pdp.policy.problems import Problems
from pdp.policy.source import Source
from pdp.policy.yaml_reader import read_yaml
from pdp.yaml_tree import Entry, Node, Scalar, Sequence, Table

_ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip
_USUAL_ALGORITHMS: Final = frozenset({"RS256", "ES256"})
_EVENTS: Final = CAEP | RISC
_REQUIRED: Final = ("issuer", "audience", "jwks_uri", "events", "subjects")
_OPTIONAL: Final = (
    "algorithms", "authorization", "poll_uri", "secret", "configuration_uri", "critical", "tenants", "description",
)  # fmt: skip
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_NAME_HELP: Final = "lower-case letters, digits and -, starting with a letter"
_EVENT: Final = re.compile(r"(caep|risc)/[a-z-]{1,64}", re.ASCII)
_EVENT_HELP: Final = "a profile and an event type, such as caep/session-revoked"
_PRINTED: Final = re.compile(r"[ -~]{1,512}", re.ASCII)
_LONGEST_AGE: Final = 90 * 86400.0
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def read_signals(source: Source, schema: Schema, problems: Problems) -> SignalRules:
    """Read the signals; where anything is wrong, at least one problem is reported and the result is of no use."""
    root = read_yaml(source, problems)
    return _Reader(Fields(source, problems), schema).signals(root) if root is not None else NO_SIGNALS


class _Reader:
    def __init__(self, fields: Fields, schema: Schema) -> None:
        self._fields = fields
        self._schema = schema

    def signals(self, root: Node) -> SignalRules:
        fields = self._fields
        given = fields.document(root, ("transmitters", "events"), ("token_age",))
        age = fields.duration(given["token_age"], _LONGEST_AGE) if "token_age" in given else None
        rules = {
            name: self._rules(name, entry)
            for name, entry in (
                fields.named(given["events"], _EVENT, _EVENT_HELP) if "events" in given else {}
            ).items()
        }
        named = fields.named(given["transmitters"], _NAME, _NAME_HELP) if "transmitters" in given else {}
        transmitters: dict[str, Transmitter] = {}
        for name, entry in named.items():
            found = self._transmitter(name, entry.value)
            if found.issuer in transmitters:
                fields.refuse(entry, f"has the issuer of {transmitters[found.issuer].name!r}")
            transmitters[found.issuer] = found
        if age == 0:
            fields.refuse(given["token_age"], "no token could be accepted")
        return SignalRules(transmitters, rules, age or NO_SIGNALS.token_age)

    def _transmitter(self, name: str, node: Node) -> Transmitter:
        fields = self._fields
        given = fields.record(node, _REQUIRED, _OPTIONAL)
        if "description" in given:
            fields.prose(given["description"])
        texts = {key: self._text(given, key) for key in ("issuer", "jwks_uri", "poll_uri", "configuration_uri")}
        for key in ("jwks_uri", "poll_uri", "configuration_uri"):
            if key in given and texts[key]:
                self._check_uri(given[key], texts[key])
        return Transmitter(
            name,
            **texts,
            audiences=self._list(given, "audience"),
            algorithms=self._chosen(given, "algorithms", _ALGORITHMS, "an algorithm") or _USUAL_ALGORITHMS,
            events=self._chosen(given, "events", _EVENTS, "an event type"),
            identifiers=self._identifiers(given["subjects"]) if "subjects" in given else {},
            authorization=self._name(given, "authorization"),
            secret=self._name(given, "secret"),
            critical=self._chosen(given, "critical", MEMBERS, "a subject member"),
            tenants=self._list(given, "tenants"),
        )

    def _text(self, given: Mapping[str, Node], key: str) -> str:
        return (self._fields.text(given[key]) or "") if key in given else ""

    def _name(self, given: Mapping[str, Node], key: str) -> str:
        return (self._fields.name(given[key], _NAME, _NAME_HELP) or "") if key in given else ""

    def _list(self, given: Mapping[str, Node], key: str) -> frozenset[str]:
        return frozenset(self._fields.names(given[key], _PRINTED, "printable ASCII")) if key in given else frozenset()

    def _chosen(
        self, given: Mapping[str, Node], key: str, options: tuple[str, ...] | frozenset[str], what: str
    ) -> frozenset[str]:
        if key not in given:
            return frozenset()
        items = self._fields.items(given[key])
        if isinstance(given[key], Sequence) and not items:
            self._fields.refuse(given[key], "the list is empty")
        return frozenset(self._fields.choice(item, options, what) or "" for item in items)

    def _check_uri(self, node: Node, uri: str) -> None:
        """Keys and events come over TLS, or never leave the machine: who can change them says who is believed."""
        try:
            parts = urlsplit(uri)
            host = parts.hostname
        except ValueError:
            host = None
        if not host or parts.username or parts.fragment:
            self._fields.refuse(node, "is not a URL", "https://host/path, without user or fragment")
        elif parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
            self._fields.refuse(node, "must start with https://")

    def _identifiers(self, node: Node) -> Mapping[Member, tuple[Identifier, ...]]:
        given = self._fields.record(node, (), tuple(Member))
        if isinstance(node, Table) and not node.entries:
            self._fields.refuse(node, "no subject could be identified")
        return {
            Member(name): tuple(self._identifier(Member(name), it) for it in self._fields.items(listed))
            for name, listed in given.items()
        }

    def _identifier(self, member: Member, node: Node) -> Identifier:
        fields = self._fields
        given = fields.record(node, ("format",), ("key", "type", "match", "prefix", "suffix", "digest"))
        format_ = (
            (fields.choice(given["format"], FORMATS, "a subject identifier format") or "")
            if "format" in given
            else ""
        )
        match = {name: fields.text(entry.value) or "" for name, entry in self._named(given, "match").items()}
        return Identifier(
            format_,
            self._text(given, "key") or FORMATS.get(format_, ""),
            self._type(member, node, given),
            match,
            self._text(given, "prefix"),
            self._text(given, "suffix"),
            digest="digest" in given and fields.boolean(given["digest"]) is True,
        )

    def _named(self, given: Mapping[str, Node], key: str) -> Mapping[str, Entry]:
        return self._fields.named(given[key], re.compile(r"[a-z][a-z_-]{0,62}", re.ASCII)) if key in given else {}

    def _type(self, member: Member, node: Node, given: Mapping[str, Node]) -> str:
        if member is not Member.USER:
            if "type" in given:
                self._fields.refuse(given["type"], f"a {member} has no type", "delete it")
            return member.value
        if "type" not in given:
            self._fields.refuse(node, "the key 'type' is missing", "the type of the subject")
            return ""
        return self._fields.choice(given["type"], self._schema.subject_types, "a subject type of the schema") or ""

    def _rules(self, name: str, entry: Entry) -> tuple[SignalRule, ...]:
        if name not in _EVENTS:
            self._fields.choice(Scalar(entry.offset, name, name), _EVENTS, "an event type")
        return tuple(rule for it in self._fields.items(entry.value) if (rule := self._rule(it)))

    def _rule(self, node: Node) -> SignalRule | None:
        given = self._fields.record(node, ("of", "set"), ("when",))
        word = self._fields.choice(given["of"], tuple(Member), "user, device or session") if "of" in given else None
        if word is None or "set" not in given:
            return None
        member = Member(word)
        when = {_path(it.key): self._plain(it.value) for it in self._entries(given, "when")}
        values = {
            it.key: value
            for it in self._entries(given, "set")
            if (value := self._assignment(member.entity, it)) is not None
        }
        if isinstance(given["set"], Table) and not given["set"].entries:
            self._fields.refuse(given["set"], "sets nothing", "leave out the event type to take no notice of it")
        return SignalRule(member, when, values)

    def _entries(self, given: Mapping[str, Node], key: str) -> tuple[Entry, ...]:
        return self._fields.entries(given[key]) if key in given else ()

    def _plain(self, node: Node) -> str:
        if isinstance(node, Scalar):
            return node.text
        self._fields.refuse(node, "a single value is expected here")
        return ""

    def _assignment(self, entity: Entity, entry: Entry) -> Given | None:
        attribute = self._schema.attributes_of(entity).get(entry.key)
        if attribute is None:
            self._fields.choice(
                Scalar(entry.offset, entry.key, entry.key), self._names(entity), f"an attribute of the {entity}"
            )
            return None
        if isinstance(entry.value, Scalar):
            return self._literal(attribute, entry.value)
        given = self._fields.record(entry.value, (), ("claim", "values", "time"))
        if "time" in given:
            return self._moment(attribute, given)
        if "claim" not in given:
            self._fields.refuse(entry.value, "the key 'claim' is missing", "a value, {claim: ...} or {time: event}")
            return None
        claim = FromClaim(_path(self._text(given, "claim")))
        listed = self._fields.entries(given["values"]) if "values" in given else ()
        texts = {it.key: text for it in listed if (text := self._literal(attribute, it.value)) is not None}
        return replace(claim, values=texts)

    def _names(self, entity: Entity) -> tuple[str, ...]:
        return tuple(self._schema.attributes_of(entity))

    def _moment(self, attribute: Attribute, given: Mapping[str, Node]) -> Moment | None:
        word = self._fields.choice(given["time"], tuple(Moment), "event or after")
        if attribute.kind is not Kind.TIME:
            self._fields.refuse(given["time"], f"{attribute.name} is no time")
        return Moment(word) if word else None

    def _literal(self, attribute: Attribute, node: Node) -> str | None:
        if not isinstance(node, Scalar) or parse_value(attribute, node.text) is None:
            self._fields.refuse(node, f"not a value that {attribute.name!r} can take")
            return None
        return node.text


def _path(text: str) -> tuple[str, ...]:
    return tuple(text.split("."))
