"""How what is wrong with a policy folder looks at the terminal: place, offending text underlined, how to mend it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from pdp.core.errors import PolicyProblem

_TAB: Final = 4
_WORD: Final = re.compile(r"[\w.-]+")


def line_of(folder: Path, problem: PolicyProblem) -> str:
    """Give the text of the line a problem stands in; empty where there is none to show."""
    if not problem.line:
        return ""
    try:
        lines = (folder / problem.file).read_text("utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    text = lines[problem.line - 1] if problem.line <= len(lines) else ""
    return "".join(it if it.isprintable() or it == "\t" else "\N{REPLACEMENT CHARACTER}" for it in text.rstrip("\r"))


def show_problems(console: Console, folder: Path, found: list[tuple[PolicyProblem, str]]) -> None:
    """Print each problem with its place, the text there and how to mend it."""
    for problem, line in found:
        where = f"{folder / problem.file}" + "".join(f":{it}" for it in (problem.line, problem.column) if it)
        console.print(f"[bold]{escape(where)}[/]: [red]{escape(problem.problem)}[/]", soft_wrap=True, highlight=False)
        if line:
            underline(console, problem.line, problem.column, _word_at(line, problem.column), line)
        if problem.help:
            console.print(f"    [cyan]help:[/] {escape(problem.help)}", soft_wrap=True, highlight=False)
        console.print()
    noun = "problem" if len(found) == 1 else "problems"
    console.print(f"[bold red]{len(found)} {noun}[/]: the policy is refused as a whole.", highlight=False)


def problem_data(problem: PolicyProblem, line: str) -> dict[str, Any]:
    """Give a problem as JSON has it."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "problem": problem.problem,
        "help": problem.help,
        "text": line,
    }


def underline(console: Console, number: int, column: int, length: int, line: str) -> None:
    """Print a line, cut to the width of the screen around a place in it, and point at that.

    Args:
        console: where to.
        number: the line's number, 1-based.
        column: where to point, 1-based, in characters.
        length: how many characters to point at.
        line: the line's text.
    """
    column = max(column, 1)
    room = console.width - 12
    start = max(0, column - room // 2) if len(line) > room else 0
    before = line[start : column - 1].expandtabs(_TAB)
    shown = line[start:].expandtabs(_TAB)[:room]
    margin = f"{number:>6} | "
    console.print(f"[dim]{margin}[/]{escape(shown)}", soft_wrap=True, highlight=False)
    mark = "^" * min(length, max(1, len(shown) - len(before)))
    indent = " " * (len(margin) - 2)
    console.print(f"{indent}[dim]|[/] {' ' * len(before)}[bold red]{mark}[/]", soft_wrap=True, highlight=False)


def _word_at(line: str, column: int) -> int:
    word = _WORD.match(line, max(column, 1) - 1)
    return len(word[0]) if word else 1
