"""Checking a log directory against its own signatures and against checkpoints kept elsewhere.

Nothing in the directory is trusted but what a signature covers. Segments are replayed side by side, each from the
state its header claims; then every claim is held against the state the segment before it really ended in, and every
signed root against the tree as replayed. Damage to a record is named where it is; a forger who recomputed every CRC
and link is named at the first signed root that differs.
"""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from pdp.audit.checkpoint import INDEX_SUFFIX, Checkpoint, indexed_trees
from pdp.audit.checkpoints import INDEX_FILE
from pdp.audit.errors import FormatError
from pdp.audit.recovery import CHECKPOINT_FILE
from pdp.audit.replay import Fault, Kind, Replay, replay
from pdp.audit.segment import (
    CHECKPOINTS,
    COMPRESSED,
    SegmentFile,
    SegmentHeader,
    SegmentReader,
    list_segments,
)
from pdp.signing.errors import NoteError
from pdp.signing.note import Verifier

_POOL_FROM_BYTES = 8 << 20

Progress = Callable[[int, int], None]
"""`(bytes checked, bytes in all)`, called as segments are finished."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, and the file it is in."""

    file: str
    fault: Fault


@dataclass(slots=True)
class TreeReport:
    """What was found about one worker's log.

    Attributes:
        origin: the tree's name; the folder's name when no checkpoint tells it.
        first: the seq of the oldest record kept.
        size: the number of records ever written, as far as the log shows.
        signed: the size of the newest checkpoint.
        segments: how many segments were checked.
        unfinished: bytes of an incomplete frame at the very end, beyond every checkpoint: a crash, or a live writer.
        finding: the first thing wrong, or None.
    """

    origin: str
    first: int = 0
    size: int = 0
    signed: int = 0
    segments: int = 0
    unfinished: int = 0
    finding: Finding | None = None


@dataclass(slots=True)
class VerifyReport:
    """What was found about a log directory.

    Attributes:
        trees: one report a worker.
        findings: what is wrong with the directory as a whole.
        uncheckable: checkpoints given for records that retention has removed.
    """

    trees: list[TreeReport] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    uncheckable: list[Checkpoint] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings and not any(tree.finding for tree in self.trees)

    @property
    def records(self) -> int:
        """How many records were checked."""
        return sum(tree.size - tree.first for tree in self.trees)


@dataclass(frozen=True, slots=True)
class _Job:
    path: Path
    base: int
    sizes: tuple[int, ...]


@dataclass(slots=True)
class _Done:
    """A replayed segment; the header is None if there was none to replay from."""

    header: SegmentHeader | None
    replay: Replay | None
    total: int
    fault: Fault | None = None


class _Tree:
    """One worker's log under examination."""

    def __init__(self, folder: Path, verifier: Verifier, outside: Iterable[Checkpoint]) -> None:
        self.folder = folder
        self.verifier = verifier
        self.origin = f"{verifier.name}/{folder.name}"
        self.report = TreeReport(self.origin)
        self.signed: dict[int, tuple[bytes, str]] = {}
        # Checkpoints first, segments after: what is signed was already written.
        self._read_checkpoints()
        for checkpoint in outside:
            self._sign(checkpoint, "the given checkpoint")
        self.segments = list_segments(folder)

    def blame(self, kind: Kind, file: str, detail: str, seq: int | None = None, offset: int | None = None) -> None:
        """Note a finding; the first one counts."""
        if self.report.finding is None:
            self.report.finding = Finding(file, Fault(kind, detail, seq, offset))

    def _read_checkpoints(self) -> None:
        newest = -1
        path = self.folder / CHECKPOINT_FILE
        if path.exists():
            newest = self._admit(path.read_bytes().decode("utf-8", "replace"), path.name)
        for path in sorted(self.folder.glob(f"*{CHECKPOINTS}")):
            before = 0
            for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), 1):
                size = self._admit(_note_of(line), f"{path.name}:{number}")
                if size < before:
                    self.blame(Kind.REPLAYED_CHECKPOINT, f"{path.name}:{number}", f"size {size} comes after {before}")
                before = max(before, size)
            if before > newest >= 0:
                detail = f"it is of size {newest}, but the log had signed size {before}"
                self.blame(Kind.REPLAYED_CHECKPOINT, CHECKPOINT_FILE, detail)

    def _admit(self, note: str, file: str) -> int:
        try:
            checkpoint = Checkpoint.open(note, [self.verifier])
        except NoteError as error:
            self.blame(Kind.BAD_CHECKPOINT, file, str(error))
            return 0
        self._sign(checkpoint, file)
        return checkpoint.size

    def _sign(self, checkpoint: Checkpoint, file: str) -> None:
        if checkpoint.origin != self.origin:
            self.blame(Kind.BAD_CHECKPOINT, file, f"it is of {checkpoint.origin}")
            return
        known = self.signed.setdefault(checkpoint.size, (checkpoint.root, file))
        if known[0] != checkpoint.root:
            detail = f"two different trees of size {checkpoint.size} were signed (the other: {known[1]})"
            self.blame(Kind.FORGED, file, detail)

    def jobs(self) -> list[_Job]:
        """The segments to replay, and the sizes whose roots to note."""
        bases = [segment.base for segment in self.segments]
        sizes = sorted({*self.signed, *bases})
        return [_Job(segment.path, segment.base, tuple(sizes)) for segment in self.segments]

    def conclude(self, done: Sequence[_Done]) -> None:
        """Hold the replayed segments against each other and against the signed roots."""
        report = self.report
        report.segments = len(done)
        roots: dict[int, bytes] = {}
        before: Replay | None = None
        for segment, part in zip(self.segments, done, strict=True):
            self._check_begin(segment, part, before, roots)
            if part.replay is None:
                break
            report.first = segment.base if before is None else report.first
            roots |= part.replay.roots
            report.size = part.replay.state.seq
            before = part.replay
            if before.fault:
                self._check_fault(segment, part, last=segment is self.segments[-1])
                break
        self._check_roots(roots)
        report.signed = max(self.signed, default=0)
        if report.size < report.signed and report.finding is None:
            detail = (
                f"size {report.signed} was signed ({self.signed[report.signed][1]}); {report.size} records are left"
            )
            file = self.segments[-1].path.name if self.segments else self.folder.name
            self.blame(Kind.TAIL_CUT, file, detail, report.size, before.end if before else None)

    def _check_begin(self, segment: SegmentFile, part: _Done, before: Replay | None, roots: dict[int, bytes]) -> None:
        name, header = segment.path.name, part.header
        if header is None:
            fault = part.fault or Fault(Kind.DAMAGED, "no header")
            self.blame(fault.kind, name, fault.detail, segment.base, fault.offset)
            return
        if header.base != segment.base or header.origin != self.origin:
            self.blame(
                Kind.SWAPPED, name, f"its header is of {header.origin} from record {header.base}", segment.base, 0
            )
        elif before is not None and before.state.seq < segment.base:
            detail = f"records {before.state.seq} to {segment.base - 1} are gone: a segment is missing or was cut"
            self.blame(Kind.MISSING_SEGMENT, name, detail, before.state.seq, 0)
        elif before is not None and not _continues(header, before):
            self._admit(header.checkpoint, name)
            self._check_roots(roots)  # if the segment before is the forged one, say so
            self.blame(Kind.SWAPPED, name, "it does not continue from the segment before it", segment.base, 0)
        if header.base:
            self._admit(header.checkpoint, name)
            if part.replay is not None:
                part.replay.roots.setdefault(header.base, header.state().frontier.root())

    def _check_fault(self, segment: SegmentFile, part: _Done, *, last: bool) -> None:
        assert part.replay is not None  # noqa: S101  the caller looked
        fault = part.replay.fault
        assert fault is not None  # noqa: S101  the caller looked
        if last and fault.kind is Kind.CUT and self.report.size >= max(self.signed, default=0):
            self.report.unfinished = part.total - part.replay.end
            return
        self.blame(fault.kind, segment.path.name, fault.detail, fault.seq, fault.offset)

    def _check_roots(self, roots: dict[int, bytes]) -> None:
        good = self.report.first
        for size in sorted(self.signed):
            if size not in roots:
                continue
            root, file = self.signed[size]
            if roots[size] != root:
                detail = f"the tree of size {size} has another root than was signed ({file})"
                self.blame(
                    Kind.FORGED, self._file_of(good), f"{detail}: a record from {good} to {size - 1} differs", good
                )
                return
            good = size

    def _file_of(self, seq: int) -> str:
        names = [segment.path.name for segment in self.segments if segment.base <= seq]
        return names[-1] if names else self.folder.name


def _continues(header: SegmentHeader, before: Replay) -> bool:
    state = before.state
    return (header.base, header.link, list(header.frontier)) == (state.seq, state.link, state.frontier.nodes)


def _note_of(line: str) -> str:
    try:
        note = json.loads(line)
    except ValueError:
        return ""
    return note if isinstance(note, str) else ""


def _check_segment(job: _Job) -> _Done:
    """Replay one segment from the state its header claims."""
    path = job.path if job.path.exists() else job.path.with_suffix(COMPRESSED)
    size = 0
    try:
        with SegmentReader(path) as reader:
            size = reader.size
            header, start = reader.header()
            outcome = replay(reader.whole(), start, header.state(), header.decoder(None), job.sizes)
            return _Done(header, outcome, size)
    except (FormatError, OSError) as error:
        return _Done(None, None, size, Fault(Kind.DAMAGED, str(error), job.base, 0))


def _run(jobs: Sequence[_Job], processes: int, progress: Progress | None) -> list[_Done]:
    weights = [job.path.stat().st_size if job.path.exists() else 0 for job in jobs]
    told = _Told(weights, progress)
    if processes == 1 or len(jobs) == 1 or sum(weights) < _POOL_FROM_BYTES:
        return [told(number, _check_segment(job)) for number, job in enumerate(jobs)]
    done: dict[int, _Done] = {}
    with ProcessPoolExecutor(min(processes, len(jobs)) - 1, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(_check_segment, job): number for number, job in enumerate(jobs)}
        # This process works as well, from the other end: it need not wait for the others to start.
        for future, number in reversed(running.items()):
            if future.cancel():
                done[number] = told(number, _check_segment(jobs[number]))
        for future in as_completed(future for future in running if not future.cancelled()):
            done[running[future]] = told(running[future], future.result())
    return [done[number] for number in range(len(jobs))]


class _Told:
    """Passes on how many bytes have been checked."""

    def __init__(self, weights: Sequence[int], progress: Progress | None) -> None:
        self._weights = weights
        self._total, self._checked = sum(weights), 0
        self._progress = progress

    def __call__(self, number: int, done: _Done) -> _Done:
        self._checked += self._weights[number]
        if self._progress:
            self._progress(self._checked, self._total)
        return done


def verify(
    directory: Path,
    verifier: Verifier,
    checkpoints: Sequence[str] = (),
    processes: int = 0,
    progress: Progress | None = None,
) -> VerifyReport:
    """Check every tree of a log directory.

    Args:
        directory: the log directory.
        verifier: the log's public key, from outside the directory.
        checkpoints: signed checkpoints or indexes kept elsewhere; the log must still contain what they sign.
        processes: how many replay segments at once; 0 takes one a core.
        progress: told as segments are finished.

    Raises:
        NoteError: a given checkpoint is malformed or not signed by this key.
        OSError: the directory cannot be read.
    """
    report = VerifyReport()
    outside = _outside(checkpoints, verifier) + _index(directory, verifier, report)
    folders = {f"{verifier.name}/{path.name}": path for path in sorted(directory.iterdir()) if _is_tree(path)}
    for checkpoint in outside:
        if checkpoint.origin not in folders:
            fault = Fault(Kind.MISSING_TREE, f"{checkpoint.size} records of it were signed")
            report.findings.append(Finding(checkpoint.origin, fault))
    trees = [_Tree(path, verifier, [c for c in outside if c.origin == name]) for name, path in folders.items()]
    jobs = [job for tree in trees for job in tree.jobs()]
    done = iter(_run(jobs, processes or os.cpu_count() or 1, progress))
    for tree in trees:
        tree.conclude([next(done) for _ in tree.segments])
        report.trees.append(tree.report)
        report.uncheckable += [c for c in outside if c.origin == tree.origin and c.size < tree.report.first]
    return report


def _is_tree(path: Path) -> bool:
    return path.is_dir() and (bool(list_segments(path)) or (path / CHECKPOINT_FILE).exists())


def _outside(notes: Sequence[str], verifier: Verifier) -> list[Checkpoint]:
    found = []
    for note in notes:
        checkpoint = Checkpoint.open(note, [verifier])
        found += indexed_trees(checkpoint) if checkpoint.origin.endswith(INDEX_SUFFIX) else [checkpoint]
    return [checkpoint for checkpoint in found if checkpoint.size]


def _index(directory: Path, verifier: Verifier, report: VerifyReport) -> list[Checkpoint]:
    path = directory / INDEX_FILE
    if not path.exists():
        return []
    try:
        return _outside([path.read_bytes().decode("utf-8", "replace")], verifier)
    except NoteError as error:
        report.findings.append(Finding(INDEX_FILE, Fault(Kind.BAD_CHECKPOINT, str(error))))
        return []
