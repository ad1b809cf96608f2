"""The walk through a change in the documentation: what it says the commands print is what they print.

Times and the digits of the revision are left out. What takes a minute (mutation) is compared by its figures.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from pdp.cli.policy import app
from pdp.policy import load_schema
from pdp.workbench.mutate import mutants_of
from pdp.workbench.testing.world import read_records
from tests.cases.case_files import POLICIES
from tests.workbench_testing.small import NOW, loaded

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "policy.md"
_VARYING: Final = re.compile(r"\d+\.\d+ s\b|(?<=--acknowledge )[0-9a-f]{12}")
_ENVIRONMENT: Final = {"COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb"}
_RULES: Final = Path("policies/policy/conversations.csv")
_TESTS: Final = Path("policies/tests/conversations.yaml")
_PEOPLE: Final = [
    ("user:alice", "s-1", "d-1"),
    ("user:alice", "s-2", "d-1"),
    *((f"user:{name}", f"s-{name}", "d-10") for name in ("bob", "carol", "dan", "erin", "frank", "oscar")),
]
_CALLS: Final = """\
request: {purpose: training}
    expect: {effect: deny, reasons: [NO_MATCHING_PERMIT]}
  - name: an agent hears their own call for work
    each: {purpose: [support, complaint]}
    expect: {effect: allow, reasons: [PERMITTED(rec"""
_ACTIONS: Final = ("read", "play", "list", "update", "export", "download")
_PURPOSES: Final = ("support", "complaint", "billing", "training", "quality_review", "fraud_investigation")


@pytest.fixture
def walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """The commands of the walk with what is printed, in a folder where ``base`` and ``policies`` are the sample."""
    section = DOCUMENT.read_text().split("\n## A change,")[1].split("\n## ")[0]
    shown = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    steps = [step for block in shown for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    for name in ("base", "policies"):
        shutil.copytree(POLICIES, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return iter([(step.split("\n", 1)[0], step.split("\n", 1)[1].splitlines()) for step in steps])


def edit(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    file.write_text(text)


def printed(command: str) -> list[str]:
    words = command.removeprefix("pdp policy ").split(" | ")[0].split()
    return CliRunner(env=_ENVIRONMENT).invoke(app, words).stdout.splitlines()


def plain(lines: list[str]) -> list[str]:
    return [_VARYING.sub("#", line.rstrip()) for line in lines]


def record(file: Path) -> None:
    """Write a day of questions of the sample's people."""
    chosen = random.Random(1)  # noqa: S311 - the same day each time
    stored = read_records(POLICIES / "sample" / "attributes.yaml", load_schema(POLICIES / "schema.yaml"), NOW)
    resources = sorted(ref for entity, ref in stored if entity.value == "resource")
    with file.open("w") as out:
        for _ in range(10_000):
            subject, session, device = chosen.choice(_PEOPLE)
            kind, name = chosen.choice(resources)
            asked = {"kind": "decision", "subject": subject, "session": session, "device": device, "outcome": "deny"}
            asked |= {"action": chosen.choice(_ACTIONS), "resource": f"{kind}:{name}"}
            asked |= {"purpose": chosen.choice(_PURPOSES)}
            out.write(json.dumps(asked) + "\n")


def test_the_walk_prints_what_it_says(walk: Iterator[tuple[str, list[str]]]) -> None:
    def compare_next() -> None:
        command, said = next(walk)
        found = plain(printed(command))
        found = found[-1:] if command.endswith("| tail -1") else found
        assert found == plain(said), command

    age = "r.context.time - r.resource."
    edit(
        _RULES,
        ("'complaint', 'training')\n    && r.resource.agent", "'complaint')\n    && r.resource.agent"),
        (f"{age}recorded_at <= 1209600", f"{age}recorded <= 604800"),
    )
    compare_next()
    edit(_RULES, ("r.resource.recorded <=", "r.resource.recorded_at <="))
    compare_next()
    edit(
        _TESTS,
        (
            "each: {purpose: [support, complaint, training]}\n    expect: {effect: allow, reasons: [PERMITTED(rec",
            _CALLS,
        ),
        ('{recorded_at: "-14d"}', '{recorded_at: "-7d"}'),
        ("{recorded_at: 1767261599}", "{recorded_at: 1767866399}"),
    )
    compare_next()
    compare_next()
    command, said = next(walk)
    count = f"{len(mutants_of(loaded(Path('policies')))):,}"
    assert (command, plain(said)[0]) == ("pdp policy mutate", f"{count} mutants: {count} caught, 0 survived in #")
    compare_next()
    record(Path("recorded.jsonl"))
    compare_next()
    edit(_RULES, ("    && r.resource.agent_id == r.subject.id\n", ""))
    command, said = next(walk)
    found, (head, tail) = plain(printed(command)), "\n".join(plain(said)).split("\n...\n")
    assert found[: len(head.splitlines())] == head.splitlines()
    assert found[-1] == tail
    assert next(walk, None) is None
