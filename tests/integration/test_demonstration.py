"""The demonstration runs, and shows what it says: access withdrawn by a signal, restored, and one trace of it."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.integration.running import ROOT

TREE = [
    "pdp.signal ",
    "├─ pdp.signal.verify",
    "└─ pdp.attributes.write",
    "   └─ pdp.attributes.invalidation",
    "      └─ pdp.watch.decide",
    "         ├─ pdp.evaluate",
    "         └─ pdp.watch.tell",
]


def test_a_revocation_is_seen_and_its_trace_is_one_tree() -> None:
    command = [sys.executable, "-m", "examples.revocation", "1", "0.5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    screen = done.stdout
    assert "she sees Ada King, *****456C, 1815" in screen
    order = [
        "d-1 no longer complies",
        "access withdrawn",
        "posture-noncompliant",
        "complies again",
        "access restored",
    ]
    places = [screen.index(text) for text in order]
    assert places == sorted(places)
    assert re.search(r"as trace [0-9a-f]{32} tells it", screen)
    # Which of two spans begins first depends on a clock's resolution; what is a part of what does not.
    lines = [line[2:] for line in screen.splitlines() if "pdp." in line]
    assert [lead + name for lead, name in map(_split, lines)] == [lead + name for lead, name in map(_split, TREE)]
    assert re.search(r"pdp\.evaluate.*deny", screen)


def _split(line: str) -> tuple[str, str]:
    found = re.match(r"([^p]*)(pdp\.[a-z.]+)", line)
    assert found, line
    return found[1], found[2]
