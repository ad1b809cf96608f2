"""Shipping records to a sink, at least once, from the files: decisions never wait for it.

The cursor file holds the next seq of each worker and is replaced durably after every batch that the sink took. A
record may arrive twice after a crash; `(worker, seq)` tells the receiver which. A sink that is down is tried again
with growing pauses; meanwhile the log keeps the records.
"""

import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdp.audit.errors import AuditError
from pdp.audit.follow import Follower
from pdp.audit.reading import parse
from pdp.audit.sealing import KeyRing
from pdp.audit.searchindex import micros
from pdp.audit.segment import list_workers, replace_file
from pdp.audit.sinks import Entry, Sink, SinkError
from pdp.core.errors import PdpError

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_log = logging.getLogger(__name__)


class Shipper:
    """Forwards every worker's records to a sink."""

    def __init__(self, directory: Path, sink: Sink, cursor: Path, ring: KeyRing | None, batch: int = 500) -> None:
        """Take up where the cursor file says; without one, at the oldest record.

        Raises:
            AuditError: the cursor file is unreadable.
        """
        self._directory = directory
        self._sink = sink
        self._cursor = cursor
        self._ring = ring
        self._batch = batch
        self._positions = _load(cursor)
        self._followers: dict[str, Follower] = {}

    def run_once(self) -> int:
        """Ship what is there now; answers how many records the sink took.

        Raises:
            SinkError: the sink did not take a batch; it will be sent again.
            AuditError: the log cannot be read.
        """
        shipped = 0
        for folder in list_workers(self._directory):
            follower = self._followers.get(folder.name)
            if follower is None:
                follower = Follower(folder, self._ring, self._positions.get(folder.name, 0))
            self._followers[folder.name] = follower
            while found := follower.read(self._batch):
                try:
                    self._sink.send([entry_of(text) for _, text in found])
                except SinkError:
                    del self._followers[folder.name]
                    raise
                self._positions[folder.name] = follower.next
                replace_file(self._cursor, json.dumps(self._positions).encode())
                shipped += len(found)
        return shipped

    def run(self, stop: threading.Event) -> None:
        """Ship until told to stop."""
        pause = _SHORTEST_PAUSE
        while not stop.is_set():
            try:
                self.run_once()
                pause = _SHORTEST_PAUSE
            except (PdpError, OSError) as error:
                pause = min(pause * 2, _LONGEST_PAUSE)
                _log.warning("shipping waits %.1f s: %s", pause, error)
            stop.wait(pause)


def entry_of(text: bytes) -> Entry:
    """A record as an entry: its JSON text as the body, and what a receiver may select by."""
    record = parse(text)
    names = {"pdp.audit.worker": "worker", "pdp.audit.seq": "seq", "pdp.audit.kind": "kind", "pdp.outcome": "outcome"}
    attributes = {name: str(record[key]) for name, key in names.items() if record.get(key) is not None}
    return Entry(
        "pdp.audit.record",
        text.decode(),
        micros(str(record.get("time", ""))),
        str(record.get("outcome") or ""),
        _trace_id(record),
        attributes,
    )


def _trace_id(record: Mapping[str, Any]) -> str:
    trace_id = record.get("trace_id")
    valid = isinstance(trace_id, str) and len(trace_id) == 32 and set(trace_id) <= set("0123456789abcdef")  # noqa: PLR2004
    return str(trace_id) if valid else ""


def _load(cursor: Path) -> dict[str, int]:
    try:
        value = json.loads(cursor.read_text("utf-8"))
        return {str(worker): int(seq) for worker, seq in value.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError, OSError):
        raise AuditError(
            f"{cursor}: the shipping cursor is unreadable; move it aside to ship from the start"
        ) from None
