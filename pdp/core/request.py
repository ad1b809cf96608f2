"""An authorization request in OpenID AuthZEN nouns: subject, action, resource, context.

These values, and those a decision is made of, are named tuples: as immutable as frozen dataclasses, and several
times cheaper to make, which happens for every request.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from pdp.core.errors import InvalidRequestError

# Identifiers are ASCII from an allow-list: no homoglyphs, no NUL, no white space, nothing a key, a log line or a
# header could split on.
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+=~-]{0,254}", re.ASCII)
_NAME: Final = re.compile(r"[a-z][a-z0-9_.]{0,62}", re.ASCII)
_TEXT_LIMIT: Final = 512
# One match over all fields, which is what nearly every request needs; the separator is in neither alphabet.
_PLAIN: Final = re.compile(
    f"(?:{_NAME.pattern})\0(?:{_ID.pattern})\0(?:{_NAME.pattern})\0(?:{_NAME.pattern})\0(?:{_ID.pattern})"
    f"(?:\0(?:{_ID.pattern})?){{2}}(?:\0(?:{_NAME.pattern})?){{3}}",
    re.ASCII,
)


class EntityRef(NamedTuple):
    """A typed identifier, such as ``user:alice``."""

    type: str
    id: str

    def __str__(self) -> str:
        """Give the ``type:id`` form."""
        return f"{self.type}:{self.id}"


class Context(NamedTuple):
    """What the enforcement point says of the circumstances.

    Attributes:
        purpose: why the data is asked for; one of the schema's, or empty for none stated.
        channel: over which channel the work is done; one of the schema's, or empty.
        network: from which kind of network; one of the schema's, or empty.
        emergency: whether emergency access is claimed (break-glass).
        emergency_reason: the claimant's words, put on record; required with ``emergency``.
        supported_obligations: obligation types that the enforcement point will carry out.
    """

    purpose: str = ""
    channel: str = ""
    network: str = ""
    emergency: bool = False
    emergency_reason: str = ""
    supported_obligations: frozenset[str] = frozenset()


class Request(NamedTuple):
    """One question: may ``subject`` do ``action`` on ``resource``, in this session, from this device?

    ``session`` and ``device`` are identifiers, empty where the caller names none.
    """

    subject: EntityRef
    action: str
    resource: EntityRef
    context: Context = Context()
    session: str = ""
    device: str = ""


def validate(request: Request) -> None:
    """Refuse a request whose names are outside the allow-listed alphabet or length.

    Raises:
        InvalidRequestError: names the first offending field.
    """
    subject, resource, context = request.subject, request.resource, request.context
    fields = (subject.type, subject.id, request.action, resource.type, resource.id, request.session, request.device)
    stated = (context.purpose, context.channel, context.network)
    if not _PLAIN.fullmatch("\0".join(fields + stated)):
        _find_fault(request)
    _validate_context(context)


def _find_fault(request: Request) -> None:
    _match(_NAME, "subject.type", request.subject.type)
    _match(_ID, "subject.id", request.subject.id)
    _match(_NAME, "action.name", request.action)
    _match(_NAME, "resource.type", request.resource.type)
    _match(_ID, "resource.id", request.resource.id)
    if request.session:
        _match(_ID, "session.id", request.session)
    if request.device:
        _match(_ID, "device.id", request.device)
    for field in ("purpose", "channel", "network"):
        if value := getattr(request.context, field):
            _match(_NAME, f"context.{field}", value)


def _validate_context(context: Context) -> None:
    for name in context.supported_obligations:
        _match(_NAME, "context.supported_obligations", name)
    if context.emergency != bool(context.emergency_reason):
        problem = "is required with emergency" if context.emergency else "is given without emergency"
        raise InvalidRequestError("context.emergency_reason", problem)
    if len(context.emergency_reason) > _TEXT_LIMIT:
        raise InvalidRequestError("context.emergency_reason", f"is longer than {_TEXT_LIMIT} characters")


def _match(pattern: re.Pattern[str], field: str, value: str) -> None:
    if not pattern.fullmatch(value):
        if not value:
            raise InvalidRequestError(field, "is missing")
        allowed = "letters, digits and ._:@/+=~-" if pattern is _ID else "lower-case letters, digits, _ and ."
        raise InvalidRequestError(field, f"is too long or has a character outside {allowed}")
