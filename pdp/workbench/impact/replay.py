"""Replaying recorded questions through two revisions, shared out over processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from pdp.audit.keys import load_ring
from pdp.audit.reading import open_segment, walk
from pdp.audit.segment import list_segments, list_workers
from pdp.engine.matcher import CompiledEngine
from pdp.policy import load, load_schema
from pdp.policy.files import SCHEMA
from pdp.workbench.impact.changes import Tally
from pdp.workbench.impact.compare import Comparison
from pdp.workbench.impact.questions import UnreadableError, read_question
from pdp.workbench.testing.world import Stored, read_records

_PIECE: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Recording:
    """Where questions were recorded: a file of JSON lines, or the folder of a decision log with that of its keys."""

    path: Path
    keys: Path | None = None


class _Piece(NamedTuple):
    """A share of the work: the lines that start in some bytes of a file; or, of a log's worker, some segments."""

    path: Path
    start: int
    end: int


class _Setting(NamedTuple):
    old: Path
    new: Path
    stored: Stored
    now: float
    keys: Path | None


def replay(
    recording: Recording,
    folders: tuple[Path, Path],
    attributes: Path,
    now: float,
    *,
    processes: int = 2,
    on_progress: Callable[[int, int], None] | None = None,
) -> Tally:
    """Ask both revisions what was recorded.

    Args:
        recording: the questions.
        folders: the policy folders before and after.
        attributes: a file of records, as ``pdp attributes load`` takes it: what is known of those who asked.
        now: the time at which everything is asked, in seconds since the epoch.
        processes: how many to use; 1 works in this one.
        on_progress: told how much is done, of how much: bytes of a file, segments of a log.

    Raises:
        PdpError: a policy, the attributes or the log cannot be read.
        OSError: the recording cannot be read.
    """
    pieces = list(_pieces(recording))
    total = sum(piece.end - piece.start for piece in pieces)
    # The records are read once, and the processes are given what was read.
    stored = read_records(attributes, load_schema(folders[1] / SCHEMA), now)
    setting = _Setting(*folders, stored, now, recording.keys)
    tally, done = Tally(), 0
    for piece, found in zip(pieces, _answers(setting, pieces, processes), strict=True):
        tally.merge(found)
        done += piece.end - piece.start
        if on_progress:
            on_progress(done, total)
    return tally


def _pieces(recording: Recording) -> Iterator[_Piece]:
    if recording.path.is_dir():
        for worker in list_workers(recording.path):
            for number in range(len(list_segments(worker))):
                yield _Piece(worker, number, number + 1)
        return
    size = recording.path.stat().st_size
    for start in range(0, size, _PIECE):
        yield _Piece(recording.path, start, min(start + _PIECE, size))


def _answers(setting: _Setting, pieces: list[_Piece], processes: int) -> Iterator[Tally]:
    if processes == 1 or len(pieces) == 1:
        _prepare(setting)
        yield from map(_replay_piece, pieces)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _prepare, (setting,)) as pool:
        yield from pool.map(_replay_piece, pieces)


_prepared: tuple[Comparison, Path | None] | None = None


def _prepare(setting: _Setting) -> None:
    """Load both revisions, once a process."""
    global _prepared  # noqa: PLW0603 - a worker process has no other place to keep what it works with
    old, new = load(setting.old, CompiledEngine()), load(setting.new, CompiledEngine())
    _prepared = Comparison(old, new, setting.stored, setting.now), setting.keys


def _replay_piece(piece: _Piece) -> Tally:
    if _prepared is None:
        raise AssertionError("a worker is prepared before it works")
    comparison, keys = _prepared
    tally = Tally()
    for line in _segment_lines(piece, keys) if piece.path.is_dir() else _file_lines(piece):
        try:
            question = read_question(line)
        except UnreadableError:
            tally.asked += 1
            tally.unreadable += 1
        else:
            if question:
                comparison.add(question, tally)
    return tally


def _file_lines(piece: _Piece) -> Iterator[bytes]:
    """Give the lines that start in a piece."""
    with piece.path.open("rb") as file:
        at = piece.start
        if at:
            # A line that starts before this piece, if only with its end, belongs to the one before.
            file.seek(at - 1)
            at += len(file.readline()) - 1
        for line in file:
            if at >= piece.end:
                return
            at += len(line)
            yield line


def _segment_lines(piece: _Piece, keys: Path | None) -> Iterator[bytes]:
    segment = list_segments(piece.path)[piece.start]
    with open_segment(segment) as reader:
        header, start = reader.header()
        decoder = header.decoder(load_ring(keys) if keys else None)
        for frame in walk(reader, decoder, start):
            yield decoder.text(frame.tag, frame.seq, frame.payload)
