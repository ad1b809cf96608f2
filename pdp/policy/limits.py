"""limits.yaml: what is counted of decisions, how much is too much, what follows, and who is told of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pdp.core.decision import Effect, Entity
from pdp.core.limits import NO_LIMITS, Baseline, Feature, Hours, Level, Limits, Receiver
from pdp.core.record import parse_value
from pdp.core.schema import Attribute, Kind, Schema
from pdp.core.signals.rules import Identifier
from pdp.core.signals.subjects import FORMATS
from pdp.policy.fields import Fields
from pdp.policy.problems import Problems
from pdp.policy.source import Source
from pdp.policy.yaml_reader import read_yaml
from pdp.yaml_tree import Node, Scalar, Table

_RAISED: Final = (Level.MEDIUM, Level.HIGH)
_NAMES: Final = tuple(level.name for level in _RAISED)
_COUNTS: Final = ("decisions", "resources")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_RECEIVER: Final = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_RECEIVER_HELP: Final = "lower-case letters, digits and -, starting with a letter"
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_FEATURE_KEYS: Final = ("effect", "actions", "resources", "off_hours", "limits", "usual", "least", "description")
_LONGEST_WINDOW: Final = 7 * 86400.0
_LONGEST_PERIOD: Final = 7 * 86400.0
_LONGEST_STEP: Final = 7 * 86400.0
_MOST_FEATURES: Final = 32
_HIGHEST_LIMIT: Final = 10_000
_MOST_SAMPLES: Final = 90
_HIGHEST_FACTOR: Final = 1000.0


def read_limits(source: Source, schema: Schema, problems: Problems) -> Limits:
    """Read the limits; where anything is wrong, at least one problem is reported and the result is of no use."""
    root = read_yaml(source, problems)
    return _Reader(Fields(source, problems), schema).limits(root) if root is not None else NO_LIMITS


class _Reader:
    def __init__(self, fields: Fields, schema: Schema) -> None:
        self._fields = fields
        self._schema = schema

    def limits(self, root: Node) -> Limits:
        fields = self._fields
        given = fields.document(root, ("risk", "features"), ("hours", "baseline", "receivers"))
        attribute, values, step = self._risk(given["risk"]) if "risk" in given else ("", {}, 0.0)
        hours = self._hours(given["hours"]) if "hours" in given else None
        named = fields.named(given["features"]) if "features" in given else {}
        if "features" in given and not 0 < len(named) <= _MOST_FEATURES:
            fields.refuse(given["features"], f"there must be 1 to {_MOST_FEATURES} features")
        features = tuple(self._feature(name, it.value, timed="hours" in given) for name, it in named.items())
        baseline = self._baseline(given["baseline"]) if "baseline" in given else Baseline()
        told = fields.named(given["receivers"], _RECEIVER, _RECEIVER_HELP) if "receivers" in given else {}
        receivers = tuple(self._receiver(name, it.value) for name, it in told.items())
        return Limits(attribute, values, step, features, hours, baseline, receivers)

    def _risk(self, node: Node) -> tuple[str, Mapping[Level, int], float]:
        """Read what a level sets: an attribute of the subject that can fall again."""
        given = self._fields.record(node, ("attribute", "values", "step"))
        step = self._duration(given, "step", _LONGEST_STEP)
        declared = self._schema.attributes_of(Entity.SUBJECT)
        options = [it.name for it in declared.values() if it.kind is Kind.INT and not it.latch]
        name = ""
        if "attribute" in given:
            what = "a whole number of the subject that is no latch"
            name = self._fields.choice(given["attribute"], options, what) or ""
        values = self._levels(given, "values", declared.get(name))
        if values and list(values) != list(_RAISED):
            self._fields.refuse(given["values"], "a value is needed for MEDIUM and for HIGH")
        return name, values, step

    def _levels(self, given: Mapping[str, Node], key: str, attribute: Attribute | None = None) -> dict[Level, int]:
        """Read a whole number for each level; a graver level has the higher one."""
        if key not in given:
            return {}
        nodes = self._fields.record(given[key], (), _NAMES)
        found: dict[Level, int] = {}
        for level in _RAISED:
            node = nodes.get(level.name)
            number = self._whole(node, _HIGHEST_LIMIT) if node is not None else None
            if number is None or node is None:
                continue
            if attribute and parse_value(attribute, str(number)) is None:
                self._fields.refuse(node, f"not a value that {attribute.name!r} can take")
            found[level] = number
        if found.get(Level.MEDIUM, 0) >= found.get(Level.HIGH, _HIGHEST_LIMIT + 1):
            self._fields.refuse(given[key], "MEDIUM must be below HIGH")
        if isinstance(given[key], Table) and not nodes:
            self._fields.refuse(given[key], "names no level")
        return found

    def _feature(self, name: str, node: Node, *, timed: bool) -> Feature:
        fields = self._fields
        given = fields.record(node, ("count", "window"), _FEATURE_KEYS)
        if "description" in given:
            fields.prose(given["description"])
        effect = self._word(given, "effect", [it.value for it in Effect], "allow or deny") or Effect.ALLOW.value
        off_hours = "off_hours" in given and fields.boolean(given["off_hours"]) is True
        if off_hours and not timed:
            fields.refuse(
                given["off_hours"], "without hours nothing is outside of them", "give the file an hours key"
            )
        usual = self._word(given, "usual", _NAMES, "MEDIUM or HIGH")
        least = self._whole(given["least"], _HIGHEST_LIMIT) if "least" in given else None
        if isinstance(node, Table) and not {"limits", "usual"} & given.keys():
            fields.refuse(node, "is compared with nothing", "give it limits, or usual: MEDIUM or HIGH")
        return Feature(
            name,
            self._duration(given, "window", _LONGEST_WINDOW),
            distinct=self._word(given, "count", _COUNTS, "decisions or resources") == "resources",
            effect=Effect(effect),
            actions=self._chosen(given, "actions", self._schema.actions, "an action of the schema"),
            resources=self._chosen(given, "resources", self._schema.resources, "a resource type of the schema"),
            off_hours=off_hours,
            limits=self._levels(given, "limits"),
            usual=Level[usual] if usual else None,
            least=least or 1,
        )

    def _hours(self, node: Node) -> Hours | None:
        given = self._fields.record(node, ("zone", "days", "from", "to"))
        chosen = self._chosen(given, "days", _DAYS, "a day, mon to sun")
        start, end = (self._clock(given[key]) if key in given else 0 for key in ("from", "to"))
        if start == end and {"from", "to"} <= given.keys():
            self._fields.refuse(given["to"], "the hours end as they begin")
        zone = self._zone(given["zone"]) if "zone" in given else None
        return Hours(zone, frozenset(map(_DAYS.index, chosen - {""})), start, end) if zone else None

    def _zone(self, node: Node) -> ZoneInfo | None:
        name = self._fields.text(node)
        try:
            return ZoneInfo(name) if name else None
        except (KeyError, ValueError, OSError):
            self._fields.refuse(node, "a time zone that this machine does not know", "such as UTC or Europe/Berlin")
            return None

    def _clock(self, node: Node) -> int:
        found = _CLOCK.fullmatch(node.text) if isinstance(node, Scalar) else None
        if not found:
            self._fields.refuse(node, "a time of day is expected here", "such as 08:30")
            return 0
        return int(found[1]) * 60 + int(found[2])

    def _baseline(self, node: Node) -> Baseline:
        given = self._fields.record(node, (), ("period", "periods", "grace", "score", "factor"))
        usual = Baseline()
        period = self._duration(given, "period", _LONGEST_PERIOD) if "period" in given else usual.period
        numbers = {
            key: self._whole(given[key], _MOST_SAMPLES) or 1 if key in given else getattr(usual, key)
            for key in ("periods", "grace")
        }
        if not 2 <= numbers["grace"] <= numbers["periods"]:  # noqa: PLR2004 - one sample has no deviation
            self._fields.refuse(given.get("grace", node), "must be at least 2 and at most periods")
        score = self._number(given, "score", 0.5, 0.999999, usual.score)
        factor = self._number(given, "factor", 1.0, _HIGHEST_FACTOR, usual.factor)
        return Baseline(period, numbers["periods"], numbers["grace"], score, factor)

    def _receiver(self, name: str, node: Node) -> Receiver:
        fields = self._fields
        given = fields.record(node, ("url", "audience", "subject"), ("authorization", "description"))
        if "description" in given:
            fields.prose(given["description"])
        url = self._text(given, "url")
        if url and not _private(url):
            fields.refuse(given["url"], "must be https://host/path, without user or fragment")
        subject = self._identifier(given["subject"]) if "subject" in given else Identifier("opaque", "id", "")
        named = "authorization" in given
        secret = fields.name(given["authorization"], _RECEIVER, _RECEIVER_HELP) if named else ""
        return Receiver(name, url, self._text(given, "audience"), subject, secret or "")

    def _identifier(self, node: Node) -> Identifier:
        """Read how a subject's id is written in a token: ``prefix`` and ``suffix`` are put around it."""
        given = self._fields.record(node, ("format",), ("match", "prefix", "suffix"))
        format_ = self._word(given, "format", FORMATS, "a subject identifier format")
        match = self._fields.texts(given["match"]) if "match" in given else {}
        key = FORMATS.get(format_, "")
        return Identifier(format_, key, "", match, self._text(given, "prefix"), self._text(given, "suffix"))

    def _text(self, given: Mapping[str, Node], key: str) -> str:
        return (self._fields.text(given[key]) or "") if key in given else ""

    def _word(self, given: Mapping[str, Node], key: str, options: Collection[str], what: str) -> str:
        return (self._fields.choice(given[key], options, what) or "") if key in given else ""

    def _chosen(self, given: Mapping[str, Node], key: str, options: Collection[str], what: str) -> frozenset[str]:
        if key not in given:
            return frozenset()
        items = self._fields.items(given[key])
        if not items:
            self._fields.refuse(given[key], "the list is empty", "leave the key out for all")
        return frozenset(self._fields.choice(item, options, what) or "" for item in items)

    def _duration(self, given: Mapping[str, Node], key: str, longest: float) -> float:
        if key not in given:
            return longest
        seconds = self._fields.duration(given[key], longest)
        if seconds == 0:
            self._fields.refuse(given[key], "must be longer than nothing")
        return seconds or longest

    def _whole(self, node: Node, highest: int) -> int | None:
        number = self._fields.whole(node)
        if number is not None and not 1 <= number <= highest:
            self._fields.refuse(node, f"must be from 1 to {highest}")
        return number

    def _number(self, given: Mapping[str, Node], key: str, low: float, high: float, default: float) -> float:
        number: float | None = self._fields.number(given[key]) if key in given else default
        if number is not None and not low <= number <= high:
            self._fields.refuse(given[key], f"must be from {low} to {high}")
        return default if number is None else number


def _private(url: str) -> bool:
    """Say whether what is sent to a URL is hidden from third parties: by TLS, or because it stays on the machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if not host or parts.username or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
