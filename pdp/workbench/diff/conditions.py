"""How two conditions differ, in words, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pdp.core.condition import Node, parse
from pdp.core.condition.nodes import Choices, Compare, ConditionError, Difference, Literal, conjuncts

_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"))


class _Part(NamedTuple):
    text: str
    node: Node


def condition_changes(old: str, new: str) -> Iterator[str]:
    """Say how a condition changed, given both as a rule's ``text`` has them; nothing where they say the same."""
    before, after = _parts(old), _parts(new)
    texts = ({part.text for part in before}, {part.text for part in after})
    gone = [part for part in before if part.text not in texts[1]]
    come = [part for part in after if part.text not in texts[0]]
    for part in tuple(gone):
        for other in come:
            if words := _compared(part, other, old, new):
                yield words
                gone.remove(part)
                come.remove(other)
                break
    yield from (f"no longer requires `{part.text}`" for part in gone)
    yield from (f"now also requires `{part.text}`" for part in come)


def _parts(text: str) -> list[_Part]:
    """Split a condition at its outermost ``&&``; what is always true requires nothing."""
    parts = [_Part(_bare(text[node.start : node.end]), node) for node in conjuncts(parse(text))]
    return [part for part in parts if part.text != "True"]


def _bare(text: str) -> str:
    """Take away parentheses around all of a text."""
    while text.startswith("(") and text.endswith(")"):
        try:
            parse(text[1:-1])
        except ConditionError:
            break
        text = text[1:-1].strip()
    return text


def _compared(old: _Part, new: _Part, old_text: str, new_text: str) -> str:
    """Say how one comparison changed; empty where the two are not of the same thing."""
    one, other = old.node, new.node
    if not (isinstance(one, Compare) and isinstance(other, Compare)):
        return ""
    left = old_text[one.left.start : one.left.end]
    if left != new_text[other.left.start : other.left.end]:
        return ""
    if isinstance(one.right, Choices | Literal) and isinstance(other.right, Choices | Literal):
        if {one.operator, other.operator} <= {"in", "=="}:
            return _choices(left, one.right, other.right)
        if one.operator == other.operator and isinstance(one.right, Literal) and isinstance(other.right, Literal):
            return _constants(left, one, one.right, other.right)
    return f"requires `{new.text}` instead of `{old.text}`"


def _choices(left: str, one: Choices | Literal, other: Choices | Literal) -> str:
    before, after = _values(one), _values(other)
    lost = [repr(value) for value in before if value not in after]
    won = [repr(value) for value in after if value not in before]
    words = [f"no longer for {', '.join(lost)}"] if lost else []
    words += [f"now also for {', '.join(won)}"] if won else []
    return f"`{left}`: {' and '.join(words) or 'the same values'}"


def _constants(left: str, comparison: Compare, one: Literal, other: Literal) -> str:
    ages = ""
    if isinstance(comparison.left, Difference):
        ages = f" ({_duration(one.value)} -> {_duration(other.value)})"
    return f"`{left} {comparison.operator}` {one.value!r} -> {other.value!r}{ages}"


def _values(node: Choices | Literal) -> list[object]:
    return [it.value for it in node.values] if isinstance(node, Choices) else [node.value]


def _duration(seconds: object) -> str:
    if not isinstance(seconds, int):
        return f"{seconds} s"
    for size, name in _UNITS:
        if seconds and seconds % size == 0:
            count = seconds // size
            return f"{count} {name}{'s' * (count != 1)}"
    return f"{seconds} s"
