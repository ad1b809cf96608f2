"""What it takes to test the sample policy, to mutate it, and to replay a day of decisions through a change of it.

Run: python -m tests.bench.workbench_testing [records]

The peer beside each figure is the plain way of doing the same in the same run: reading tables by the pure Python
parser, and parsing and deciding each recorded question by itself.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from pdp.engine.matcher import CompiledEngine
from pdp.policy import load
from pdp.policy.problems import Problems
from pdp.policy.source import Source
from pdp.policy.yaml_reader import read_yaml
from pdp.workbench.impact import Change, Recording, Tally, replay
from pdp.workbench.impact.compare import Comparison
from pdp.workbench.impact.questions import _read
from pdp.workbench.mutate import mutants_of, mutate
from pdp.workbench.testing import read_suites, run
from pdp.workbench.testing.documents import _compose
from pdp.workbench.testing.world import read_records
from tests.cases.case_files import POLICIES

CASES = 5_000
PEER = 20_000
_SPAN = 500
_PEOPLE = [
    *[("user:alice", f"s-{number}", "d-1") for number in (1, 2)],
    *[(f"user:{name}", f"s-{name}", "d-10") for name in ("bob", "carol", "dan", "erin", "frank", "oscar")],
]
_ACTIONS = ("read", "play", "list", "update", "export", "download")
_PURPOSES = ("support", "complaint", "billing", "training", "quality_review", "fraud_investigation")


def timed(what: str, count: int, action: Callable[[], object], peer: float = 0.0) -> float:
    """Time an action, and print it with its ratio to a peer's seconds for each."""
    busy, started = time.process_time(), time.perf_counter()
    action()
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    beside = f", {peer / (seconds / count):5.1f} x the plain way" if peer else ""
    each = f"{seconds / count * 1e6:9.1f} us each"
    print(f"{what:<44} {seconds:7.2f} s ({busy:.2f} s CPU here) {each}{beside}")  # noqa: T201
    return seconds


def single_cases(folder: Path) -> None:
    """Write 5,000 cases, each by itself, in files of 500."""
    head = "version: 1\nnow: 2026-01-15T10:00:00Z\nattributes: [sample/attributes.yaml]\ncases:\n"
    case = (
        "  - name: case %d\n"
        "    request: {subject: user:alice, action: play, resource: call_recording:rec-1, session: s-2,\n"
        "              device: d-1, purpose: support}\n"
        '    given: {resource/call_recording:rec-1: {recorded_at: "-%ds"}}\n'
        "    expect: {effect: allow, reasons: [PERMITTED(recording-play-own)], obligations: [watermark]}\n"
    )
    shutil.rmtree(folder / "tests")
    (folder / "tests").mkdir()
    for start in range(0, CASES, _SPAN):
        cases = "".join(case % (at, at + 60) for at in range(start, start + _SPAN))
        (folder / "tests" / f"{start}.yaml").write_text(f"{head}{cases}# end\n")


def record_decisions(file: Path, count: int) -> None:
    """Write recorded decisions as ``pdp audit export`` does."""
    chosen = random.Random(1)  # noqa: S311 - the same recording each time
    known = read_records(
        POLICIES / "sample" / "attributes.yaml", load(POLICIES, CompiledEngine()).schema, time.time()
    )
    records = sorted(ref for entity, ref in known if entity.value == "resource")
    with file.open("w") as out:
        for seq in range(count):
            subject, session, device = chosen.choice(_PEOPLE)
            kind, identifier = chosen.choice(records)
            record = {
                "seq": seq,
                "time": "2026-01-15T10:00:00.000000Z",
                "worker": "w-0",
                "kind": "decision",
                "decision_id": f"{chosen.getrandbits(128):032x}",
                "caller": "spiffe://example.test/gateway",
                "subject": subject,
                "action": chosen.choice(_ACTIONS),
                "resource": {"type": kind, "id": identifier},
                "purpose": chosen.choice(_PURPOSES),
                "session": session,
                "device": device,
                "outcome": "deny",
                "reasons": ["NO_MATCHING_PERMIT"],
                "rules": [],
                "obligations": [],
                "revision": "sha256:" + "0" * 64,
                "trace_id": f"{chosen.getrandbits(128):032x}",
                "attribute_versions": {"subject": 3, "device": 5, "session": 7, "resource": 11},
            }
            out.write(json.dumps(record, separators=(",", ":")) + "\n")


def bench_tests(folder: Path) -> None:
    """Read and run 5,000 single cases."""
    single_cases(folder)
    text = (folder / "tests" / "0.yaml").read_text()
    started = time.perf_counter()
    read_yaml(Source("x", text), Problems())
    plain = time.perf_counter() - started
    timed(f"compose a file of {_SPAN} cases", _SPAN, lambda: _compose(text), plain / _SPAN)
    policy = load(folder, CompiledEngine())
    timed(f"read and run {CASES:,} cases", CASES, lambda: list(run(read_suites(folder, policy), policy)))


def bench_mutants() -> None:
    """Try every mutant of the sample."""
    policy = load(POLICIES, CompiledEngine())
    mutants = mutants_of(policy)
    timed(f"try {len(mutants)} mutants, 2 processes", len(mutants), lambda: mutate(POLICIES, policy, 2))


def bench_replay(folder: Path, count: int) -> None:
    """Replay recorded decisions through the sample and a tightened copy of it."""
    tightened = folder / "policy" / "conversations.csv"
    tightened.write_text(tightened.read_text().replace("'complaint', 'training')", "'complaint')"))
    file, attributes, now = folder / "recorded.jsonl", POLICIES / "sample" / "attributes.yaml", time.time()
    record_decisions(file, count)
    old, new = (load(it, CompiledEngine()) for it in (POLICIES, folder))
    comparison = Comparison(old, new, read_records(attributes, new.schema, now), now)
    with file.open("rb") as lines:
        sample = list(islice(lines, PEER))
    started = time.perf_counter()
    for line in sample:
        if question := _read(line):
            comparison._known.clear()
            comparison.add(question, 1, Tally())
    plain = (time.perf_counter() - started) / len(sample)
    tally = Tally()
    timed(
        f"replay {count:,} decisions, 2 processes",
        count,
        lambda: tally.merge(replay(Recording(file), (POLICIES, folder), attributes, now)),
        plain,
    )
    print(  # noqa: T201
        f"{'':<44} {tally.total(Change.DENIED):,} newly denied of {tally.asked:,}"
    )


def main() -> None:
    """Run all of it."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as space:
        for number, bench in enumerate((bench_tests, lambda folder: bench_replay(folder, count))):
            folder = Path(space) / str(number)
            shutil.copytree(POLICIES, folder)
            bench(folder)
    bench_mutants()


if __name__ == "__main__":
    main()
