"""What an operator sets about the decision log."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pdp.audit.identifiers import IdentifierPolicy

_WORKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MIN_SEGMENT = 4096
_MAX_UNSIGNED = 500_000


class Durability(StrEnum):
    """What an answered append promises.

    `FSYNC`: the record is on the disk; it survives a power cut. Concurrent appends share one fdatasync.
    `OS`: the record is with the kernel; it survives kill -9 of the process. It reaches the disk within 50 ms, so a
    power cut can lose that much.
    """

    FSYNC = "fsync"
    OS = "os"


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How a worker's log is kept.

    Attributes:
        directory: the log directory; each worker has a folder in it.
        keys: the folder of key files; see `pdp audit keygen`.
        worker: what workers' names start with; their number follows. Stable across restarts: `[A-Za-z0-9._-]`, at
            most 64 characters.
        durability: `os` (with the kernel: survives kill -9) or `fsync` (on the disk: survives a power cut).
        identifiers: which identifiers are clear, pseudonyms or left out.
        segment_bytes: a segment is closed when it is at least this large (raw bytes).
        segment_seconds: or when it is this old.
        checkpoint_records: a checkpoint is signed after this many records, at most 500,000: it bounds how much is
            replayed when the log is opened after a crash,
        checkpoint_seconds: or this long after the last one if there are new records.
        retention_days: closed segments whose newest record is older are removed; 0 keeps everything.
        anchors: where signed checkpoints go besides, so that a cut tail can be seen: ``file:<folder>``, ideally a
            mount this machine cannot rewrite, or ``otlp:<URL of an OTLP/HTTP logs endpoint>``.
        compress: whether closed segments are compressed (encrypted ones do not compress and are left as they are).
        min_free_bytes: below this much free disk space appends are refused until there is more.
        max_pending: `fsync` only: appends that may wait for the disk at once; more are refused.
    """

    directory: Path = Path("var/audit")
    keys: Path = Path("var/keys")
    worker: str = "w"
    durability: Durability = Durability.OS
    identifiers: IdentifierPolicy = field(default_factory=IdentifierPolicy, metadata={"derived": True})
    segment_bytes: int = 64 << 20
    segment_seconds: float = 86_400.0
    checkpoint_records: int = 50_000
    checkpoint_seconds: float = 10.0
    retention_days: int = 400
    anchors: tuple[str, ...] = ()
    compress: bool = True
    min_free_bytes: int = 64 << 20
    max_pending: int = 16_384

    def __post_init__(self) -> None:
        if not _WORKER.fullmatch(self.worker):
            raise ValueError(f"a worker's name has 1 to 64 of A-Z a-z 0-9 . _ - and is not {self.worker!r}")
        if self.segment_bytes < _MIN_SEGMENT or self.segment_seconds <= 0:
            raise ValueError(f"a segment is at least {_MIN_SEGMENT} bytes and open for more than 0 seconds")
        if self.checkpoint_records < 1 or self.checkpoint_seconds <= 0 or self.max_pending < 1:
            raise ValueError("checkpoint_records, checkpoint_seconds and max_pending are positive")
        if self.checkpoint_records > _MAX_UNSIGNED:
            raise ValueError(f"checkpoint_records is at most {_MAX_UNSIGNED}")
        if self.retention_days < 0 or self.min_free_bytes < 0:
            raise ValueError("retention_days and min_free_bytes are not negative")

    @property
    def folder(self) -> Path:
        """This worker's folder."""
        return self.directory / self.worker
