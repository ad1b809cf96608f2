"""The canonical layout of rule files. Meaning, order, comments and line breaks in conditions are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pdp.policy.csv_reader import Field, read_rows
from pdp.policy.problems import Problems
from pdp.policy.rules import COLUMNS
from pdp.policy.source import END_MARK, Source

_TOKEN: Final = re.compile(r"""'[^'\n]*'|"[^"\n]*"|&&|\|\||[=!<>]=|[<>!(),-]|[^\s'"&|=<>!(),-]+|\S""")
_INDENT: Final = 4
_CLOSING: Final = re.compile(r'\s*"[ \t]*')
_TIGHT_AFTER: Final = ("(", "!")
_TIGHT_BEFORE: Final = (")", ",")


def format_rules(source: Source) -> str | None:
    """Give a rule file's text in the canonical layout; None where it is no readable CSV, and is best left alone."""
    problems = Problems()
    rows = list(read_rows(source, problems))
    if problems:
        return None
    lines: list[str] = []
    at = 0
    for row in rows:
        start = source.text.rfind("\n", 0, row[0].start) + 1
        lines += _between(source.text[at:start])
        lines.append(_row(row))
        at = _end(source.text, row[-1])
    lines += _between(source.text[at:])
    return _joined(lines)


def format_condition(text: str) -> str:
    """Give a condition with one space around operators, and lines indented by how deep in parentheses they start."""
    depth = 0
    lines: list[str] = []
    for line in text.split("\n"):
        tokens = [_quoted(token) for token in _TOKEN.findall(line)]
        if not tokens:
            continue
        outdent = 1 if tokens[0] == ")" else 0
        indent = " " * _INDENT * (1 + max(0, depth - outdent)) if lines else ""
        lines.append(indent + _spaced(tokens))
        depth += tokens.count("(") - tokens.count(")")
    return "\n".join(lines)


def _row(row: tuple[Field, ...]) -> str:
    values = [field.value for field in row]
    if values[0] == "p" and len(values) == len(COLUMNS) + 1:
        named = dict(zip(COLUMNS, values[1:], strict=True))
        named["condition"] = format_condition(named["condition"])
        named["obligations"] = ";".join(part.strip() for part in named["obligations"].split(";"))
        named["basis"] = " ".join(named["basis"].split())
        *plain, basis = named.values()
        # Words are quoted always, so that a comma more or less is no change of layout.
        return ",".join(["p", *map(_field, plain), _in_quotes(basis)])
    return ",".join(map(_field, values))


def _field(value: str) -> str:
    return _in_quotes(value) if any(it in value for it in ',"\n') else value


def _in_quotes(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def _between(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line.rstrip() != END_MARK:
            yield line.rstrip()


def _end(text: str, last: Field) -> int:
    at = last.offset_of(len(last.value))
    if last.quoted and (closing := _CLOSING.match(text, at)):
        at = closing.end()
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _joined(lines: list[str]) -> str:
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line)
    while kept and not kept[-1]:
        kept.pop()
    return "\n".join([*kept, END_MARK, ""])


def _quoted(token: str) -> str:
    return f"'{token[1:-1]}'" if token.startswith('"') else token


def _spaced(tokens: list[str]) -> str:
    parts: list[str] = []
    for before, token in zip(["", *tokens], tokens, strict=False):
        tight = not before or before in _TIGHT_AFTER or token in _TIGHT_BEFORE
        parts.append(token if tight else f" {token}")
    return "".join(parts)
