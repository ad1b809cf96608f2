"""Recorded questions: one JSON object a line, as ``pdp audit export`` writes them.

Of a record these are read: ``subject`` (``type:id``), ``action``, ``resource`` (``{"type", "id"}`` or ``type:id``),
``purpose``, ``session``, ``device``, ``emergency_reason`` and ``outcome``; and, which the decision log does not hold
but another recording may, ``channel``, ``network`` and ``supports`` (obligation types). A ``kind`` other than
``decision`` is passed over.
"""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple

from pdp.core.errors import InvalidRequestError
from pdp.core.request import Context, EntityRef, Request, validate

_PSEUDONYM: Final = "~"
# No rule can read the words, so all claims of an emergency are one question.
_REASON: Final = "as recorded"
_TEXT: Final = r'"([^"\\]*)"'
_TEXT_OR_NOT: Final = r'(?:"([^"\\]*)"|null)'
_PASSED: Final = r'(?:"[^"\\]*"|null)'
_TEXTS: Final = r'\[(?:"[^"\\]*"(?:,"[^"\\]*")*)?\]'
# A decision as the log writes nearly all of them: these keys, in this order, no text in need of an escape.
_USUAL: Final = re.compile(
    rf'{{"seq":[0-9]+,"time":{_PASSED},"worker":{_PASSED},"kind":"decision","decision_id":{_PASSED},"caller":{_PASSED},'
    rf'"subject":{_TEXT},"action":{_TEXT},"resource":{{"type":{_TEXT},"id":{_TEXT}}},"purpose":{_TEXT_OR_NOT},'
    rf'"session":{_TEXT_OR_NOT},"device":{_TEXT_OR_NOT},"outcome":{_TEXT},"reasons":{_TEXTS},"rules":{_TEXTS},'
    rf'"obligations":{_TEXTS},"revision":{_PASSED},"trace_id":{_PASSED},"attribute_versions":{{[^{{}}"\\]*'
    rf'(?:"[a-z]*":[0-9]+,?)*}}}}\n?'
)


class Circumstances(NamedTuple):
    """What was stated of a question; ``supports`` is None where the recording does not say."""

    purpose: str = ""
    channel: str = ""
    network: str = ""
    emergency: bool = False
    supports: tuple[str, ...] | None = None


class Question(NamedTuple):
    """A recorded question, and how it was answered."""

    subject: str
    action: str
    resource: tuple[str, str]
    session: str
    device: str
    stated: Circumstances
    outcome: str

    def request(self, every_obligation: frozenset[str]) -> Request | None:
        """Make the request; None where no request could name what is recorded."""
        stated = self.stated
        kind, _, identifier = self.subject.partition(":")
        supports = every_obligation if stated.supports is None else frozenset(stated.supports)
        reason = _REASON if stated.emergency else ""
        context = Context(stated.purpose, stated.channel, stated.network, stated.emergency, reason, supports)
        resource = EntityRef(*self.resource)
        request = Request(EntityRef(kind, identifier), self.action, resource, context, self.session, self.device)
        try:
            validate(request)
        except InvalidRequestError:
            return None
        return request


class UnreadableError(Exception):
    """A line that names somebody or something by a pseudonym or not at all, or that is no record."""


def read_question(line: bytes) -> Question | None:
    """Read a line of a recording; None where it is no decision.

    Raises:
        UnreadableError: nothing can be asked by what it says.
    """
    try:
        text = line.decode()
        question = _usual(text) or _unusual(text)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UnreadableError from None
    if question is not None:
        for name in (question.subject, question.resource[1], question.session, question.device):
            if name.startswith(_PSEUDONYM):
                raise UnreadableError
    return question


def _usual(text: str) -> Question | None:
    """Read what is written in the usual way without making the whole of it; None where it is not."""
    found = _USUAL.fullmatch(text)
    if found is None:
        return None
    subject, action, kind, identifier, purpose, session, device, outcome = found.groups("")
    if not action:
        raise TypeError
    return Question(subject, action, (kind, identifier), session, device, Circumstances(purpose), outcome)


def _unusual(text: str) -> Question | None:
    record = json.loads(text) if text.strip() else {"kind": ""}
    if record.get("kind", "decision") != "decision":
        return None
    resource, get = record["resource"], record.get
    kind, identifier = resource.split(":", 1) if isinstance(resource, str) else (resource["type"], resource["id"])
    supports = get("supports")
    stated = Circumstances(
        get("purpose") or "",
        get("channel") or "",
        get("network") or "",
        bool(get("emergency_reason")),
        None if supports is None else tuple(sorted(supports)),
    )
    question = Question(
        record["subject"],
        record["action"],
        (kind, identifier),
        get("session") or "",
        get("device") or "",
        stated,
        get("outcome") or "",
    )
    named = (question.subject, question.action, kind, identifier, question.session, question.device)
    texts = (*named, *stated[:3], *(stated.supports or ()), question.outcome)
    if not all(isinstance(part, str) for part in texts) or not question.action:
        raise TypeError
    return question
