"""The examples for continuous integration call commands that exist, with flags that they take."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from pdp.cli.policy import app

ROOT = Path(__file__).parents[2]
FILES = (ROOT / "deploy/ci/github-actions.yaml", ROOT / "deploy/ci/gitlab-ci.yaml", ROOT / ".pre-commit-hooks.yaml")
_CALL = re.compile(r"^\s*(?:- )?(?:run: |entry: )?(pdp policy .+)$", re.MULTILINE)


def calls() -> Iterator[tuple[str, list[str]]]:
    for path in FILES:
        for found in _CALL.finditer(path.read_text()):
            yield path.name, shlex.split(found[1])[2:]


@pytest.mark.parametrize(("file", "words"), list(calls()), ids=lambda it: it if isinstance(it, str) else " ".join(it))
def test_a_call_is_one_that_the_command_takes(file: str, words: list[str]) -> None:
    del file
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    command = commands[words[0]]
    context = command.make_context(words[0], words[1:])
    assert context.params


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_is_yaml(path: Path) -> None:
    assert yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", FILES[:2], ids=lambda path: path.name)
def test_the_acknowledgement_is_read_from_a_description(path: Path) -> None:
    line = next(line for line in path.read_text().splitlines() if "acknowledged=$(" in line)
    script = line.strip().removeprefix("- ") + '\nprintf %s "$acknowledged"'
    variable = "BODY" if "$BODY" in script else "CI_MERGE_REQUEST_DESCRIPTION"
    for body, expected in (
        ("Tighten it.\r\n\r\nPolicy-acknowledged: 0123456789ab\r\n", "0123456789ab"),
        ("nothing", ""),
        ("Policy-acknowledged: $(touch x); all", ""),
        ("Policy-acknowledged: aaaaaaaaaaaa\nPolicy-acknowledged: bbbbbbbbbbbb", "bbbbbbbbbbbb"),
    ):
        found = subprocess.run(
            ["sh", "-c", script], env={variable: body, "PATH": "/usr/bin:/bin"}, capture_output=True, check=True
        )
        assert found.stdout.decode() == expected
