"""Signing checkpoints and putting them where they are needed.

A checkpoint goes to the worker's `checkpoint` file (the newest), to the open segment's `.ckpt` (all of them), into
the directory's signed `index` over all workers, and to the anchors: places outside this machine, without which nobody
can tell a log whose tail was cut from one that was always that short.
"""

import contextlib
import fcntl
import json
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from pdp.audit.checkpoint import Checkpoint, indexed_trees, tree_index
from pdp.audit.recovery import CHECKPOINT_FILE
from pdp.audit.resume import RECORDS_BETWEEN, ResumePoint
from pdp.audit.segment import CHECKPOINTS, ChainState, list_workers, replace_file
from pdp.signing.errors import NoteError
from pdp.signing.note import Signer, Verifier

INDEX_FILE = "index"
_log = logging.getLogger(__name__)


class Anchor(Protocol):
    """A place outside the log's reach that keeps checkpoints."""

    def export(self, origin: str, note: str) -> None:
        """Hand over one signed note. It may block, on a thread of its own; any exception means it did not arrive."""


class AnchorPump:
    """Hands the newest note of each origin to each anchor, on one thread an anchor: a dead one holds up nothing else.

    A note that could not be handed over is tried again every `retry_seconds` until a newer one takes its place.
    """

    def __init__(self, anchors: Sequence[Anchor], retry_seconds: float = 5.0) -> None:
        self._retry_seconds = retry_seconds
        self._changed = threading.Condition()
        self._waiting: list[dict[str, str]] = [{} for _ in anchors]
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, args=(anchor, waiting), name="audit-anchor", daemon=True)
            for anchor, waiting in zip(anchors, self._waiting, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def offer(self, origin: str, note: str) -> None:
        """Hand over a note soon; a note of the same origin that still waits is superseded."""
        with self._changed:
            for waiting in self._waiting:
                waiting[origin] = note
            self._changed.notify_all()

    def backlog(self) -> int:
        """How many notes wait for an anchor; above zero for long means an anchor is down."""
        with self._changed:
            return sum(len(waiting) for waiting in self._waiting)

    def close(self, timeout: float = 5.0) -> None:
        """Try once more what waits, for at most `timeout` seconds an anchor."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout)

    def _run(self, anchor: Anchor, waiting: dict[str, str]) -> None:
        while True:
            with self._changed:
                while not waiting and not self._closing:
                    self._changed.wait()
                if not waiting:
                    return
                origin, note = next(iter(waiting.items()))
            delivered = self._deliver(anchor, origin, note)
            with self._changed:
                if delivered and waiting.get(origin) == note:
                    del waiting[origin]
                if not delivered and self._closing:
                    return
                if not delivered:
                    self._changed.wait(self._retry_seconds)

    def _deliver(self, anchor: Anchor, origin: str, note: str) -> bool:
        try:
            anchor.export(origin, note)
        except Exception as error:  # noqa: BLE001  an anchor is somebody else's code and network
            _log.warning("checkpoint anchor %s failed: %s", type(anchor).__name__, type(error).__name__)
            return False
        return True


class Place(NamedTuple):
    """Where in the open segment the last record lies.

    Attributes:
        segment: the open segment.
        last: the offset of the record's frame.
        end: the end of that frame.
        templates: the offsets of the segment's DEFINITION frames.
    """

    segment: Path
    last: int
    end: int
    templates: Sequence[int]


class Checkpointer:
    """Signs and publishes the checkpoints of one worker's tree."""

    def __init__(self, folder: Path, origin: str, signer: Signer, pump: AnchorPump) -> None:
        self._folder = folder
        self._origin = origin
        self._signer = signer
        self._pump = pump
        self._resumable = 0  # the size at the newest resume point

    def sign(self, state: ChainState) -> str:
        """The signed checkpoint of a state; nothing is written."""
        return Checkpoint(self._origin, state.seq, state.frontier.root()).sign(self._signer)

    def publish(self, state: ChainState, place: Place, *, final: bool) -> None:
        """Sign a state whose records are on the disk, and publish the checkpoint.

        Args:
            state: the state after the last record.
            place: where that record lies.
            final: whether the log is being closed, and opened again from here.

        Raises:
            OSError: the checkpoint cannot be written.
        """
        note = self.sign(state)
        # In this order: a crash between the two never leaves a `.ckpt` that is ahead of `checkpoint`.
        replace_file(self._folder / CHECKPOINT_FILE, note.encode())
        with place.segment.with_suffix(CHECKPOINTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(note, ensure_ascii=False) + "\n")
        if final or state.seq - self._resumable >= RECORDS_BETWEEN:
            frontier, templates = tuple(state.frontier.nodes), tuple(place.templates)
            ResumePoint(note, place.last, place.end, frontier, templates).append(place.segment)
            self._resumable = state.seq
        self._pump.offer(self._origin, note)
        index = write_index(self._folder.parent, self._signer)
        if index is not None:
            self._pump.offer(index[0], index[1])


def write_index(directory: Path, signer: Signer) -> tuple[str, str] | None:
    """Sign the index over the newest checkpoints of all workers: `(origin, note)`; None while another worker does."""
    with _only_one(directory / ".index.lock") as mine:
        if not mine:
            return None
        trees = _indexed_before(directory, signer.verifier)
        for folder in list_workers(directory):
            with contextlib.suppress(OSError, NoteError, UnicodeDecodeError):
                tree = Checkpoint.open((folder / CHECKPOINT_FILE).read_text("utf-8"), [signer.verifier])
                if tree.origin not in trees or tree.size > trees[tree.origin].size:
                    trees[tree.origin] = tree
        index = tree_index(signer.verifier.name, trees.values())
        note = index.sign(signer)
        replace_file(directory / INDEX_FILE, note.encode())
        return index.origin, note


def _indexed_before(directory: Path, verifier: Verifier) -> dict[str, Checkpoint]:
    """The trees of the index so far: a tree once vouched for is never dropped and never shrinks."""
    try:
        index = Checkpoint.open((directory / INDEX_FILE).read_text("utf-8"), [verifier])
        return {tree.origin: tree for tree in indexed_trees(index)}
    except (OSError, NoteError, UnicodeDecodeError):
        return {}


@contextlib.contextmanager
def _only_one(path: Path) -> Iterator[bool]:
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(fd)
