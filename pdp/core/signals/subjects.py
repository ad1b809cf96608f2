"""Whom an event is about: subject identifiers of RFC 9493 and SSF 1.0 made identifiers of ours.

A simple subject is one identifier. A complex one has a member for each kind of thing, and means what all of them
together narrow it down to; a member that one side does not have narrows nothing (SSF 1.0, complex subject matching).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pdp.core.errors import InvalidRequestError
from pdp.core.request import EntityRef, Request, validate
from pdp.core.signals.events import SignalInvalidError
from pdp.core.signals.rules import Identifier, Member, Transmitter

_COMPLEX: Final = "complex"
_ALIASES: Final = "aliases"
_TENANT: Final = "tenant"
_ALIAS_LIMIT: Final = 32
_ANY: Final = EntityRef("any", "any")
# The one member of each format that identifies (RFC 9493, section 3.2; SSF 1.0 adds the last three).
FORMATS: Final[Mapping[str, str]] = {
    "account": "uri",
    "did": "url",
    "email": "email",
    "iss_sub": "sub",
    "opaque": "id",
    "phone_number": "phone_number",
    "uri": "uri",
    "jwt_id": "jti",
    "saml_assertion_id": "assertion_id",
    "ip-addresses": "ip-addresses",
}
MEMBERS: Final = frozenset({"user", "device", "session", "application", "tenant", "org_unit", "group"})


class Subject:
    """Whom an event is about, in the words of one transmitter.

    Raises:
        SignalInvalidError: the identifier has no format, or a critical member cannot be processed.
    """

    def __init__(self, identifier: Mapping[str, Any], transmitter: Transmitter) -> None:
        if not isinstance(identifier.get("format"), str):
            raise SignalInvalidError("sub_id has no format")
        self._identifier = identifier
        self._transmitter = transmitter
        self._members = _members(identifier)
        self._require_critical()

    def ref(self, member: Member) -> EntityRef | None:
        """Give the reference of a member; None where the subject has none that is known to us.

        Raises:
            SignalInvalidError: aliases name more than one entity.
        """
        given = self._members.get(member) if self._members is not None else self._identifier
        if given is None:
            return None
        configured = self._transmitter.identifiers.get(member, ())
        refs = {ref for one in _alternatives(given) if (ref := _mapped(one, configured))}
        if len(refs) > 1:
            raise SignalInvalidError("the aliases in sub_id name more than one entity")
        return next(iter(refs), None)

    def foreign(self) -> bool:
        """Say whether it belongs to a tenant that is not ours."""
        tenant = (self._members or {}).get(_TENANT)
        if tenant is None or not self._transmitter.tenants:
            return False
        return _text(tenant, FORMATS.get(str(tenant.get("format")), "")) not in self._transmitter.tenants

    def _require_critical(self) -> None:
        for name in sorted((self._members or {}).keys() & self._transmitter.critical):
            understood = (
                bool(self._transmitter.tenants)
                if name == _TENANT
                else name in list(Member) and self.ref(Member(name)) is not None
            )
            if not understood:
                raise SignalInvalidError(f"the critical subject member {name} cannot be processed")


def _members(identifier: Mapping[str, Any]) -> dict[str, Mapping[str, Any]] | None:
    """Give the members of a complex subject; None for a simple one."""
    if identifier["format"] != _COMPLEX:
        return None
    found = {name: value for name, value in identifier.items() if name != "format"}
    for name, value in found.items():
        if not isinstance(value, Mapping) or not isinstance(value.get("format"), str):
            raise SignalInvalidError("a member of the complex subject is not a subject identifier")
        if value["format"] == _COMPLEX:
            raise SignalInvalidError(f"the subject member {name if name in MEMBERS else ''} is complex itself")
    if not found:
        raise SignalInvalidError("the complex subject has no members")
    return found


def _alternatives(identifier: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give the identifiers that stand for one subject: several for the format ``aliases``, which does not nest."""
    if identifier.get("format") != _ALIASES:
        yield identifier
        return
    listed = identifier.get("identifiers")
    if not isinstance(listed, list) or not 0 < len(listed) <= _ALIAS_LIMIT:
        raise SignalInvalidError("the aliases in sub_id are not a list of identifiers")
    for one in listed:
        if not isinstance(one, Mapping) or one.get("format") in (_ALIASES, _COMPLEX):
            raise SignalInvalidError("an alias in sub_id is not a simple identifier")
        yield one


def _mapped(given: Mapping[str, Any], configured: tuple[Identifier, ...]) -> EntityRef | None:
    for identifier in configured:
        if given.get("format") != identifier.format:
            continue
        if any(given.get(name) != text for name, text in identifier.match.items()):
            continue
        if (ref := _ref(_text(given, identifier.key), identifier)) is not None:
            return ref
    return None


def _ref(text: str, identifier: Identifier) -> EntityRef | None:
    if not text.startswith(identifier.prefix) or not text.endswith(identifier.suffix):
        return None
    rest = text[len(identifier.prefix) : len(text) - len(identifier.suffix)]
    if not rest or len(text) < len(identifier.prefix) + len(identifier.suffix):
        return None
    ref = EntityRef(identifier.type, hashlib.sha256(rest.encode()).hexdigest() if identifier.digest else rest)
    try:
        validate(Request(_ANY, "any", ref))
    except InvalidRequestError:
        # No request could name it, so no decision can rest on it.
        return None
    return ref


def _text(identifier: Mapping[str, Any], name: str) -> str:
    """Give a member's text; of a list of one, that one."""
    value = identifier.get(name)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) else ""
