"""Files the rules of a policy under the index of its matcher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pdp.engine.compiled import checks, exact, strict
from pdp.engine.compiled.blocks import MAX_BLOCK, Entry, Fused, Fuser, Rules
from pdp.engine.compiled.conditions import Condition, Conditions
from pdp.engine.compiled.effects import ALLOW, OTHER, Effect, code_of
from pdp.engine.compiled.errors import Finding, NotCompilableError
from pdp.engine.compiled.index import Index
from pdp.engine.compiled.pacing import Checkpoint
from pdp.engine.compiled.plan import make_plan
from pdp.engine.compiled.reading import reader_of
from pdp.engine.compiled.syntax import Matcher
from pdp.engine.compiled.templates import Templates, Test
from pdp.engine.compiled.writing import Fields, Scope, Writer

_ROWS_BETWEEN_CHECKPOINTS = 8
_TEXT = frozenset({str})


@dataclass(frozen=True, slots=True)
class Definition:
    """One matcher with the request and policy definition it is evaluated with.

    Attributes:
        request: the request's tokens.
        policy: the policy's tokens.
        ptype: the policy type.
        matcher: the parsed matcher.
        scope: what names mean.
        effect: how matched rules combine.
    """

    request: list[str]
    policy: list[str]
    ptype: str
    matcher: Matcher
    scope: Scope
    effect: Effect

    @property
    def effect_column(self) -> int | None:
        """The position of the ``eft`` field, None if the model has none and every rule allows."""
        token = f"{self.ptype}_eft"
        return self.policy.index(token) if token in self.policy else None

    def same_matcher(self, other: Definition) -> bool:
        """Whether conditions compiled for the other hold here: all but rows and role links is equal."""
        return self._shape() == other._shape()

    def _shape(self) -> tuple[object, ...]:
        scope = self.scope
        roles = {name: type(closure) for name, closure in scope.roles.items()}
        return (self.request, self.policy, self.ptype, self.matcher.text, scope.functions, roles)


def _refuse_nothing(_text: str) -> str:
    return ""


class Builder:
    """Files rules one by one.

    Attributes:
        definition: the matcher and its surroundings.
        rows: every rule.
        codes: each rule's effect code.
        index: where the rules are filed.
        fuser: what makes blocks of them.
        bases: positions of the request values that attributes are read from.
        unreadable: the first rule that must not be passed over by an index, None if there is none.
        findings: why rules were not compiled.
    """

    def __init__(
        self, definition: Definition, writer: type[Writer], rows: Sequence[Fields], previous: Builder | None = None
    ) -> None:
        self.definition = definition
        self.writer = writer
        self.rows = rows
        helpers = strict.HELPERS if writer is strict.StrictWriter else exact.HELPERS
        templates = previous.templates if previous else Templates(len(definition.request), helpers)
        self.templates: Templates = templates
        self.plan = make_plan(definition.matcher, definition.scope, writer)
        self._is_strict = writer is strict.StrictWriter
        refuse = checks.literal_problem if self._is_strict else _refuse_nothing
        self.conditions = Conditions(definition.matcher, self.plan.residual, definition.scope, writer, refuse)
        if previous is not None:
            self.conditions.adopt(previous.conditions)
        self.fuser: Fuser = Fuser(
            self.conditions,
            rows,
            lambda: writer(definition.scope),
            self.templates,
            previous.fuser if previous else None,
        )
        self.index = Index(
            self.plan.dimensions,
            dict(definition.scope.roles),
            lambda path: reader_of(path, writer(definition.scope), templates),
        )
        self._filed: dict[tuple[str, ...], Entry] = {}
        self._older = previous._filed if previous else {}  # noqa: SLF001 - of this class
        self.codes: list[int] = []
        self.bases: set[int] = set()
        self.unreadable: int | None = None
        self.findings: list[Finding] = []

    def file(self, interpret: Callable[[Fields], Test] | None, checkpoint: Checkpoint) -> None:
        """File every row.

        Args:
            interpret: makes the test of a row that was not compiled; None to leave such rows out, with a finding.
            checkpoint: called every few rows.
        """
        width = len(self.definition.policy)
        column = self.definition.effect_column
        for number, row in enumerate(self.rows):
            if number % _ROWS_BETWEEN_CHECKPOINTS == 0:
                checkpoint()
            if len(row) != width:
                self._skip(number, f"{len(row)} fields where the model defines {width}")
            elif not _TEXT.issuperset(map(type, row)):
                self._skip(number, "a field that is not text")
            else:
                self._file_row(number, row, ALLOW if column is None else code_of(row[column]), interpret)
        self.conditions.let_go()
        self._older = {}
        self.index.finish(lambda leaves: self._fuse(leaves, checkpoint), checkpoint)

    def _fuse(self, leaves: list[Rules], checkpoint: Checkpoint) -> Mapping[Rules, Fused]:
        if self.unreadable is not None:
            return {}
        if not self._is_strict:
            # Decisions stop at the first rule that settles them, and a block does not.
            leaves = [leaf for leaf in leaves if len(leaf) <= MAX_BLOCK]
        return self.fuser.fuse(leaves, checkpoint, alone=self.index.is_flat)

    def _file_row(self, number: int, row: Fields, code: int, interpret: Callable[[Fields], Test] | None) -> None:
        condition = self.conditions.of(row)
        problem = condition.problem
        if not problem:
            try:
                entry = self._entry(number, condition, row, code)
            except NotCompilableError as error:
                # A pattern that pycasbin fails on may be an indexed conjunct with others behind it, which the
                # index would look at first: such a row is never left to the index.
                self._skip(number, str(error))
                return
        elif interpret is None or not condition.parses:
            self._skip(number, problem)
            return
        else:
            self.findings.append(Finding(self.definition.ptype, number, problem))
            entry = number, interpret(row), code
        self.bases |= condition.bases
        self.codes.append(code)
        self.index.add(row, entry, condition.leading)

    def _entry(self, number: int, condition: Condition, row: Fields, code: int) -> Entry:
        fields = tuple(row)
        entry = self._older.get(fields)
        if entry is None:
            entry = number, self._bind(condition, row), code
        elif entry[0] != number:
            entry = number, entry[1], code
        if condition.lasts:
            self._filed[fields] = entry
        return entry

    def _bind(self, condition: Condition, row: Fields) -> Test | None:
        problem = checks.pattern_finding(condition.slots, row) if self._is_strict else ""
        if problem:
            raise NotCompilableError(problem)
        return condition.bind(row, self.templates)

    def _skip(self, number: int, reason: str) -> None:
        self.findings.append(Finding(self.definition.ptype, number, reason))
        self.codes.append(OTHER)
        if self.unreadable is None:
            self.unreadable = number
