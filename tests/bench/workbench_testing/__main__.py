"""What it takes to test the sample policy, to mutate it, and to replay a day of decisions through a change of it.

Run: python -m tests.bench.workbench_testing [records]

The peer beside each figure is the plain way of doing the same in the same run: reading tables by the pure Python
parser, and parsing and deciding each recorded question by itself.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from pdp.core.decide import judge
from pdp.core.policy import PolicySnapshot
from pdp.core.request import Context, EntityRef, Request
from pdp.engine.matcher import CompiledEngine
from pdp.policy import load
from pdp.workbench.impact import Change, Recording, Tally, replay
from pdp.workbench.impact.changes import difference
from pdp.workbench.mutate import mutants_of, mutate
from pdp.workbench.testing import read_suites, run
from pdp.workbench.testing.world import Stored, World, read_records
from pdp.yaml_tree import _by_the_book, read_tree
from tests.bench.workbench_testing.recording import Organisation, record_decisions
from tests.cases.case_files import POLICIES

CASES = 5_000
PEER = 20_000
_SPAN = 500
PEOPLE = 2_000
RESOURCES = 10_000


def timed(what: str, count: int, action: Callable[[], object], peer: float = 0.0) -> float:
    """Time an action, and print it with its ratio to a peer's seconds for each."""
    busy, started = used(), time.perf_counter()
    action()
    seconds, busy = time.perf_counter() - started, used() - busy
    beside = f", {peer / (seconds / count):5.1f} x the plain way" if peer else ""
    each = f"{seconds / count * 1e6:9.1f} us each"
    print(f"{what:<48} {seconds:7.2f} s ({busy:.2f} s CPU) {each}{beside}")  # noqa: T201
    return seconds


def used() -> float:
    """Give the seconds of processor time that this process and those it waited for have used."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(it.ru_utime + it.ru_stime for it in map(resource.getrusage, whose))


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


def bench_tests(folder: Path) -> None:
    """Read and run 5,000 single cases."""
    single_cases(folder)
    text = (folder / "tests" / "0.yaml").read_text()
    started = time.perf_counter()
    _by_the_book(text)
    plain = time.perf_counter() - started
    timed(f"compose a file of {_SPAN} cases", _SPAN, lambda: read_tree(text), plain / _SPAN)
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
    file, attributes, now = folder / "recorded.jsonl", folder / "organisation.yaml", time.time()
    who = Organisation(PEOPLE, RESOURCES, now)
    who.write(attributes)
    policies = [load(it, CompiledEngine()) for it in (POLICIES, folder)]
    started = time.perf_counter()
    stored = read_records(attributes, policies[1].schema, now)
    print(f"{len(stored):,} records are read in {time.perf_counter() - started:.1f} s, once")  # noqa: T201
    for distinct in (10_000, count):
        record_decisions(file, count, who, distinct)
        with file.open("rb") as lines:
            plain = plainly(list(islice(lines, PEER)), policies, stored, now)
        tally = Tally()
        timed(
            f"replay {count:,} decisions, {distinct:,} distinct",
            count,
            lambda: tally.merge(replay(Recording(file), (POLICIES, folder), attributes, now)),  # noqa: B023 - at once
            plain,
        )
        print(f"{'':<44} {tally.total(Change.DENIED):,} newly denied of {tally.asked:,}")  # noqa: T201


def plainly(lines: list[bytes], policies: list[PolicySnapshot], stored: Stored, now: float) -> float:
    """Ask both revisions each question by itself; give seconds for each."""
    sides = [(policy, World(policy.schema, now, stored)) for policy in policies]
    started = time.perf_counter()
    for line in lines:
        record = json.loads(line)
        kind, _, name = record["subject"].partition(":")
        context = Context(record["purpose"])
        what, session, device = EntityRef(**record["resource"]), record["session"], record["device"]
        request = Request(EntityRef(kind, name), record["action"], what, context, session, device)
        difference(*(judge(request, world.entities(request), policy, now) for policy, world in sides))
    return (time.perf_counter() - started) / len(lines)


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
