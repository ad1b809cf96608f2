"""Recorded questions: one JSON object a line, as ``pdp audit export`` writes them.

Of a record these are read: ``subject`` (``type:id``), ``action``, ``resource`` (``{"type", "id"}`` or ``type:id``),
``purpose``, ``session``, ``device``, ``emergency_reason`` and ``outcome``; and, which the decision log does not hold
but another recording may, ``channel``, ``network`` and ``supports`` (obligation types). A ``kind`` other than
``decision`` is passed over.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from pdp.core.errors import InvalidRequestError
from pdp.core.request import Context, EntityRef, Request, validate

_PSEUDONYM: Final = "~"
# What tells one record of a question from another. Inside of a text these would have a backslash before the quotes.
_VARYING: Final = re.compile(
    rb'"(?:seq|time|decision_id|trace_id)":(?:"[^"\\]*"|[0-9]+|null),|"attribute_versions":\{[^{}]*\}'
)
_KNOWN: Final = 100_000
# No rule can read the words, so all claims of an emergency are one question.
_REASON: Final = "as recorded"


class Question(NamedTuple):
    """A recorded question, and how it was answered; equal where asking twice would say nothing new."""

    subject: str
    action: str
    resource_type: str
    resource_id: str
    purpose: str
    session: str
    device: str
    channel: str
    network: str
    emergency: bool
    supports: tuple[str, ...] | None
    outcome: str

    def request(self, every_obligation: frozenset[str]) -> Request | None:
        """Make the request; None where no request could name what is recorded."""
        kind, _, identifier = self.subject.partition(":")
        supports = every_obligation if self.supports is None else frozenset(self.supports)
        reason = _REASON if self.emergency else ""
        context = Context(self.purpose, self.channel, self.network, self.emergency, reason, supports)
        resource = EntityRef(self.resource_type, self.resource_id)
        request = Request(EntityRef(kind, identifier), self.action, resource, context, self.session, self.device)
        try:
            validate(request)
        except InvalidRequestError:
            return None
        return request


_NO_QUESTION: Final = Question("", "", "", "", "", "", "", "", "", False, None, "")


class QuestionReader:
    """Reads lines; those that differ only in what identifies one event are parsed once."""

    def __init__(self) -> None:
        self._known: dict[bytes, Question | None] = {}

    def count(self, lines: Iterable[bytes], into: Counter[Question]) -> int:
        """Count the questions of some lines.

        Returns:
            How many lines name somebody or something by a pseudonym or not at all, or are no record.
        """
        known, unreadable = self._known, 0
        if len(known) >= _KNOWN:
            known.clear()
        for line in lines:
            key = _VARYING.sub(b"", line)
            if key not in known:
                known[key] = _read(line)
            question = known[key]
            if question is None:
                unreadable += 1
            elif question.action:
                into[question] += 1
        return unreadable


def _read(line: bytes) -> Question | None:
    """Read a line; None where it is not readable, a question without an action where it is no decision."""
    try:
        record = json.loads(line) if line.strip() else {"kind": ""}
        if record.get("kind", "decision") != "decision":
            return _NO_QUESTION
        question = _question(record)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    named = (question.subject, question.resource_id, question.session, question.device)
    return None if any(name.startswith(_PSEUDONYM) for name in named) else question


def _question(record: dict[str, Any]) -> Question:
    resource = record["resource"]
    kind, identifier = resource.split(":", 1) if isinstance(resource, str) else (resource["type"], resource["id"])
    get = record.get
    supports = get("supports")
    found = Question(
        record["subject"],
        record["action"],
        kind,
        identifier,
        get("purpose") or "",
        get("session") or "",
        get("device") or "",
        get("channel") or "",
        get("network") or "",
        bool(get("emergency_reason")),
        None if supports is None else tuple(sorted(supports)),
        get("outcome") or "",
    )
    if not all(isinstance(part, str) for part in found[:9]) or not found.action:
        raise TypeError
    return found
