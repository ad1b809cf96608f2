"""Tables of tests made into suites, or refused with everything that is wrong with them.

A file has ``version: 1``, ``now``, ``attributes`` (files of records), fixtures (``subjects``, ``devices``,
``sessions``, ``resources``), ``defaults`` of all questions, ``cases`` and ``matrices``, and ends with ``# end``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

from pdp.core.entities import refs
from pdp.core.errors import InvalidRequestError
from pdp.core.policy import PolicySnapshot
from pdp.core.request import Request, validate
from pdp.policy.fields import Fields
from pdp.policy.problems import Problems
from pdp.policy.source import Source
from pdp.workbench.testing import matrix as matrices
from pdp.workbench.testing.cases import Case, Suite
from pdp.workbench.testing.documents import files_of_tests, read_document
from pdp.workbench.testing.fixtures import SECTIONS, FixtureReader
from pdp.workbench.testing.matrix import read_matrix
from pdp.workbench.testing.options import OptionReader
from pdp.workbench.testing.requests import make_request
from pdp.workbench.testing.world import Changes, RecordFiles, World
from pdp.yaml_tree import Entry, Node

_OPTIONAL: Final = ("description", "attributes", *SECTIONS, "defaults", "cases", "matrices")
_CASE: Final = ("name", "expect")
_CASE_OPTIONAL: Final = ("request", "each", "given")


class _Shared(NamedTuple):
    """What all questions of a case or matrix have in common, and where its changes stand."""

    options: Mapping[str, Any]
    each: Mapping[str, Sequence[str]]
    changes: Changes
    place: Node


def read_suites(folder: Path, policy: PolicySnapshot) -> tuple[Suite, ...]:
    """Read every file of tests of a policy folder.

    Args:
        folder: the policy folder; its tests are in ``tests/*.yaml``. None at all is no fault here.
        policy: the revision whose names the tests use.

    Raises:
        PolicyInvalidError: with every problem found.
    """
    problems = Problems()
    files = RecordFiles(folder, policy.schema)
    names = files_of_tests(folder, problems)
    documents = [found for name in names if (found := read_document(folder, name, problems))]
    suites = [_SuiteReader(files, policy, source, problems).suite(root) for source, root in documents]
    problems.raise_if_any()
    return tuple(suite for suite in suites if suite is not None)


class _SuiteReader:
    def __init__(self, files: RecordFiles, policy: PolicySnapshot, source: Source, problems: Problems) -> None:
        self._files = files
        self._policy = policy
        self._source = source
        self._fields = Fields(source, problems)
        self._options = OptionReader(self._fields, policy)
        self._obligations = frozenset(it.type for it in policy.obligations.values())
        self._names: set[str] = set()

    def suite(self, root: Node) -> Suite | None:
        given = self._fields.document(root, ("now",), _OPTIONAL)
        now = self._now(given["now"]) if "now" in given else None
        if now is None:
            return None
        self._fixtures = FixtureReader(self._fields, self._files, self._policy.schema, now)
        self._world = World(self._policy.schema, now, self._fixtures.stored(given))
        self._defaults = self._options.question(given["defaults"]) if "defaults" in given else {}
        cases = [case for node in self._items(given, "cases") for case in self._case(node)]
        cases += [case for node in self._items(given, "matrices") for case in self._matrix(node)]
        if not cases:
            self._fields.refuse(root, "holds no test", "add cases or matrices")
        return Suite(self._source.file, self._world, tuple(cases))

    def _items(self, given: Mapping[str, Node], key: str) -> tuple[Node, ...]:
        return self._fields.items(given[key]) if key in given else ()

    def _now(self, node: Node) -> float | None:
        text = self._fields.text(node)
        try:
            moment = datetime.fromisoformat(text or "")
        except ValueError:
            moment = datetime.min  # noqa: DTZ901 - has no time zone, and so is refused
        if moment.tzinfo is None:
            self._fields.refuse(node, "a moment with its time zone is expected here", "such as 2026-01-15T10:00:00Z")
            return None
        return moment.timestamp()

    def _case(self, node: Node) -> Iterator[Case]:
        given = self._fields.record(node, _CASE, _CASE_OPTIONAL)
        if any(key not in given for key in _CASE):
            return
        name = self._name(given["name"])
        expected = self._options.expectation(given["expect"])
        yield from self._expanded(self._shared(node, given), node, name, {}, expected)

    def _matrix(self, node: Node) -> Iterator[Case]:
        given = self._fields.record(node, matrices.REQUIRED, matrices.OPTIONAL)
        if any(key not in given for key in matrices.REQUIRED):
            return
        name = self._name(given["name"])
        read = read_matrix(self._fields, self._options, given)
        if not (read.who and read.actions and read.resources):
            self._fields.refuse(node, "a matrix without anybody, any action or any resource tries nothing")
        shared = self._shared(node, given)
        for (who, resource, action), place, options, expected in read.cells():
            cell = f"{name}: {who}, {action}, {resource}"
            yield from self._expanded(shared, place or node, cell, options, expected)

    def _shared(self, node: Node, given: Mapping[str, Node]) -> _Shared:
        return _Shared(
            {**self._defaults, **(self._options.question(given["request"]) if "request" in given else {})},
            self._options.each(given["each"]) if "each" in given else {},
            self._fixtures.changes(given["given"], self._world.stored) if "given" in given else {},
            given.get("given", node),
        )

    def _name(self, node: Node) -> str:
        name = self._fields.text(node) or ""
        if name in self._names:
            self._fields.refuse(node, "another test of this file has this name")
        self._names.add(name)
        return name

    def _expanded(
        self, shared: _Shared, place: Node | Entry, name: str, own: Mapping[str, Any], expected: Mapping[str, Any]
    ) -> Iterator[Case]:
        """Give the case for every combination of the options with several values."""
        line, _ = self._source.at(place.offset)
        for values in product(*shared.each.values()):
            options = {**shared.options, **own, **dict(zip(shared.each, values, strict=True))}
            request = make_request(options, self._obligations)
            try:
                validate(request)
            except InvalidRequestError as error:
                self._fields.refuse(place, f"the request's {error}")
            changes = self._named(shared, request, whole=not own)
            yield Case(", ".join([name, *values]), self._source.file, line, request, changes, expected)

    def _named(self, shared: _Shared, request: Request, *, whole: bool) -> Changes:
        """Give the changes of what a request names; a change of anything else is a slip, but not in a matrix."""
        if not shared.changes:
            return shared.changes
        named = frozenset(refs(request))
        if whole and not named.issuperset(shared.changes):
            self._fields.refuse(shared.place, "changes a record that the request does not name")
        return {owner: texts for owner, texts in shared.changes.items() if owner in named}
