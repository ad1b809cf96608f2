"""The decision log of one worker: what the service appends to.

Rules.
1. An append returns only when its durability's promise holds; otherwise it raises AuditUnavailable and the decision
   is a deny.
2. A failed write or sync poisons the log until the process starts anew: what became of the pages is unknown,
   so nothing is written after it and no sync is tried again. Low disk space is no failure: appends are refused
   until there is room.
3. Only records that are on the disk are signed.
"""

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future as BlockingFuture
from dataclasses import dataclass
from hashlib import sha256
from time import monotonic, time_ns

from pdp.audit.checkpoints import Anchor, AnchorPump, Checkpointer, Place
from pdp.audit.clock import Stamp
from pdp.audit.encoding import RecordEncoder
from pdp.audit.errors import AuditUnavailable
from pdp.audit.framing import DEFINITION, frame
from pdp.audit.housekeeping import Housekeeper
from pdp.audit.identifiers import Identifiers
from pdp.audit.keys import AuditKeys
from pdp.audit.output import SegmentOutput
from pdp.audit.records import Record, record_of
from pdp.audit.recovery import recover
from pdp.audit.segment import ChainState, SegmentHeader, list_segments, segment_path
from pdp.audit.settings import Durability, LogSettings
from pdp.ports import Answer

FLUSH_SECONDS = 0.05
_SPACE_CHECK_SECONDS = 0.5
_FOLD_FROM = 256  # leaves: a run of them costs the tree a third less than one by one
_CODES = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EROFS: "read_only",
    errno.EACCES: "read_only",
    errno.EPERM: "read_only",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogHealth:
    """Whether records can be written; if not, the stable reason code and a sentence for the operator."""

    healthy: bool
    reason: str = ""
    detail: str = ""


@dataclass(slots=True)
class _Due:
    """What the keeper has to see through: bytes to write, who waits for them, and where the log stands after them."""

    data: bytes
    waiters: "list[_Waiter]"
    leaves: list[bytes]
    dirty: bool
    sign: bool
    final: bool
    seq: int
    link: bytes
    place: Place


_Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"] | BlockingFuture[None]


class DecisionLog:
    """An open log. It owns its folder (a lock keeps a second writer out), a thread and a file.

    Appends may come from any thread; one event loop's appends stand in the order in which they were made.

    Attributes:
        torn: what recovery cut off when the log was opened, if anything; put it into the `start` record.
    """

    def __init__(self, settings: LogSettings, keys: AuditKeys, anchors: Sequence[Anchor] = ()) -> None:
        """Open or create the log and recover it.

        Raises:
            AuditUnavailable: the folder cannot be written, or another process has it open.
            LogDamaged: the log on disk is not what its checkpoints say.
            KeyFileError: a key is missing for what the settings ask.
        """
        self._settings = settings
        self._keys = keys
        self._origin = f"{keys.signer.verifier.name}/{settings.worker}"
        self._encoder = RecordEncoder(settings.worker, Identifiers(settings.identifiers, keys.pseudonym))
        self._stamp = Stamp(time_ns)
        self._lock = threading.Lock()  # guards what appends change
        self._duty = threading.Lock()  # taken before it: one at a time writes behind, signs and rotates
        self._wake = threading.Condition(self._lock)
        self._fsync = settings.durability is Durability.FSYNC
        self._queue: list[Record | Answer] = []  # not encoded yet; whoever encodes next takes all of it
        self._pending: list[bytes] = []
        self._waiters: list[_Waiter] = []
        self._dirty = self._closing = False
        self._failure: AuditUnavailable | None = None
        self._low_space = ""
        try:
            self._open(anchors)
        except OSError as error:
            raise AuditUnavailable(_code(error), f"{settings.folder}: {error.strerror}") from error

    def _open(self, anchors: Sequence[Anchor]) -> None:
        folder = self._settings.folder
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._lock_fd = _lock_folder(folder / "lock")
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, self._lock_fd)
            recovery = recover(folder, self._origin, self._keys.signer.verifier)
            state, self.torn = recovery.state, recovery.torn
            # What appends advance is plain; the tree belongs to the keeper, which catches up with `_leaves`.
            self._seq, self._link, self._tree = state.seq, state.link, state.frontier
            self._leaves: list[bytes] = []
            self._pump = AnchorPump(anchors)
            undo.callback(self._pump.close, 0)
            self._checkpointer = Checkpointer(folder, self._origin, self._keys.signer, self._pump)
            self._signed = recovery.signed
            self._signed_at = self._space_checked_at = monotonic()
            self._last_bytes = 0  # of the last frame
            self._housekeeper = Housekeeper(self._settings)
            self._begin_segment()
            self._check_space()
            undo.pop_all()
        if len(list_segments(folder)) > 1:
            self._housekeeper.start()
        self._keeper = threading.Thread(target=self._keep, name="audit-keeper", daemon=True)
        self._keeper.start()

    @property
    def origin(self) -> str:
        """The name under which this worker's tree is signed."""
        return self._origin

    @property
    def size(self) -> int:
        """The number of records so far, and so the next `seq`."""
        return self._seq

    def health(self) -> LogHealth:
        """Whether appends are accepted. Cheap: ask it for every readiness probe."""
        if self._failure is not None:
            return LogHealth(healthy=False, reason=self._failure.reason, detail=str(self._failure))
        if self._low_space:
            return LogHealth(healthy=False, reason="low_disk_space", detail=self._low_space)
        return LogHealth(healthy=True)

    def anchor_backlog(self) -> int:
        """How many checkpoints wait for an anchor; above zero for long means an anchor is down."""
        return self._pump.backlog()

    # Appending

    async def append(self, *records: Record | Answer) -> None:
        """Write records that stand next to each other; returns when the durability's promise holds for all of them.

        In `os` mode it does not suspend. Cancelling it does not take the records back.

        Raises:
            AuditUnavailable: at least one of them is not (surely) in the log.
        """
        if not self._fsync:
            self.append_many(records)
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if self._enqueue(records, (loop, future)):
            # What other tasks append in this turn of the loop is encoded with it, and the keeper is woken once.
            loop.call_soon(self._hand_over)
        await future

    def append_now(self, record: Record | Answer) -> None:
        """The same for callers without an event loop; in `fsync` mode it blocks until the disk has answered."""
        self.append_many((record,))

    def append_many(self, records: Iterable[Record | Answer]) -> None:
        """Write records with one system call; they stand next to each other.

        Raises:
            AuditUnavailable: the records are not (surely) in the log.
        """
        if self._fsync:
            waiter: BlockingFuture[None] = BlockingFuture()
            self._enqueue(records, waiter)
            self._hand_over()
            waiter.result()
            return
        with self._lock:
            self._admit()
            try:
                self._output.write(self._frames(records))
            except OSError as error:
                raise self._poison(error) from error
            self._dirty = True

    def _enqueue(self, records: Iterable[Record | Answer], waiter: _Waiter) -> bool:
        """Have records written with the next group; answers whether they are its first."""
        with self._lock:
            self._admit()
            if len(self._waiters) >= self._settings.max_pending:
                raise AuditUnavailable("queue_full", f"{len(self._waiters)} records wait for the disk")
            first = not self._queue
            self._queue.extend(records)
            self._waiters.append(waiter)
            return first

    def _hand_over(self) -> None:
        """Encode what is queued, and wake the keeper."""
        with self._lock:
            self._encode_queue()
            self._wake.notify()

    def _encode_queue(self) -> None:
        """Whatever goes wrong poisons the log: that is what the waiters are told."""
        if self._queue:
            queue, self._queue = self._queue, []
            with contextlib.suppress(AuditUnavailable):
                self._pending.append(self._frames(queue))
            self._dirty = True

    def _admit(self) -> None:
        if not (self._failure or self._closing or self._low_space):
            return
        if self._failure is not None:
            raise AuditUnavailable(self._failure.reason, str(self._failure))
        if self._closing:
            raise AuditUnavailable("closed", "the log was closed")
        raise AuditUnavailable("low_disk_space", self._low_space)

    def _frames(self, records: Iterable[Record | Answer]) -> bytes:
        """Encode, chain and frame. Advances the state, so whatever goes wrong here poisons the log."""
        encode, leaves = self._encoder.encode, self._leaves
        parts: list[bytes] = []
        link, seq = self._link, self._seq
        # One reading for what is written at once: between its records only the seq tells.
        time, stepped_back = self._stamp.now()
        try:
            for record in _marked(records, stepped_back) if stepped_back else records:
                tag, stored, leaf_input, definition = encode(record, seq, time)
                if definition is not None:
                    self._templates.append(self._end + sum(map(len, parts)))
                    parts.append(frame(DEFINITION, seq, link, definition))
                leaf = sha256(leaf_input).digest()
                leaves.append(leaf)
                link = sha256(link + leaf).digest()
                parts.append(frame(tag, seq, link, stored))
                seq += 1
        except Exception as error:
            raise self._poison(error) from error
        self._link, self._seq = link, seq
        self._last_bytes = len(parts[-1]) if parts else self._last_bytes
        data = b"".join(parts)
        self._end += len(data)
        return data

    def _poison(self, error: Exception) -> AuditUnavailable:
        """Refuse everything from now on; answers the error to raise. The first failure counts."""
        if self._failure is None:
            detail = (error.strerror or "") if isinstance(error, OSError) else type(error).__name__
            self._failure = AuditUnavailable(_code(error), f"{self._settings.folder}: {detail}")
            _log.critical("the decision log cannot be written (%s); decisions are denied from now on", self._failure)
        return self._failure

    # The keeper: group commit, flushing, checkpoints, rotation

    def _keep(self) -> None:
        while not self._closing:
            with self._wake:
                if not self._pending and not self._closing:
                    self._wake.wait(FLUSH_SECONDS)
            self._tick()

    def _tick(self, *, final: bool = False) -> None:
        """Bring what is pending to the disk, then sign and rotate if it is time. Nothing escapes: failures poison."""
        with self._duty:
            with self._lock:
                due = self._take_due(final=final)
            failure = self._see_through(due)
            self._answer(due.waiters, failure)
            if monotonic() - self._space_checked_at >= _SPACE_CHECK_SECONDS:
                self._check_space()
        if failure is None and not final and self._rotation_due():
            self.rotate()

    def _take_due(self, *, final: bool) -> _Due:
        self._encode_queue()
        data, waiters, dirty = b"".join(self._pending), self._waiters, self._dirty
        self._pending, self._waiters, self._dirty = [], [], False
        fresh = self._seq - self._signed
        waited = final or monotonic() - self._signed_at >= self._settings.checkpoint_seconds
        sign = fresh >= self._settings.checkpoint_records or (fresh > 0 and waited)
        leaves: list[bytes] = []
        if final or sign or len(self._leaves) >= _FOLD_FROM:
            leaves, self._leaves = self._leaves, leaves
        place = Place(
            self._output.path, self._end - self._last_bytes, self._end, tuple(self._templates) if sign else ()
        )
        return _Due(data, waiters, leaves, dirty, sign, final, self._seq, self._link, place)

    def _see_through(self, due: _Due) -> AuditUnavailable | None:
        if self._failure is not None:
            return self._failure
        try:
            if due.data:
                self._output.write(due.data)
            if due.dirty:
                self._output.sync()
            self._tree.extend(due.leaves)
            if due.sign:
                state = ChainState(due.seq, due.link, self._tree)
                self._checkpointer.publish(state, due.place, final=due.final)
                self._signed, self._signed_at = due.seq, monotonic()
        except Exception as error:  # noqa: BLE001  nobody above could do anything else with it
            return self._poison(error)
        return None

    def _answer(self, waiters: "list[_Waiter]", failure: AuditUnavailable | None) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
        for waiter in waiters:
            if isinstance(waiter, BlockingFuture):
                waiter.set_exception(failure) if failure else waiter.set_result(None)
            else:
                by_loop.setdefault(waiter[0], []).append(waiter[1])
        for loop, futures in by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, futures, failure)

    def _rotation_due(self) -> bool:
        if self._seq == self._output.base:
            return False
        age = monotonic() - self._begun_at
        return self._output.size >= self._settings.segment_bytes or age >= self._settings.segment_seconds

    def rotate(self) -> None:
        """Close the open segment and begin the next; a failure poisons the log."""
        with self._duty, self._lock:  # no record may fall between the two
            self._rotate()

    def _rotate(self) -> None:
        due = self._take_due(final=True)
        failure = self._see_through(due)
        self._answer(due.waiters, failure)
        if failure is not None:
            return
        try:
            self._output.close()
            self._begin_segment()
        except OSError as error:
            self._poison(error)
            return
        self._housekeeper.start()

    def _begin_segment(self) -> None:
        """Open a segment that continues from the current state, all of which is on the disk and so may be signed."""
        base, state = self._seq, ChainState(self._seq, self._link, self._tree)
        wrapped = sealer = None
        if self._keys.ring is not None:
            wrapped, sealer = self._keys.ring.new_segment(f"{self._origin}\n{base}")
        note = self._checkpointer.sign(state) if base else ""
        header = SegmentHeader(self._origin, base, state.link, tuple(state.frontier.nodes), note, wrapped)
        path = segment_path(self._settings.folder, base)
        path.unlink(missing_ok=True)  # a segment of this base holds no record: recovery would have counted it
        self._output = SegmentOutput(path, header)
        self._encoder.start_segment(sealer)
        # Where the segment will end once all that is pending is written, and where its templates lie.
        self._end = self._output.size
        self._templates: list[int] = []
        self._begun_at = monotonic()

    def _check_space(self) -> None:
        self._space_checked_at = monotonic()
        try:
            disk = os.statvfs(self._settings.folder)
        except OSError as error:
            self._poison(error)
            return
        free = disk.f_bavail * disk.f_frsize
        low = free < self._settings.min_free_bytes
        self._low_space = f"{free} bytes are free, fewer than {self._settings.min_free_bytes}" if low else ""

    def close(self) -> None:
        """Write what is pending, sign the final checkpoint and release the folder. Further appends are refused."""
        with self._wake:
            if self._closing:
                return
            self._closing = True
            self._wake.notify()
        self._keeper.join()
        self._tick(final=True)
        self._pump.close()
        self._housekeeper.close()
        self._output.close()
        os.close(self._lock_fd)


def _marked(records: Iterable[Record | Answer], stepped_back: int) -> Iterator[Record | Answer]:
    """The records, the first of them with a note that the clock stepped back before it, in microseconds."""
    marked = iter(records)
    for first in marked:
        plain = record_of(first) if isinstance(first, Answer) else first
        yield {**plain, "clock_stepped_back_us": stepped_back}
        yield from marked


def _resolve(futures: "list[asyncio.Future[None]]", failure: AuditUnavailable | None) -> None:
    for future in futures:
        if future.done():
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(AuditUnavailable(failure.reason, str(failure)))


def _code(error: Exception) -> str:
    return _CODES.get(error.errno or 0, "io_error") if isinstance(error, OSError) else "io_error"


def _lock_folder(path: "os.PathLike[str]") -> int:
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise AuditUnavailable("closed", f"{path}: another process has this log open") from None
    return fd
