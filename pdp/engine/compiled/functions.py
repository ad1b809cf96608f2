"""The functions of a compiled policy, written for its number of request values and its index.

Like the tests they consist of a fixed vocabulary and of attribute names; see :mod:`.writing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, cast

from pdp.engine.compiled.blocks import Fused
from pdp.engine.compiled.builder import Builder
from pdp.engine.compiled.effects import Effect
from pdp.engine.compiled.errors import ConditionError
from pdp.engine.compiled.index import Bucket, flatten, gather, pick
from pdp.engine.compiled.reading import source_of
from pdp.engine.compiled.safety import unsure
from pdp.engine.compiled.strict import StrictWriter, mismatch

_MAX_FAILURES: Final = 16
Function = Callable[..., Any]


class FunctionWriter:
    """Writes ``match`` and ``decide`` for one filed policy."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._is_strict = builder.writer is StrictWriter
        self._writer = builder.writer(builder.definition.scope)
        self._arguments = ", ".join(f"r{number}" for number in range(len(builder.definition.request)))
        self._extra: dict[str, object] = {"E": mismatch if self._is_strict else unsure}
        self._key_paths = [
            path
            for dimension in builder.index.dimensions
            for path in (dimension.path, dimension.domain)
            if path is not None
        ]
        self._gate = self._write_gate()
        index = builder.index
        self._extra |= {"Fused": Fused, "codes": builder.codes}
        self._extra |= {"get": index.table.get, "resolve": index.resolve, "pick": pick, "gather": gather}
        self._extra |= {
            "careful": _careful,
            "replay": partial(_replay, builder.definition.effect, builder.codes),
            "ConditionError": ConditionError,
        }
        self._extra |= {f"n{number}": known.get for number, known in enumerate(index.known)}
        if index.remembered is not None:
            self._extra["remembered"] = index.remembered.get

    def match(self) -> Function:
        """A function of the request that gives the indexes of all matching rules, in row order.

        In strict mode it raises :class:`ConditionError` and nothing else; in exact mode any exception means
        that the reference has to answer.
        """
        loop = [
            "rows = []",
            *self._pick([*self._evaluate("entries.loose"), "rows.sort()", "return tuple(rows)"]),
            *self._loop("entries"),
        ]
        end = [*self._at_unreadable("E()"), "return tuple(rows)"]
        return self._define("match", self._whole("()", [*loop, *end], "found"))

    def _loop(self, entries: str) -> list[str]:
        """Evaluate entries one by one and append to ``rows``."""
        return [
            f"for index, test, _ in {entries}:",
            " if test is None:",
            "  rows.append(index)",
            " else:",
            f"  result = test({self._arguments})",
            "  if result is True: rows.append(index)",
            "  elif result is not False: E()",
            *self._at_unreadable(" if index > {}: E()"),
        ]

    def _evaluate(self, loose: str) -> list[str]:
        """Evaluate the blocks of ``entries``, and the loose rules."""
        cells = self._builder.fuser.cells
        arguments = f"add, cells, {self._arguments}"
        head = ["add = rows.append", f"cells = [...] * {cells}" if cells else "cells = None"]
        return [*head, f"for block in entries.blocks: block({arguments})", *self._loop(loose)]

    def _pick(self, fused: list[str]) -> list[str]:
        """Find the ``entries`` of ``bucket``, and what to do where they are fused."""
        return [
            "entries = bucket",
            "if type(bucket) is not tuple:",
            f" if type(bucket) is not Fused: entries = pick(bucket, ({self._arguments},))",
            " if type(entries) is Fused:",
            *_indent(_indent(fused)),
        ]

    def decide(self) -> Function:
        """A function of the request that gives (the explaining rule or -1, the codes seen up to it).

        In exact mode it stops where pycasbin does; in strict mode it evaluates every rule that may match, so that
        a failing rule is reported wherever it stands. It raises as ``match`` does.
        """
        stops = self._builder.definition.effect.stops
        fused = [
            "rows = []",
            *self._evaluate("entries.loose"),
            "rows.sort()",
            "for last in rows:",
            " seen |= codes[last]",
            f" if seen & {stops}: break",
            "return last, seen",
        ]
        if not self._is_strict:
            # A rule behind the one that settles the decision may have failed.
            fused = [
                "try:",
                *_indent(fused),
                "except Exception:",
                " entries = entries.entries()",
                " seen, last = 0, -1",
            ]
        loop = [
            "seen = 0",
            "last = -1",
            *self._pick(fused),
            "for index, test, code in entries:",
            *self._at_unreadable(" if index > {}: E()"),
            f" result = True if test is None else test({self._arguments})",
            " if result is True:",
            *([f"  if seen & {stops}: continue"] if self._is_strict else []),
            "  last = index",
            "  seen |= code",
            *([] if self._is_strict else [f"  if code & {stops}: break"]),
            " elif result is not False: E()",
            *self._at_unreadable("else: E()"),
            "return last, seen",
        ]
        return self._define("decide", self._whole("(-1, 0)", loop, "replay(found)"))

    def _whole(self, empty: str, loop: list[str], careful: str) -> list[str]:
        head = [*self._bases(), *self._find(empty)]
        if not self._is_strict:
            return [*head, *loop]
        return [
            "try:",
            *_indent(head),
            "except Exception as error:",
            " raise ConditionError(((-1, type(error)),)) from None",
            "try:",
            *_indent(loop),
            "except Exception:",
            " pass",
            f"found = careful(bucket, ({self._arguments},))",
            f"return {careful}",
        ]

    def _define(self, name: str, lines: list[str]) -> Function:
        text = "\n".join([f"def {name}({self._arguments}):", *_indent(lines)]) + "\n"
        return cast("Function", self._builder.templates.define(text, name, self._extra))

    def _at_unreadable(self, line: str) -> list[str]:
        # pycasbin raises when it reaches such a row, whether or not the index would have led there.
        row = self._builder.unreadable
        return [] if row is None else [line.format(row)]

    def _bases(self) -> list[str]:
        names = [f"r{position}" for position in sorted(self._builder.bases)]
        if not names:
            return []
        known = " and ".join(f"type({name}) in V" for name in names)
        return [f"if not ({known}):", *[f" B({name})" for name in names]]

    def _write_gate(self) -> str:
        builder = self._builder
        writer = self._writer
        source = " and ".join(writer.test(gate) for gate in builder.plan.gates)
        builder.bases |= writer.bases | {path.position for path in self._key_paths if path.attributes}
        self._extra |= {f"c{number}": slot.fill(()) for number, slot in enumerate(writer.slots)}
        return source

    def _find(self, empty: str) -> list[str]:
        """Read the keys, try the gate, look up ``bucket``."""
        nothing = "E()" if self._builder.unreadable is not None else f"return {empty}"
        names = [f"k{number}" for number in range(len(self._key_paths))]
        lines = [
            f"{name} = {source_of(path, self._writer)}" for name, path in zip(names, self._key_paths, strict=True)
        ]
        if names:
            lines.append(f"if not ({' and '.join(f'type({name}) is str' for name in names)}): E()")
        if self._gate:
            lines += [f"gate = {self._gate}", f"if gate is False: {nothing}", "if gate is not True: E()"]
        return [*lines, *self._look_up(names), f"if not bucket: {nothing}"]

    def _look_up(self, names: list[str]) -> list[str]:
        index = self._builder.index
        if index.is_flat:
            key = names[0] if len(names) == 1 else f"({''.join(f'{name}, ' for name in names)})"
            return [f"bucket = get({key})"]
        if index.only_keys is not None:
            return self._look_up_once(names)
        resolve = f"bucket = resolve({', '.join(names)})"
        if index.remembered is None:
            return [resolve]
        keys = "".join(f"n{number}({name}), " for number, name in enumerate(names))
        return [f"bucket = remembered(({keys}))", f"if bucket is None: {resolve}"]

    def _look_up_once(self, names: list[str]) -> list[str]:
        index = self._builder.index
        self._extra["keys"] = index.only_keys
        first, rest = names[: index.singles], names[index.singles :]
        key = first[0] if len(first) == 1 else f"({''.join(f'{name}, ' for name in first)})"
        arguments = ", ".join(rest if len(rest) > 1 else [*rest, "''"])
        return [f"bucket = get({key})", f"if bucket is not None: bucket = gather(bucket, keys({arguments}))"]


def _replay(effect: Effect, codes: Sequence[int], rows: tuple[int, ...]) -> tuple[int, int]:
    return effect.replay((row, codes[row]) for row in rows)


def _careful(bucket: Bucket | list[Bucket], request: Sequence[object]) -> tuple[int, ...]:
    """Evaluate every rule of the buckets by itself, to tell which ones failed."""
    buckets = bucket if isinstance(bucket, list) else [bucket]
    unique = {entry[0]: entry for part in buckets for entry in flatten(part)}
    failures: list[tuple[int, type[Exception]]] = []
    rows: list[int] = []
    for index in sorted(unique):
        test = unique[index][1]
        try:
            matched = True if test is None else test(*request)
            if not isinstance(matched, bool):
                mismatch()
            if matched:
                rows.append(index)
        except Exception as error:  # noqa: BLE001 - whatever a condition raises is a deny with its class
            failures.append((index, type(error)))
            if len(failures) == _MAX_FAILURES:
                break
    if failures:
        raise ConditionError(tuple(failures))
    return tuple(rows)


def _indent(lines: list[str]) -> list[str]:
    return [f" {line}" for line in lines]
