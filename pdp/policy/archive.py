"""The archive of a bundle: a gzip-compressed USTAR file that can be written in one way only.

Reading is strict: an archive that differs in anything but its compression from what ``pack`` makes of the same
members is refused. So there are no links, devices, extended headers, owners or times in it, nothing before, between
or after its members, and two readers cannot see different things in it.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Sequence
from typing import Final

ARCHIVE_LIMIT: Final = 8 * 1024 * 1024
UNPACKED_LIMIT: Final = 72 * 1024 * 1024
_MEMBERS_LIMIT: Final = 4096
_BLOCK: Final = 512
# Deflate, no optional fields, no time, best compression, no operating system named (RFC 1952, section 2.3).
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
_RAW: Final = -15
_GZIP: Final = 31

Members = Sequence[tuple[str, bytes]]


class ArchiveError(Exception):
    """The bytes are not an archive as ``pack`` makes it; the message says what is wrong."""


def pack(members: Members) -> bytes:
    """Make an archive of names and contents, in that order. Equal members make equal bytes.

    Raises:
        ArchiveError: a name is too long, or all of it is too large.
    """
    unpacked = _tar(members)
    packer = zlib.compressobj(9, zlib.DEFLATED, _RAW)
    body = packer.compress(unpacked) + packer.flush()
    trailer = zlib.crc32(unpacked).to_bytes(4, "little") + len(unpacked).to_bytes(4, "little")
    archive = _GZIP_HEADER + body + trailer
    if len(archive) > ARCHIVE_LIMIT or len(unpacked) > UNPACKED_LIMIT:
        raise ArchiveError(f"is larger than {ARCHIVE_LIMIT} bytes, or {UNPACKED_LIMIT} unpacked")
    return archive


def unpack(archive: bytes) -> Members:
    """Give the names and contents of an archive.

    Raises:
        ArchiveError: it is not exactly what ``pack`` makes, whatever its compression.
    """
    if len(archive) > ARCHIVE_LIMIT:
        raise ArchiveError(f"is larger than {ARCHIVE_LIMIT} bytes")
    unpacked = _inflated(archive)
    members = _members(unpacked)
    if _tar(members) != unpacked:
        raise ArchiveError("is not laid out as a bundle is: a link, a device, an extended header, or padding")
    return members


def _inflated(archive: bytes) -> bytes:
    """Inflate one gzip member, up to a limit: what is small may unpack to much."""
    if not archive.startswith(_GZIP_HEADER):
        raise ArchiveError("is not a bundle: it does not start as one")
    inflater = zlib.decompressobj(wbits=_GZIP)
    try:
        data = inflater.decompress(archive, UNPACKED_LIMIT + 1)
    except zlib.error:
        raise ArchiveError("is damaged: it cannot be decompressed") from None
    if len(data) > UNPACKED_LIMIT:
        raise ArchiveError(f"unpacks to more than {UNPACKED_LIMIT} bytes")
    if not inflater.eof or inflater.unused_data:
        raise ArchiveError("is cut short, or goes on after its end")
    return data


def _members(unpacked: bytes) -> Members:
    """Read names and contents; whatever else is in the headers shows when they are written again."""
    found: list[tuple[str, bytes]] = []
    at = 0
    while len(found) <= _MEMBERS_LIMIT and any(header := unpacked[at : at + _BLOCK]):
        try:
            size = int(header[124:135], 8)
            parts = [_text(header[345:500]), _text(header[:100])]
        except ValueError:
            raise ArchiveError("is damaged: a member has no readable header") from None
        start = at + _BLOCK
        found.append(("/".join(filter(None, parts)), unpacked[start : start + size]))
        at = start + -(-size // _BLOCK) * _BLOCK
    if len(found) > _MEMBERS_LIMIT:
        raise ArchiveError(f"has more than {_MEMBERS_LIMIT} members")
    return found


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode("ascii")


def _tar(members: Members) -> bytes:
    unpacked = io.BytesIO()
    try:
        with tarfile.open(fileobj=unpacked, mode="w:", format=tarfile.USTAR_FORMAT) as archive:
            for name, content in members:
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o644
                archive.addfile(member, io.BytesIO(content))
    except (ValueError, UnicodeError) as error:
        raise ArchiveError(f"cannot hold a member of this name: {error}") from None
    return unpacked.getvalue()
