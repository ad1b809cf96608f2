"""From the frames of a segment back to leaf inputs and JSON text."""

from struct import Struct
from typing import Protocol

from pdp.audit.encoding import SEALED_INLINE, sealed_prefix
from pdp.audit.errors import FormatError
from pdp.audit.framing import INLINE, MAX_TEMPLATE
from pdp.audit.sealing import RECORD, TEMPLATE, Sealer

_NUMBER = Struct("<H")
_HOLE = b"\0"


class Decoder(Protocol):
    """Knows the templates as they are defined. Its methods raise FormatError for bytes that cannot be its own.

    Attributes:
        definitions: `(seq, payload)` of the DEFINITION frames taken in.
    """

    definitions: list[tuple[int, bytes]]

    def define(self, seq: int, payload: bytes) -> None:
        """Take in a DEFINITION frame."""

    def leaf_input(self, tag: int, seq: int, payload: bytes) -> bytes:
        """What the record's leaf hash is over, its 0x00 prefix included."""

    def text(self, tag: int, seq: int, payload: bytes) -> bytes:
        """The record's JSON text."""

    def template(self, tag: int) -> bytes:
        """A template's JSON text with `null` for every value."""


def _split(payload: bytes, known: int) -> tuple[int, bytes]:
    number = _NUMBER.unpack_from(payload)[0] if len(payload) >= _NUMBER.size else 0
    if number != known + 1 or number > MAX_TEMPLATE:
        raise FormatError("a template is out of order")
    return number, payload[_NUMBER.size :]


def _pieces(body: bytes) -> list[bytes]:
    """A template's own text at even places, behind the 0x00 of a leaf; a record's values go to the odd ones."""
    pieces = body.replace(_HOLE, _HOLE + _HOLE).split(_HOLE)
    pieces[0] = b"\0" + pieces[0]
    return pieces


class PlainDecoder:
    """Decodes an unencrypted segment."""

    def __init__(self) -> None:
        self._templates: dict[int, list[bytes]] = {}
        self.definitions: list[tuple[int, bytes]] = []

    def define(self, seq: int, payload: bytes) -> None:
        """Take in a DEFINITION frame."""
        number, body = _split(payload, len(self._templates))
        self._templates[number] = _pieces(body)
        self.definitions.append((seq, payload))

    def leaf_input(self, tag: int, seq: int, payload: bytes) -> bytes:
        """The text behind 0x00."""
        if tag == INLINE:
            return b"\0" + payload
        try:
            pieces = self._templates[tag]
            pieces[1] = b"%d" % seq
            pieces[3::2] = payload.split(b"\n")
            return b"".join(pieces)
        except (KeyError, IndexError, ValueError):
            raise FormatError("a record does not fit its template") from None

    def text(self, tag: int, seq: int, payload: bytes) -> bytes:
        """The record's JSON text."""
        return self.leaf_input(tag, seq, payload)[1:]

    def template(self, tag: int) -> bytes:
        """A template's JSON text with `null` for every value."""
        return b"null".join(self._templates[tag][::2])[1:]


class SealedDecoder:
    """Decodes an encrypted segment; without a sealer, leaf inputs alone."""

    def __init__(self, sealer: Sealer | None) -> None:
        self._sealer = sealer
        self._plain = PlainDecoder()
        self.definitions: list[tuple[int, bytes]] = []
        self._prefixes: dict[int, bytes] = {INLINE: SEALED_INLINE}

    def define(self, seq: int, payload: bytes) -> None:
        """Take in a DEFINITION frame."""
        number, body = _split(payload, len(self.definitions))
        self.definitions.append((seq, payload))
        self._prefixes[number] = sealed_prefix(body)
        if self._sealer is not None:
            self._plain.define(seq, payload[: _NUMBER.size] + self._sealer.unseal(seq, TEMPLATE, body))

    def leaf_input(self, tag: int, seq: int, payload: bytes) -> bytes:
        """The sealed template and the sealed record."""
        del seq
        try:
            return self._prefixes[tag] + payload
        except KeyError:
            raise FormatError("a record has no template") from None

    def text(self, tag: int, seq: int, payload: bytes) -> bytes:
        """The record's JSON text."""
        if self._sealer is None:
            raise FormatError("this segment is encrypted and its key is not known")
        return self._plain.text(tag, seq, self._sealer.unseal(seq, RECORD, payload))

    def template(self, tag: int) -> bytes:
        """A template's JSON text with `null` for every value."""
        return self._plain.template(tag)


def decoder(*, sealed: bool, sealer: Sealer | None) -> Decoder:
    """The decoder of a segment."""
    return SealedDecoder(sealer) if sealed else PlainDecoder()
