"""A record as JSON text, and as the few bytes of it that are stored.

The log's content is JSON text, one object a record; the Merkle leaf is over exactly that text. Most of a decision's
text repeats: what does not identify one event (kind, caller, action, rules, revision...) becomes a template, stored
once a segment, with NUL where the values go. A record then stores its values alone, one a line.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, islice
from json.encoder import encode_basestring_ascii as quote
from operator import itemgetter
from struct import Struct

from pdp.audit.framing import INLINE, MAX_PAYLOAD
from pdp.audit.identifiers import IdentifierField, Identifiers
from pdp.audit.records import Record, record_of
from pdp.audit.sealing import RECORD, TEMPLATE, Sealer
from pdp.core.decision import ALLOW
from pdp.ports import Answer

HOLE = "\0"
_NUMBER = Struct("<H")
_LENGTH = Struct("<I")
_MAX_TEMPLATES = 4096
_CLIPPED_CHARS = 256
_MAX_DEPTH = 8

_SHARED = ("kind", "caller", "action", "purpose", "outcome", "reasons", "rules", "obligations", "revision")
_shared = itemgetter(*_SHARED, "resource", "attribute_versions")
_own = itemgetter("decision_id", "subject", "session", "device", "trace_id")
_FIELDS = 16
_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


Encoded = tuple[int, bytes, bytes, bytes | None]
"""One record, ready to be framed; a plain tuple because it is made once a decision.

    tag         the template's number, or INLINE
    stored      the payload of the record's frame
    leaf input  what the leaf hash is taken over, its 0x00 prefix included
    definition  the payload of the DEFINITION frame to write first, if the template is new in this segment
"""


@dataclass(frozen=True, slots=True)
class _Template:
    """A template as the encoder uses it.

    Attributes:
        number: the tag of its records.
        parts: the pieces of a record's leaf input: the template's own text at even places, a record's values at odd
            ones, where they are overwritten for each record. Joining them costs half of formatting.
        sealed_prefix: what a sealed record's leaf input starts with.
        resource: treats the ids of its resources.
    """

    number: int
    parts: list[str]
    sealed_prefix: bytes
    resource: IdentifierField


def definition_payload(number: int, body: bytes) -> bytes:
    """The payload of a DEFINITION frame."""
    return _NUMBER.pack(number) + body


def sealed_prefix(body: bytes) -> bytes:
    """What a sealed record's leaf input starts with: 0x00, the length of its sealed template, the template."""
    return b"\0" + _LENGTH.pack(len(body)) + body


SEALED_INLINE = sealed_prefix(b"")


class RecordEncoder:
    """Encodes the records of one worker; it knows which templates the current segment already holds."""

    def __init__(self, worker: str, identifiers: Identifiers) -> None:
        self._worker = worker
        self._identifiers = identifiers
        self._templates: dict[tuple[object, ...], _Template] = {}
        self._answers: dict[tuple[object, ...], _Template] = {}  # the same, by what answers share
        self._sealer: Sealer | None = None

    def start_segment(self, sealer: Sealer | None) -> None:
        """Forget the templates of the segment before."""
        self._templates, self._answers = {}, {}
        self._sealer = sealer

    def encode(self, record: Record | Answer, seq: int, time: str) -> Encoded:
        """Encode one record; whatever does not have a decision's exact shape is stored whole.

        Args:
            record: an answer of the service, or a record without `seq`; its own `time`, if it has one, is kept.
            seq: its number in the worker's tree.
            time: the RFC 3339 time to stamp.
        """
        try:
            if isinstance(record, Answer):
                return self._encode_answer(record, seq, time)
            return self._encode_decision(record, seq, time)
        except (KeyError, TypeError, AttributeError):
            return self._encode_inline(record_of(record) if isinstance(record, Answer) else record, seq, time)

    def _encode_answer(self, answer: Answer, seq: int, time: str) -> Encoded:
        """What encoding `record_of(answer)` gives, without making it: this is done for every decision."""
        decision_id, trace_id, _, request, caller, decision, _, _ = answer
        if request is None or request.context.emergency:
            return self._encode_decision(record_of(answer), seq, time)
        (subject_type, subject_id), action, (kind, resource_id), context, session, device = request
        effect, causes, rules, obligations, revision, uses, _, _ = decision
        key = (
            *(caller[0], action, kind, context[0], effect is ALLOW, causes, rules, revision),
            *(tuple([owed.id for owed in obligations]) if obligations else None, *[use[0] for use in uses]),
        )
        template = self._answers.get(key)
        if template is None:
            return self._encode_new(key, answer, seq, time)
        known = self._identifiers
        values = [
            f'"{time}"',
            quote(decision_id),
            known.subject[f"{subject_type}:{subject_id}"],
            template.resource[resource_id],
            known.session[session or None],
            known.device[device or None],
            quote(trace_id),
            *[f"{use[1]}" for use in uses],
        ]
        return self._fill(template, values, seq, None)

    def _encode_new(self, key: tuple[object, ...], answer: Answer, seq: int, time: str) -> Encoded:
        """Encode the first answer of its kind, and remember by which template."""
        record = record_of(answer)
        encoded = self._encode_decision(record, seq, time)
        self._answers[key] = self._templates[_key_of(record)]
        return encoded

    def _encode_decision(self, record: Record, seq: int, time: str) -> Encoded:
        resource, versions = record["resource"], record["attribute_versions"]
        decision_id, subject, session, device, trace_id = _own(record)
        if len(record) != _FIELDS:
            time = _own_time(record)
        key = _key_of(record)
        definition, template = None, self._templates.get(key)
        if template is None:
            template, definition = self._define(key, seq, len(resource))  # type: ignore[arg-type]
        known = self._identifiers
        values = [
            quote(time),
            quote(decision_id),
            known.subject[subject],
            template.resource[resource["id"]],  # type: ignore[index]
            known.session[session],
            known.device[device],
            "null" if trace_id is None else quote(trace_id),
            *[str(value) if type(value) is int else _dumps(value) for value in versions.values()],  # type: ignore[attr-defined]
        ]
        if definition is not None:
            self._templates[key] = template
        return self._fill(template, values, seq, definition)

    def _fill(self, template: _Template, values: list[str], seq: int, definition: bytes | None) -> Encoded:
        stored = "\n".join(values).encode("ascii")
        if self._sealer is not None:
            stored = self._sealer.seal(seq, RECORD, stored)
            return template.number, stored, template.sealed_prefix + stored, definition
        parts = template.parts
        parts[1] = f"{seq}"
        parts[3::2] = values
        return template.number, stored, "".join(parts).encode("ascii"), definition

    def _define(self, key: tuple[object, ...], seq: int, resource_keys: int) -> tuple[_Template, bytes]:
        """A new template; refuses (TypeError) what must be stored whole."""
        flat = chain.from_iterable(part if isinstance(part, tuple) else (part,) for part in key)
        if resource_keys != 2 or len(self._templates) >= _MAX_TEMPLATES:  # noqa: PLR2004  type and id
            raise TypeError
        if not all(part is None or type(part) is str for part in flat):
            raise TypeError
        text = self._template_text(key)
        number = len(self._templates) + 1
        body = text.encode("ascii")
        if self._sealer is not None:
            body = self._sealer.seal(seq, TEMPLATE, body)
        # It starts with the 0x00 that RFC 6962 puts before a leaf: joining is all there is to do.
        pieces = text.replace(HOLE, HOLE + HOLE).split(HOLE)
        pieces[0] = "\0" + pieces[0]
        template = _Template(number, pieces, sealed_prefix(body), self._identifiers.resource(key[6]))
        return template, definition_payload(number, body)

    def _template_text(self, key: tuple[object, ...]) -> str:
        kind, caller, action, purpose, outcome, revision, resource_type, reasons, rules, obligations, versions = key
        shown = self._identifiers.caller[caller]  # type: ignore[index]
        resource = f'{{"type":{_dumps(resource_type)},"id":{HOLE}}}'
        attribute_versions = ",".join(f"{_dumps(name)}:{HOLE}" for name in versions)  # type: ignore[attr-defined]
        return (
            f'{{"seq":{HOLE},"time":{HOLE},"worker":{_dumps(self._worker)},"kind":{_dumps(kind)},"decision_id":{HOLE},'
            f'"caller":{shown},"subject":{HOLE},"action":{_dumps(action)},"resource":{resource},'
            f'"purpose":{_dumps(purpose)},"session":{HOLE},"device":{HOLE},"outcome":{_dumps(outcome)},'
            f'"reasons":{_dumps(reasons)},"rules":{_dumps(rules)},"obligations":{_dumps(obligations)},'
            f'"revision":{_dumps(revision)},"trace_id":{HOLE},"attribute_versions":{{{attribute_versions}}}}}'
        )

    def _encode_inline(self, record: Record, seq: int, time: str) -> Encoded:
        text = self._inline_text(record, seq, time)
        if self._sealer is None:
            return INLINE, text, b"\0" + text, None
        stored = self._sealer.seal(seq, RECORD, text)
        return INLINE, stored, SEALED_INLINE + stored, None

    def _inline_text(self, record: Record, seq: int, time: str) -> bytes:
        value = {"seq": seq, "time": time, "worker": self._worker, **self._treated(record)}
        value["seq"], value["worker"] = seq, self._worker
        try:
            text = _dumps(value).encode("ascii")
        except (TypeError, ValueError, RecursionError):
            text = _dumps(encodable(value)).encode("ascii")
        if len(text) > MAX_PAYLOAD // 2:
            clipped = {name[:_CLIPPED_CHARS]: _clip(part) for name, part in islice(value.items(), _FIELDS * 2)}
            text = _dumps(encodable(clipped | {"clipped": len(text)})).encode("ascii")
        return text

    def _treated(self, record: Record) -> dict[str, object]:
        """The record with its identifiers as the policy says."""
        treated = dict(record)
        for name in ("caller", "subject", "session", "device"):
            if name in treated:
                fields: IdentifierField = getattr(self._identifiers, name)
                treated[name] = json.loads(fields[_identifier(treated[name])])
        resource = treated.get("resource")
        if isinstance(resource, Mapping) and "id" in resource:
            known = self._identifiers.resource(resource.get("type"))
            treated["resource"] = {**resource, "id": json.loads(known[_identifier(resource["id"])])}
        return treated


def _key_of(record: Record) -> tuple[object, ...]:
    """What the records of one template have in common."""
    kind, caller, action, purpose, outcome, reasons, rules, obligations, revision, resource, versions = _shared(
        record
    )
    return (
        *(kind, caller, action, purpose, outcome, revision, resource["type"]),
        *(tuple(reasons), tuple(rules), tuple(obligations), tuple(versions)),
    )


def _own_time(record: Record) -> str:
    """The time of a record that has a decision's fields and a time, nothing else; TypeError for any other record."""
    time = record["time"]
    if len(record) != _FIELDS + 1 or not isinstance(time, str):
        raise TypeError
    return time


def _identifier(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def encodable(value: object, depth: int = 0) -> object:
    """The value with everything JSON cannot say replaced by a text that names its type, never its content."""
    if depth > _MAX_DEPTH:
        return "<nested too deeply>"
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(name): encodable(part, depth + 1) for name, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [encodable(part, depth + 1) for part in value]
    return f"<{type(value).__name__}>"


def _clip(value: object) -> object:
    if isinstance(value, (str, bytes)):
        return value[:_CLIPPED_CHARS]
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        return f"<{len(value)} items>"
    return value
