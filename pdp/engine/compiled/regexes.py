"""Whether a regular expression can be trusted with any text: bounded time, and a match of the whole."""

from __future__ import annotations

import re
from typing import Any, Final

try:
    from re import _parser as parser  # type: ignore[attr-defined]
except ImportError:  # pragma: no cover - the parser has had this home since Python 3.11
    parser = None

_REPEATS: Final = {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}
_FORBIDDEN: Final = {"GROUPREF", "GROUPREF_EXISTS", "ASSERT", "ASSERT_NOT"}
_MAX_UNBOUNDED: Final = 4
_MANY: Final = 1000


def problem_of(pattern: str) -> str:
    r"""Why a pattern is refused in strict mode; empty if it is not.

    Refused are a repeat, an optional part or an alternation inside a repeat (each can take time exponential in
    the text), back-references and look-around, more than four unbounded repeats, two of them next to each other,
    and a pattern that does not end in ``$`` or ``\Z`` (``re.match`` would accept any continuation).
    """
    try:
        tree = parser.parse(pattern)
    except re.error as error:
        return f"not a regular expression: {error.msg}"
    if not _is_anchored(list(tree)):
        return "the pattern does not end in $: it would match any continuation"
    return _problem(list(tree), inside=False) or _count_problem(list(tree))


def _is_anchored(items: list[Any]) -> bool:
    return bool(items) and str(items[-1][0]) == "AT" and str(items[-1][1]) in {"AT_END", "AT_END_STRING"}


def _children(operand: Any) -> list[list[Any]]:
    parts = operand if isinstance(operand, tuple | list) else [operand]
    found: list[list[Any]] = []
    for part in parts:
        if isinstance(part, parser.SubPattern):
            found.append(list(part))
        elif isinstance(part, tuple | list):
            found += _children(part)
    return found


def _problem(items: list[Any], *, inside: bool) -> str:
    previous = False
    for opcode, operand in items:
        name = str(opcode)
        repeats = name in _REPEATS and operand[1] > 1
        varies = name == "BRANCH" or (name in _REPEATS and operand[0] != operand[1])
        if name in _FORBIDDEN:
            return "back-references and look-around are not taken"
        if inside and (repeats or varies):
            return "a repeat, an optional part or an alternation inside a repeat"
        unbounded = repeats and operand[1] > _MANY
        if unbounded and previous:
            return "two unbounded repeats next to each other"
        previous = unbounded
        for child in _children(operand):
            problem = _problem(child, inside=inside or repeats)
            if problem:
                return problem
    return ""


def _count_problem(items: list[Any]) -> str:
    return "more than four unbounded repeats" if _count(items) > _MAX_UNBOUNDED else ""


def _count(items: list[Any]) -> int:
    total = 0
    for opcode, operand in items:
        total += str(opcode) in _REPEATS and operand[1] > _MANY
        total += sum(_count(child) for child in _children(operand))
    return total
