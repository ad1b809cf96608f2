"""Keys of the store: injective, because a type holds no colon and everything after it is the identifier."""

from __future__ import annotations

from typing import Final

from pdp.attributes.errors import AttributesInvalidError
from pdp.core.decision import Entity
from pdp.core.errors import InvalidRequestError
from pdp.core.request import EntityRef, Request, validate

PREFIX: Final = "attr:"
_STORED: Final = (Entity.SUBJECT, Entity.DEVICE, Entity.SESSION, Entity.RESOURCE)
_UNTYPED: Final = (Entity.DEVICE, Entity.SESSION)
_ANY: Final = EntityRef("any", "any")
_PARTS: Final = 4


def key_of(entity: Entity, ref: EntityRef) -> str:
    """Give the key of an entity's record: ``attr:<entity>:<type>:<id>``."""
    return f"{PREFIX}{entity.value}:{ref.type}:{ref.id}"


def split_key(key: bytes) -> tuple[str, str, str] | None:
    """Take a key apart into entity, type and identifier; None if it is not one of ours."""
    parts = key.decode("ascii", "replace").split(":", 3)
    return (parts[1], parts[2], parts[3]) if len(parts) == _PARTS and parts[0] == PREFIX[:-1] else None


def address_of(entity: Entity, ref: EntityRef) -> str:
    """Write an entity as ``parse_address`` reads it."""
    return f"{entity}/{ref.id}" if entity in _UNTYPED else f"{entity}/{ref}"


def parse_address(text: str) -> tuple[Entity, EntityRef]:
    """Read an entity as a person writes it: ``subject/user:alice``, ``resource/customer:c-1``, ``session/s-1``.

    The entity may be left out before a type, where it is a subject: ``user:alice``.

    Raises:
        AttributesInvalidError: says what form is expected.
    """
    head, slash, rest = text.partition("/")
    if not slash or ":" in head:
        head, rest = Entity.SUBJECT.value, text
    if head not in _STORED:
        raise AttributesInvalidError(
            f"{text!r}: must start with one of {', '.join(f'{entity}/' for entity in _STORED)}"
        )
    entity = Entity(head)
    kind, colon, identifier = rest.partition(":")
    ref = EntityRef(entity.value, rest) if entity in _UNTYPED else EntityRef(kind, identifier)
    if entity not in _UNTYPED and not colon:
        raise AttributesInvalidError(f"{text!r}: a {entity} is written {entity}/<type>:<id>")
    check_ref(ref)
    return entity, ref


def check_ref(ref: EntityRef) -> None:
    """Refuse a reference that no request could name.

    Raises:
        AttributesInvalidError: names the part that is wrong.
    """
    try:
        validate(Request(_ANY, "any", ref))
    except InvalidRequestError as error:
        raise AttributesInvalidError(f"{error.field.removeprefix('resource.')} {error.problem}") from None
