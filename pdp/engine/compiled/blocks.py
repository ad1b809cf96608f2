"""Blocks: the rules that one key leads to, as one function that evaluates what they have in common once.

A rule by itself is a function of the request; forty rules are forty calls, each of which reads and checks the same
attributes. A block is the same conditions written one after the other, with a local variable for every value that
is wanted again (:mod:`.sharing`). Values that several blocks of a request want pass from one to the next in a list
of cells, new for every request.

A block only ever tells which rules match. Where it raises, the rules are evaluated one by one by their own tests,
which tell what failed: so what a decision is made of does not depend on how rules are grouped.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, cast

from pdp.engine.compiled.conditions import Conditions
from pdp.engine.compiled.errors import NotCompilableError
from pdp.engine.compiled.pacing import Checkpoint, paced
from pdp.engine.compiled.sharing import UNSET, Counting, Keeping, Sharing
from pdp.engine.compiled.templates import Templates, Test
from pdp.engine.compiled.writing import TEST, Fields, Link, Slot, Writer

Entry = tuple[int, Test | None, int]
"""(row index, test or None if it always holds, effect code)."""
Block = Callable[..., None]
"""Called with a function that takes the index of a rule that matches, the cells, and the request."""

MAX_BLOCK: Final = 32
_MAX_RULES: Final = 2048
_MAX_CELLS: Final = 64
_MAX_KNOWN: Final = 4096
_COMMON: Final = (f"{TEST} ", "bool ")


class Fused:
    """Rules in blocks, and rules beside them.

    Attributes:
        blocks: the blocks, each rule in one of them or among the loose.
        loose: rules that are not in a block, in row order.
    """

    __slots__ = ("_parts", "blocks", "loose")

    def __init__(self, blocks: tuple[Block, ...], loose: tuple[Entry, ...], parts: Sequence[Leaf]) -> None:
        self.blocks = blocks
        self.loose = loose
        self._parts = parts

    def entries(self) -> tuple[Entry, ...]:
        """Every rule with its own test, in row order."""
        parts = [part if isinstance(part, tuple) else part.entries() for part in self._parts]
        return in_order([entry for part in parts for entry in part])


Leaf = tuple[Entry, ...] | Fused


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Entries by row."""
    return tuple(sorted(entries, key=_row_of))


def _row_of(entry: Entry) -> int:
    return entry[0]


def merged(leaves: Sequence[Leaf]) -> Leaf:
    """Several leaves as one."""
    parts = [leaf for leaf in leaves if leaf]
    if len(parts) == 1:
        return parts[0]
    fused = [part for part in parts if type(part) is Fused]
    loose = in_order([entry for part in parts for entry in (part.loose if type(part) is Fused else part)])  # type: ignore[union-attr]
    return Fused(tuple([block for part in fused for block in part.blocks]), loose, parts) if fused else loose


@dataclass(frozen=True, slots=True)
class _Survey:
    """What the rules of a block evaluate.

    Attributes:
        again: values that are wanted more than once.
        tests: conditions that other blocks may want too.
    """

    again: tuple[str, ...]
    tests: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Recipe:
    """The source of a block. Row numbers and cells are slots of it, so that blocks of one shape share their code."""

    text: str
    slots: tuple[Slot, ...]

    @property
    def lasts(self) -> bool:
        """Whether it holds for later revisions: a role function is bound to the role links of its own."""
        return not any(isinstance(slot, Link) for slot in self.slots)


Texts = tuple[tuple[str, ...], ...]
Rules = tuple[Entry, ...]


class Fuser:
    """Makes the blocks of one revision, from what the one before has written of them.

    Args:
        conditions: the rules' conditions.
        rows: the rules.
        new_writer: makes a writer of the mode.
        templates: keeps code objects over revisions.
        previous: the fuser of the revision before, of the same matcher.
    """

    def __init__(
        self,
        conditions: Conditions,
        rows: Sequence[Fields],
        new_writer: Callable[[], Writer],
        templates: Templates,
        previous: Fuser | None = None,
    ) -> None:
        self._conditions = conditions
        self._rows = rows
        self._new_writer = new_writer
        self._templates = templates
        self._cells: dict[str, int] = {}
        self._surveys: dict[Texts, _Survey] = {}
        self._recipes: dict[tuple[Texts, tuple[str, ...]], _Recipe] = {}
        self._older = previous

    @property
    def cells(self) -> int:
        """How many cells a request needs."""
        return len(self._cells)

    def fuse(self, leaves: Iterable[Rules], checkpoint: Checkpoint, *, alone: bool) -> dict[Rules, Fused]:
        """The leaves that are worth blocks, the largest first, up to a number of rules.

        Args:
            leaves: rules that one key leads to.
            checkpoint: called between units of work.
            alone: whether a request is led to one leaf at most, so that no two have anything in common.
        """
        alone = alone and max(map(len, leaves), default=0) <= MAX_BLOCK
        parts = {leaf: _cut(leaf) for leaf in self._worthy(leaves, checkpoint, least=2 if alone else 1)}
        surveys = {rules: self._survey(rules, checkpoint) for rules in chain.from_iterable(parts.values())}
        if not alone:
            self._choose_cells(surveys.values())
        found: dict[Rules, Fused] = {}
        for leaf, cut in parts.items():
            if len(leaf) > 1 or not self._cells.keys().isdisjoint(surveys[leaf].tests):
                # One that is nested too deeply to be written so stays as it is.
                with contextlib.suppress(NotCompilableError):
                    blocks = tuple([self._block(rules, surveys[rules], checkpoint) for rules in cut])
                    found[leaf] = Fused(blocks, (), (leaf,))
        self._older = None
        return found

    def _worthy(self, leaves: Iterable[Rules], checkpoint: Checkpoint, least: int) -> Iterator[Rules]:
        room = _MAX_RULES
        for leaf in paced(sorted(leaves, key=len, reverse=True), checkpoint):
            if len(leaf) < least:
                return
            if len(leaf) > room:
                continue
            room -= len(leaf)
            conditions = [self._conditions.of(self._rows[index]) for index, _, _ in leaf]
            if not any(condition.problem for condition in conditions) and any(test for _, test, _ in leaf):
                yield leaf

    def _choose_cells(self, surveys: Iterable[_Survey]) -> None:
        wanted = Counter(key for survey in surveys for key in survey.tests)
        often = [key for key, times in wanted.most_common(_MAX_CELLS) if times > 1]
        self._cells = {key: number for number, key in enumerate(often)}

    def _texts(self, rules: Rules) -> Texts:
        return tuple([self._conditions.texts(self._rows[index]) for index, _, _ in rules])

    def _survey(self, rules: Rules, checkpoint: Checkpoint) -> _Survey:
        checkpoint()
        texts = self._texts(rules)
        found = self._older._surveys.get(texts) if self._older else None  # noqa: SLF001 - of this class
        if found is None:
            counting = Counting()
            self._write(rules, counting)
            again = tuple([key for key, times in counting.counts.items() if times > 1])
            found = _Survey(again, frozenset([key for key in counting.counts if key.startswith(_COMMON)]))
        self._surveys[texts] = found
        return found

    def _block(self, rules: Rules, survey: _Survey, checkpoint: Checkpoint) -> Block:
        checkpoint()
        common = tuple([key for key in self._cells if key in survey.tests])
        key = self._texts(rules), common
        recipe = self._older._recipes.get(key) if self._older else None  # noqa: SLF001 - of this class
        if recipe is None:
            recipe = self._compose(rules, Keeping([one for one in survey.again if one not in common], common))
        if recipe.lasts:
            self._recipes[key] = recipe
        values = [slot.fill(()) for slot in recipe.slots]
        values += [index for index, _, _ in rules]
        values += [self._cells[one] for one in common]
        return cast("Block", self._templates.define_once(recipe.text, len(values))(*values))

    def _write(self, rules: Rules, sharing: Sharing) -> tuple[list[str], Writer]:
        writer = self._new_writer()
        writer.sharing = sharing
        sources = []
        for index, _, _ in rules:
            writer.row = self._rows[index]
            parts = self._conditions.parts(writer.row)
            sources.append(" and ".join(writer.may_stop(writer.test, parts)))
        return sources, writer

    def _compose(self, rules: Rules, keeping: Keeping) -> _Recipe:
        sources, writer = self._write(rules, keeping)
        numbers = range(len(writer.slots), len(writer.slots) + len(rules))
        cells = [(name, f"m[c{numbers.stop + cell}]") for cell, name in enumerate(keeping.common.values())]
        lines = [f"n{base} = type(r{base}) is not dict" for base in sorted(writer.bases)]
        lines += [f"{name} = {cell}" for name, cell in cells]
        lines += [f"{name} = {UNSET}" for name in sorted(keeping.tested.difference(keeping.common.values()))]
        for number, source in zip(numbers, sources, strict=True):
            lines += _one_rule(source, f"add(c{number})", writer)
        lines += [f"{cell} = {name}" for name, cell in cells]
        head = f" def block(add, m, {self._templates.arguments}):"
        return _Recipe("\n".join([head, *[f"  {line}" for line in lines], " return block\n"]), tuple(writer.slots))


def _one_rule(source: str, add: str, writer: Writer) -> list[str]:
    if not source:
        return [add]
    if writer.gives_bool:
        return [f"if {source}: {add}"]
    return [f"result = {source}", f"if result is True: {add}", f"elif result is not False: {writer.refusal}"]


def _cut(leaf: Rules) -> list[Rules]:
    return [leaf[start : start + MAX_BLOCK] for start in range(0, len(leaf), MAX_BLOCK)]
