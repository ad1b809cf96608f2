"""Strict mode: every row compiled or the policy refused; every answer pycasbin's, or a typed error."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

from casbin.core_enforcer import EnforceContext
from casbin.model import Model

from pdp.engine.compiled import checks, loading
from pdp.engine.compiled.effects import EFFECTS
from pdp.engine.compiled.errors import ConditionError, Finding, NotCompilableError, PolicyError
from pdp.engine.compiled.functions import Function
from pdp.engine.compiled.pacing import Checkpoint, paced
from pdp.engine.compiled.program import Program, Sections, build_strict, closures, define, describe
from pdp.engine.compiled.report import CompilationReport
from pdp.engine.compiled.writing import Fields


class Verdict(NamedTuple):
    """A decision in strict mode, with what it rests on.

    Attributes:
        allowed: the decision.
        rows: the indexes of all rules that matched, in row order; empty where ``error`` is set.
        explanation: the index of the rule Casbin's explanation would name, -1 for none.
        error: why the request is denied without an answer from the rules; None where they answered.
    """

    allowed: bool
    rows: tuple[int, ...]
    explanation: int
    error: ConditionError | None


class StrictEngine:
    """A checked policy and its compiled matchers.

    Args:
        model: a path or a model.
        source: a path, an adapter, or rows that start with their policy type.
        checkpoint: called between units of work while building.
        previous: an engine whose compiled conditions are taken over where they are the same.

    Raises:
        PolicyError: the model or the policy has a hole; see ``docs/engine.md`` for the list.
    """

    def __init__(
        self,
        model: str | Model,
        source: loading.Source,
        checkpoint: Checkpoint,
        previous: StrictEngine | None = None,
    ) -> None:
        self.model = loading.model_of(model)
        _refuse([*checks.shape_findings(self.model)])
        loaded = loading.load_strictly(self.model, loading.adapter_of(source, checkpoint))
        checkpoint()
        findings = [*checks.model_findings(self.model), *checks.policy_findings(loaded, checkpoint)]
        _refuse(findings)
        self.rows = _in_order(loaded, checkpoint)
        checkpoint()
        self.effect = EFFECTS[self.model["e"]["e"].value]
        try:
            self._roles = closures(self.model, loaded.grouping, checkpoint)
        except NotCompilableError as error:
            raise PolicyError((Finding("model", -1, str(error)),)) from None
        _refuse([*checks.role_findings(self._roles, checkpoint)])
        self._checkpoint = checkpoint
        old = previous.programs if previous else {}
        wanted = [Sections(), *(sections for sections in old if sections != Sections())]
        self.programs: dict[Sections, Program] = {
            sections: self._build(sections, old.get(sections)) for sections in wanted
        }

        self._decide = self.programs[Sections()].decide
        self._allows = tuple(self.effect.allows(seen) for seen in range(4))

    def _build(self, sections: Sections, previous: Program | None) -> Program:
        try:
            definition = define(self.model, sections, self._roles)
        except NotCompilableError as error:
            raise PolicyError((Finding("model", -1, str(error)),)) from None
        program = build_strict(definition, self.rows[sections.policy], self._checkpoint, previous)
        _refuse(program.builder.findings)
        return program

    def rows_of(self, ptype: str) -> Sequence[Fields]:
        """The rules of a policy type, in the order of evaluation."""
        return self.rows[ptype]

    def program(self, context: EnforceContext) -> Program:
        """The program for a context, compiled on first use.

        Raises:
            PolicyError: its sections do not exist or do not compile.
        """
        sections = Sections(context.rtype, context.ptype, context.mtype)
        program = self.programs.get(sections)
        if program is None:
            program = self.programs[sections] = self._build(sections, None)
        return program

    def enforce(self, *request: Any) -> bool:
        """Whether the policy allows a request; a rule that cannot be evaluated is a deny."""
        try:
            if request and type(request[0]) is EnforceContext:
                _, seen = self.program(request[0]).decide(*request[1:])
            else:
                _, seen = self._decide(*request)
        except ConditionError:
            return False
        allowed: bool = self._allows[seen]
        return allowed

    def decide(self, *request: Any) -> Verdict:
        """The decision with the rules it rests on."""
        program = self.programs[Sections()]
        if request and type(request[0]) is EnforceContext:
            program = self.program(request[0])
            request = request[1:]
        try:
            rows = program.match(*request)
        except ConditionError as error:
            return Verdict(allowed=False, rows=(), explanation=-1, error=error)
        codes = program.builder.codes
        explanation, seen = self.effect.replay([(row, codes[row]) for row in rows])
        return Verdict(self._allows[seen], rows, explanation, None)

    def answer(self, request: tuple[Any, ...]) -> tuple[bool, Fields]:
        """The decision and the explaining rule, empty where there is none."""
        program = self.programs[Sections()]
        if request and type(request[0]) is EnforceContext:
            program = self.program(request[0])
            request = request[1:]
        try:
            last, seen = program.decide(*request)
        except ConditionError:
            return False, ()
        return self._allows[seen], program.builder.rows[last] if last >= 0 else ()

    @property
    def match(self) -> Function:
        """The default sections' matching function."""
        return self.programs[Sections()].match

    def report(self) -> CompilationReport:
        """How the default sections are evaluated."""
        builder = self.programs[Sections()].builder
        indexed = describe(builder.index.dimensions, builder.definition)
        return CompilationReport("strict", len(builder.rows), indexed, len(builder.conditions))


def _refuse(findings: Sequence[Finding]) -> None:
    if findings:
        raise PolicyError(tuple(findings))


def _in_order(loaded: loading.Loaded, checkpoint: Checkpoint) -> dict[str, list[Fields]]:
    """Rows in the order of evaluation: pycasbin's own sorting by priority, otherwise as loaded.

    pycasbin sorts by a priority column whatever the effect: under the others it decides which rule explains.
    """
    if not _is_sorted(loaded.model):
        return {ptype: [tuple(row) for row in paced(rows, checkpoint)] for ptype, rows in loaded.policy.items()}
    model = copy.deepcopy(loaded.model)
    for section, found in (("p", loaded.policy), ("g", loaded.grouping)):
        for key, rows in found.items():
            model[section][key].policy = rows
    try:
        model.sort_policies_by_subject_hierarchy()
    except RuntimeError as error:
        raise PolicyError((Finding("g", -1, str(error)),)) from error
    model.sort_policies_by_priority()
    return {ptype: [tuple(row) for row in assertion.policy] for ptype, assertion in model["p"].items()}


def _is_sorted(model: Model) -> bool:
    has_priority = any(f"{ptype}_priority" in assertion.tokens for ptype, assertion in model["p"].items())
    return has_priority or EFFECTS[model["e"]["e"].value].ordered
