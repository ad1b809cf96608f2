"""The functions of a compiled policy, written for its number of request values and its index.

Like the tests they consist of a fixed vocabulary and of attribute names; see :mod:`.writing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from pdp.engine.compiled.builder import Builder
from pdp.engine.compiled.conditions import Path
from pdp.engine.compiled.errors import ConditionError
from pdp.engine.compiled.index import Bucket, Entry, flatten, select
from pdp.engine.compiled.safety import unsure
from pdp.engine.compiled.strict import StrictWriter, mismatch
from pdp.engine.compiled.writing import Writer, read

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
        self._readers = {path: self._reader(path) for path in builder.paths}
        self._key_paths = [
            path
            for dimension in builder.index.dimensions
            for path in (dimension.path, dimension.domain)
            if path is not None
        ]
        self._gate = self._write_gate()
        index = builder.index
        self._extra |= {"get": index.table.get, "resolve": index.resolve, "merge": self._merge}
        self._extra |= {"careful": self._careful, "ConditionError": ConditionError}
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
            "for index, test, code in entries:",
            " if test is None:",
            "  rows.append(index)",
            " else:",
            f"  result = test({self._arguments})",
            "  if result is True: rows.append(index)",
            "  elif result is not False: E()",
            *self._at_unreadable(" if index > {}: E()"),
        ]
        end = [*self._at_unreadable("E()"), "return tuple(rows)"]
        if not self._is_strict:
            return self._define("match", [*self._bases(), *self._find("()"), *self._entries(), *loop, *end])
        lines = [
            "try:",
            *_indent([*self._bases(), *self._find("()")]),
            "except Exception as error:",
            " raise ConditionError(((-1, type(error)),)) from None",
            "try:",
            *_indent([*self._entries(), *loop, *end]),
            "except Exception:",
            " pass",
            f"return careful(bucket, ({self._arguments},))",
        ]
        return self._define("match", lines)

    def decide(self) -> Function:
        """A function of the request that gives (the explaining rule or -1, the codes seen); for exact mode."""
        loop = [
            "seen = 0",
            "last = -1",
            "for index, test, code in entries:",
            *self._at_unreadable(" if index > {}: E()"),
            f" result = True if test is None else test({self._arguments})",
            " if result is True:",
            "  last = index",
            "  seen |= code",
            f"  if code & {self._builder.definition.effect.stops}: break",
            " elif result is not False: E()",
            *self._at_unreadable("else: E()"),
            "return last, seen",
        ]
        return self._define("decide", [*self._bases(), *self._find("(-1, 0)"), *self._entries(), *loop])

    def _define(self, name: str, lines: list[str]) -> Function:
        text = "\n".join([f"def {name}({self._arguments}):", *_indent(lines)]) + "\n"
        return cast("Function", self._builder.templates.define(text, name, self._extra))

    def _at_unreadable(self, line: str) -> list[str]:
        # pycasbin raises when it reaches such a row, whether or not the index would have led there.
        row = self._builder.unreadable
        return [] if row is None else [line.format(row)]

    def _bases(self) -> list[str]:
        names = [f"r{position}" for position in sorted(self._builder.bases)]
        if not self._is_strict or not names:
            return [f"B({name})" for name in names]
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
        resolve = f"bucket = resolve({', '.join(names)})"
        if index.remembered is None:
            return [resolve]
        keys = "".join(f"n{number}({name}), " for number, name in enumerate(names))
        return [f"bucket = remembered(({keys}))", f"if bucket is None: {resolve}"]

    def _entries(self) -> list[str]:
        return [f"entries = bucket if type(bucket) is tuple else merge(bucket, ({self._arguments},))"]

    # -- called by the written functions -------------------------------------------------------------------

    def _reader(self, path: Path) -> Function:
        value = source_of(path, self._writer)
        text = f"def reader({self._arguments}):\n k = {value}\n return k if type(k) is str else E()\n"
        return cast("Function", self._builder.templates.define(text, "reader", self._extra))

    def _merge(self, bucket: Bucket | list[Bucket], request: Sequence[object]) -> list[Entry]:
        def read_path(path: Path) -> str:
            return cast("str", self._readers[path](*request))

        buckets = bucket if isinstance(bucket, list) else [bucket]
        entries = [entry for part in buckets for entry in select(part, read_path)]
        entries.sort(key=_row_of)
        return entries

    def _careful(self, bucket: Bucket | list[Bucket], request: Sequence[object]) -> tuple[int, ...]:
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


def _row_of(entry: Entry) -> int:
    return entry[0]


def _indent(lines: list[str]) -> list[str]:
    return [f" {line}" for line in lines]


def source_of(path: Path, writer: Writer) -> str:
    """The source that reads a path. The outcome is not guarded: the caller checks that it is text."""
    source = f"r{path.position}"
    for number, name in enumerate(path.attributes):
        if number == 0:
            source = read(source, source, name)
        else:
            source = read(f"(b{number} := {writer.guarded(source)})", f"b{number}", name)
    return source
