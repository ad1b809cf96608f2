"""Finding where a worker's log stands when it is opened.

The state is resumed from the newest signed resume point and the frames after it are replayed; without a usable one
the last segment is replayed whole. A torn tail is moved to a file beside the segment, never thrown away. What a crash
cannot have done (a broken chain, records missing that a checkpoint vouches for) is not repaired: LogDamaged.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from pdp.audit.checkpoint import Checkpoint
from pdp.audit.errors import FormatError, LogDamaged
from pdp.audit.framing import HEAD, HEAD_BYTES, MAGIC
from pdp.audit.replay import Fault, Kind, Replay, replay
from pdp.audit.resume import resume_points
from pdp.audit.segment import (
    ChainState,
    SegmentFile,
    SegmentHeader,
    SegmentReader,
    list_segments,
    replace_file,
    sync_folder,
)
from pdp.signing.errors import NoteError
from pdp.signing.note import Verifier

CHECKPOINT_FILE = "checkpoint"


@dataclass(frozen=True, slots=True)
class TornTail:
    """The unfinished end of a segment, as a crash leaves it.

    Attributes:
        segment: the segment's file name.
        offset: the byte where the good part ends.
        size: the bytes that were cut off.
        saved_as: the name of the file they were moved to.
        detail: what was wrong with them.
    """

    segment: str
    offset: int
    size: int
    saved_as: str
    detail: str


@dataclass(frozen=True, slots=True)
class Recovery:
    """Where the log stands, the size of the newest checkpoint, and what was cut off. All of it is on the disk."""

    state: ChainState
    signed: int
    torn: TornTail | None


def recover(folder: Path, origin: str, verifier: Verifier) -> Recovery:
    """Find where the log stands and cut off a torn tail.

    Raises:
        LogDamaged: the log is not what its checkpoints say; nothing was changed.
        OSError: the folder cannot be read or written.
    """
    newest = _newest_checkpoint(folder, origin, verifier)
    segments = list_segments(folder)
    if segments and _never_begun(segments[-1].path):
        unborn = segments.pop().path
        unborn.rename(unborn.with_name(unborn.name + ".unborn"))
    if segments:
        return _recover_segment(segments[-1], newest, origin, verifier)
    if newest and newest.size:
        raise LogDamaged(f"{folder}: a checkpoint vouches for {newest.size} records and there is no segment")
    return Recovery(ChainState.fresh(), 0, None)


def _newest_checkpoint(folder: Path, origin: str, verifier: Verifier) -> Checkpoint | None:
    path = folder / CHECKPOINT_FILE
    try:
        checkpoint = Checkpoint.open(path.read_text("utf-8"), [verifier])
    except FileNotFoundError:
        return None
    except (NoteError, UnicodeDecodeError) as error:
        raise LogDamaged(f"{path}: {error}") from None
    if checkpoint.origin != origin:
        raise LogDamaged(f"{path} belongs to {checkpoint.origin}, not to {origin}")
    return checkpoint


def _never_begun(path: Path) -> bool:
    """Whether a crash came before the header was whole. The header is durable before the first record is written."""
    with SegmentReader(path) as reader:
        try:
            reader.header()
        except FormatError:
            data = reader.read(0, reader.size)
            whole = len(MAGIC) + HEAD_BYTES
            declared = HEAD.unpack_from(data, len(MAGIC))[1] if len(data) >= whole else 0
            return not any(data) or (data.startswith(MAGIC[: len(data)]) and len(data) < whole + declared)
    return False


def _recover_segment(segment: SegmentFile, newest: Checkpoint | None, origin: str, verifier: Verifier) -> Recovery:
    try:
        with SegmentReader(segment.path) as reader:
            header, start = reader.header()
            _check_header(header, segment, origin, verifier)
            outcome = _replay_from_checkpoint(reader, segment, header, start, newest, verifier)
            total = reader.size
    except (FormatError, NoteError) as error:
        raise LogDamaged(f"{segment.path}: {error}") from None
    objection = _objection(outcome, newest, segment)
    if objection is not None:
        raise LogDamaged(f"{segment.path}: {objection}")
    torn = _cut(segment, outcome.fault, total) if outcome.fault else None
    _sync(segment)
    return Recovery(outcome.state, newest.size if newest else 0, torn)


def _check_header(header: SegmentHeader, segment: SegmentFile, origin: str, verifier: Verifier) -> None:
    if header.origin != origin or header.base != segment.base:
        raise LogDamaged(f"{segment.path} begins {header.origin} at {header.base}: it does not belong here")
    if header.base:
        signed = Checkpoint.open(header.checkpoint, [verifier])
        if (signed.origin, signed.size, signed.root) != (origin, header.base, header.state().frontier.root()):
            raise LogDamaged(f"{segment.path}: the header's tree is not the one its checkpoint signs")


def _replay_from_checkpoint(
    reader: SegmentReader,
    segment: SegmentFile,
    header: SegmentHeader,
    start: int,
    newest: Checkpoint | None,
    verifier: Verifier,
) -> Replay:
    """Replay what follows the newest resume point that holds; without one, the whole segment."""
    data, sizes = reader.whole(), [newest.size] if newest else []
    for point in resume_points(segment):
        signed = point.signed(header.origin, verifier)
        if signed is None:
            continue
        if newest is None or signed.size > newest.size:
            found = f"is of size {newest.size}: an older one was put back" if newest else "is missing"
            raise LogDamaged(f"{segment.path.parent / CHECKPOINT_FILE} {found}; size {signed.size} was signed")
        decoder = header.decoder(None)
        state = point.state(signed, reader, decoder)
        if state is not None:
            outcome = replay(data, point.offset, state, decoder, sizes)
            if _objection(outcome, newest, segment) is None:
                return outcome
            break
    return replay(data, start, header.state(), header.decoder(None), sizes)


def _objection(outcome: Replay, newest: Checkpoint | None, segment: SegmentFile) -> str | None:
    """What a crash cannot explain."""
    fault = outcome.fault
    if fault and fault.kind not in (Kind.CUT, Kind.DAMAGED):
        return f"{fault.detail} (byte {fault.offset})"
    if newest is None or newest.size < segment.base:
        return None
    if outcome.state.seq < newest.size:
        where = f" (byte {fault.offset}: {fault.detail})" if fault else ""
        return f"{outcome.state.seq} records are left of {newest.size} that a checkpoint signs{where}"
    if outcome.roots.get(newest.size) != newest.root:
        return f"the first {newest.size} records are not the ones the checkpoint signs"
    return None


def _sync(segment: SegmentFile) -> None:
    """Bring to the disk what a killed process left with the kernel: it is about to be signed."""
    with segment.path.open("r+b") as file:
        os.fsync(file.fileno())
    sync_folder(segment.path.parent)


def _cut(segment: SegmentFile, fault: Fault, total: int) -> TornTail:
    offset = fault.offset or 0
    saved = segment.path.with_name(f"{segment.path.stem}.torn-{offset}")
    with segment.path.open("r+b") as file:
        file.seek(offset)
        replace_file(saved, file.read())
        file.truncate(offset)
    return TornTail(segment.path.name, offset, total - offset, saved.name, fault.detail)
