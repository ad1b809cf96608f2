"""Seeing to closed segments: index, compress, remove what is past its retention: `python -m pdp.audit.maintain`.

Every step leaves the folder whole wherever it is cut short, and is repeated by the next run.
"""

import argparse
import logging
import os
import sys
import time
from pathlib import Path

from pdp.audit.keys import load_ring
from pdp.audit.sealing import KeyRing
from pdp.audit.searchindex import build, is_current, latest_time
from pdp.audit.segment import (
    CHECKPOINTS,
    INDEX,
    RESUME,
    SegmentFile,
    SegmentReader,
    compress,
    list_segments,
    sync_folder,
)
from pdp.core.errors import PdpError

_DAY_MICROS = 86_400 * 1_000_000
_log = logging.getLogger(__name__)


def maintain(folder: Path, ring: KeyRing | None, retention_days: int, *, pack: bool) -> None:
    """See to a worker's closed segments; the newest segment is never touched.

    Args:
        folder: the worker's folder.
        ring: the encryption keys, if there are any.
        retention_days: remove segments whose newest record is older; 0 keeps everything.
        pack: whether to compress (encrypted segments would not become smaller and are left as they are).

    Raises:
        OSError: the folder cannot be written.
    """
    closed = list_segments(folder)[:-1]
    for segment in closed:
        try:
            _see_to(segment, ring, pack=pack)
        except PdpError as error:
            _log.warning("%s is left as it is: %s", segment.path.name, error)
    if retention_days:
        _expire(folder, ring, retention_days)


def _see_to(segment: SegmentFile, ring: KeyRing | None, *, pack: bool) -> None:
    segment.beside(RESUME).unlink(missing_ok=True)
    if not is_current(segment):
        build(segment, ring)
    if pack and not segment.compressed:
        with SegmentReader(segment.path) as reader:
            sealed = reader.header()[0].key is not None
        if not sealed:
            compress(segment.path)


def _expire(folder: Path, ring: KeyRing | None, retention_days: int) -> None:
    """Remove segments from the oldest on, and stop at the first that is to be kept: a log has no holes."""
    oldest_kept = time.time_ns() // 1000 - retention_days * _DAY_MICROS
    for segment in list_segments(folder)[:-1]:
        if not is_current(segment):
            return
        try:
            with SegmentReader(segment.path) as reader:
                latest = latest_time(segment.beside(INDEX), reader.header()[0], ring)
        except PdpError as error:
            _log.warning("%s is kept: %s", segment.path.name, error)
            return
        if latest >= oldest_kept:
            return
        for path in (segment.path, segment.beside(INDEX), segment.beside(CHECKPOINTS), segment.beside(RESUME)):
            path.unlink(missing_ok=True)
        sync_folder(folder)


def main() -> None:
    """Read the command line and see to one folder."""
    parser = argparse.ArgumentParser(prog="pdp.audit.maintain")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keys", type=Path, required=True)
    parser.add_argument("--retention-days", type=int, default=0)
    parser.add_argument("--no-compress", action="store_true")
    options = parser.parse_args()
    os.nice(19)
    try:
        maintain(options.folder, load_ring(options.keys), options.retention_days, pack=not options.no_compress)
    except (PdpError, OSError) as error:
        sys.exit(f"{options.folder}: {error}")


if __name__ == "__main__":
    main()
