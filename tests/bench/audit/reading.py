"""Verifying, searching and recovering large logs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pdp.audit import DecisionLog
from pdp.audit.maintain import maintain
from pdp.audit.recovery import recover
from pdp.audit.search import Query, find, known_as, search
from pdp.audit.segment import INDEX, RESUME, list_segments
from pdp.audit.verify import verify
from pdp.signing.note import Verifier
from tests.bench.audit.measure import Result, decision, keys, settings

_BATCH = 500
Answer = TypeVar("Answer")


def timed(call: Callable[[], Answer]) -> tuple[float, Answer]:
    begin = time.perf_counter()
    answer = call()
    return time.perf_counter() - begin, answer


def write(log: DecisionLog, count: int) -> float:
    begin = time.perf_counter()
    for start in range(0, count, _BATCH):
        log.append_many([decision(number, 100_000) for number in range(start, min(start + _BATCH, count))])
    return time.perf_counter() - begin


def measure(folder: Path, count: int) -> list[Result]:
    directory, own = folder / "large", keys()
    log = DecisionLog(settings(directory), own)
    log._housekeeper.close()  # the work on closed segments is measured below, not beside
    write(log, count)
    log.close()
    results = [verified(directory, own.signer.verifier, processes) for processes in (1, 0)]
    size = sum(segment.path.stat().st_size for segment in list_segments(directory / "w0"))
    indexing, _ = timed(lambda: maintain(directory / "w0", None, 0, pack=True))
    packed = sum(segment.path.stat().st_size for segment in list_segments(directory / "w0"))
    index = sum(path.stat().st_size for path in (directory / "w0").glob(f"*{INDEX}"))
    shown = f"{count / indexing:,.0f} records/s in the background"
    beside = f"{size / count:.0f} bytes a record become {packed / count:.0f}, and {index / count:.0f} of index"
    results.append(Result("indexing and compressing", shown, beside, {"per_second": count / indexing}))
    wanted = known_as("subject", str(decision(1, 100_000)["subject"]), own.pseudonyms)
    queries = {
        "a subject": lambda: list(search(directory, Query({"subject": wanted}), None, 1000)),
        "a subject's denies": lambda: list(
            search(directory, Query({"subject": wanted}, {"outcome": "deny"}), None, 1000)
        ),
        "the newest 100 denies": lambda: list(search(directory, Query(facets={"outcome": "deny"}), None, 100)),
        "one decision": lambda: [find(directory, str(decision(count // 2)["decision_id"]), None)],
    }
    for name, query in queries.items():
        seconds, found = min((timed(query) for _ in range(5)), key=lambda pair: pair[0])
        shown = f"{seconds * 1000:,.1f} ms for {len(found)} records"
        results.append(Result(f"search {count:,} for {name}", shown, "", {"ms": seconds * 1000}))
    return results


def verified(directory: Path, verifier: Verifier, processes: int) -> Result:
    seconds, report = timed(lambda: verify(directory, verifier, processes=processes))
    assert report.ok, report
    rate = report.records / seconds
    what = "verify, one process" if processes == 1 else "verify, a process a core"
    return Result(
        what, f"{rate:,.0f} records/s", f"{report.records:,} records in {seconds:.1f} s", {"per_second": rate}
    )


def _spoil(resume: Path, *, keep: bool) -> None:
    """Leave the oldest three fourths of the resume points, or none."""
    lines = resume.read_bytes().splitlines(keepends=True)
    resume.write_bytes(b"".join(lines[: len(lines) * 3 // 4] if keep else []))


def measure_recovery(folder: Path, gigabytes: float) -> list[Result]:
    """Recovery of one large segment whose writer was killed: from its newest checkpoint, and from its begin."""
    directory, own = folder / "recovery", keys()
    log = DecisionLog(settings(directory, segment_bytes=8 << 30), own)
    count = 0
    while log._output.size < gigabytes * (1 << 30):
        log.append_many([decision(number, 100_000) for number in range(count, count + _BATCH)])
        count += _BATCH
    results = []
    for what in ("from its newest checkpoint", "from one three fourths in", "from its begin"):
        seconds, recovery = timed(lambda: recover(directory / "w0", log.origin, own.signer.verifier))
        assert recovery.state.seq == log.size
        shown = f"{seconds:.2f} s for {log.size:,} records"
        results.append(Result(f"recover {gigabytes:g} GB {what}", shown, "", {"seconds": seconds}))
        _spoil(list_segments(directory / "w0")[0].beside(RESUME), keep=what == "from its newest checkpoint")
    log.close()
    return results
