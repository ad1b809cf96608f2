"""The frame every byte of a segment sits in, and the chain that runs through the frames.

    frame   = crc u32 | length u32 | tag u16 | seq u64 | link [32] | payload [length]     (little-endian)
    crc     = CRC-32 of everything after it
    link(n) = SHA-256(link(n-1) || leaf hash of record n); a frame that is no record repeats the link before it

A segment is the magic, one HEADER frame, then DEFINITION frames and records. A record's tag is the number of its
template, or INLINE when the payload is the record's whole JSON text.
"""

from hashlib import sha256
from struct import Struct
from zlib import crc32

MAGIC = b"PDPLOG\x01\n"
HEAD = Struct("<IIHQ32s")
HEAD_BYTES = HEAD.size
_BODY = Struct("<IHQ32s")

INLINE = 0
MAX_TEMPLATE = 0xEFFF
DEFINITION = 0xFFFE
HEADER = 0xFFFF
MAX_PAYLOAD = 1 << 20
FIRST_LINK = bytes(32)


def frame(tag: int, seq: int, link: bytes, payload: bytes) -> bytes:
    """One frame."""
    body = _BODY.pack(len(payload), tag, seq, link) + payload
    return crc32(body).to_bytes(4, "little") + body


def next_link(link: bytes, leaf: bytes) -> bytes:
    """The chain after a record with this leaf hash."""
    return sha256(link + leaf).digest()
