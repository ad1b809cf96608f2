"""Exact mode: pycasbin's answer to every request, from compiled code where that is sure to agree."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import casbin
from casbin.core_enforcer import EnforceContext
from casbin.model import Model
from simpleeval import DISALLOW_FUNCTIONS

from pdp.engine.compiled import loading
from pdp.engine.compiled.amnesia import RoleMemory
from pdp.engine.compiled.effects import EFFECTS, Effect
from pdp.engine.compiled.errors import NotCompilableError
from pdp.engine.compiled.interpreter import Interpreter, functions_of
from pdp.engine.compiled.pacing import Checkpoint
from pdp.engine.compiled.program import Program, Sections, build_exact, closures, define, describe
from pdp.engine.compiled.report import CompilationReport
from pdp.engine.compiled.safety import unsure
from pdp.engine.compiled.writing import Fields


class ExactEngine:
    """A reference enforcer with a compiled fast path.

    Args:
        model: a path or a model.
        source: a path, an adapter, or rows that start with their policy type.
        checkpoint: called between units of work while compiling.
        previous: an engine whose compiled conditions are taken over where they are the same.

    Raises:
        Exception: whatever ``casbin.Enforcer`` raises on the same model and policy.
    """

    def __init__(
        self,
        model: str | Model,
        source: loading.Source,
        checkpoint: Checkpoint,
        previous: ExactEngine | None = None,
    ) -> None:
        self.reference = casbin.Enforcer(model, loading.adapter_of(source, checkpoint))
        self._memory = RoleMemory(self.reference)
        # Held wherever pycasbin itself evaluates; a custom function may come back to the enforcer.
        self._lock = threading.RLock()
        self.effect: Effect = EFFECTS[self.reference.model["e"]["e"].value]
        self.reason = ""
        self._checkpoint = checkpoint
        self._custom: frozenset[str] = frozenset()
        self._previous = previous
        self.programs: dict[Sections, Program | None] = {}
        self._allows = tuple(self.effect.allows(seen) for seen in range(4))
        self.compile()

    def compile(self) -> None:
        """Compile the default sections anew."""
        self.programs = {}
        program = self.program(Sections())
        self.rows: Sequence[Fields] = self.rows_of("p")
        self.decide: Callable[..., tuple[int, int]] = program.decide if program else unsure  # type: ignore[assignment]
        self._previous = None

    def rows_of(self, ptype: str) -> Sequence[Fields]:
        """The rules of a policy type, in the order of evaluation."""
        assertion = (self.reference.model["p"] or {}).get(ptype)
        return assertion.policy if assertion else ()

    def program(self, sections: Sections) -> Program | None:
        """The program for some sections; None where the reference answers every request."""
        if sections not in self.programs:
            try:
                self.programs[sections] = self._build(sections)
            except NotCompilableError as error:
                self.programs[sections] = None
                if sections == Sections():
                    self.reason = str(error)
        return self.programs[sections]

    def _build(self, sections: Sections) -> Program:
        model = self.reference.model
        rows = self.rows_of(sections.policy)
        if not rows:
            raise NotCompilableError("the policy is empty")
        grouping = {key: assertion.policy for key, assertion in (model["g"] or {}).items()}
        definition = define(model, sections, closures(model, grouping, self._checkpoint), self._custom)
        previous = self._previous.programs.get(sections) if self._previous else None
        return build_exact(definition, rows, self._interpreter(sections).test_of, self._checkpoint, previous)

    def _interpreter(self, sections: Sections) -> Interpreter:
        model = self.reference.model
        return Interpreter(
            model["r"][sections.request].tokens,
            model["p"][sections.policy].tokens,
            model["m"][sections.matcher].value,
            lambda: functions_of(self.reference),
            self._evaluating,
        )

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            finally:
                self._memory.restore()

    def add_function(self, name: str, function: Callable[..., Any]) -> None:
        """Register a function; rules that call it are interpreted."""
        self.reference.add_function(name, function)
        self._custom |= {name}
        self.compile()
        if _is_refused(function):
            self.programs = {}
            self.reason = f"simpleeval refuses the function {name}"
            self.decide = unsure  # type: ignore[assignment]

    def enforce(self, *request: Any) -> bool:
        """Whether the policy allows a request; its exceptions are the reference's."""
        try:
            if request and type(request[0]) is not str and isinstance(request[0], EnforceContext):
                return self._answer_in(request)[0]
            return self._allows[self.decide(*request)[1]]
        except Exception:  # noqa: BLE001 - whatever stopped the fast path, the reference has the last word
            return self._by_reference(request)[0]

    def answer(self, request: tuple[Any, ...]) -> tuple[bool, Sequence[str]]:
        """The decision and the explaining rule; its exceptions are the reference's."""
        try:
            if request and type(request[0]) is not str and isinstance(request[0], EnforceContext):
                return self._answer_in(request)
            last, seen = self.decide(*request)
        except Exception:  # noqa: BLE001 - whatever stopped the fast path, the reference has the last word
            return self._by_reference(request)
        return self._allows[seen], self.rows[last] if last >= 0 else ()

    def _by_reference(self, request: tuple[Any, ...]) -> tuple[bool, Sequence[str]]:
        with self._evaluating():
            allowed, explanation = self.reference.enforce_ex(*request)
        return allowed, explanation

    def _answer_in(self, request: tuple[Any, ...]) -> tuple[bool, Sequence[str]]:
        context = request[0]
        sections = Sections(context.rtype, context.ptype, context.mtype)
        program = self.program(sections)
        if program is None or "m" not in self.reference.model["m"]:
            return self._by_reference(request)
        last, seen = program.decide(*request[1:])
        return self._allows[seen], program.builder.rows[last] if last >= 0 else ()

    def match(self, *request: Any) -> tuple[int, ...]:
        """The indexes of all matching rules, in row order.

        Raises:
            Exception: what pycasbin raises on the first row that it cannot evaluate.
        """
        sections = Sections()
        if request and isinstance(request[0], EnforceContext):
            context, *rest = request
            sections, request = Sections(context.rtype, context.ptype, context.mtype), tuple(rest)
        program = self.program(sections)
        try:
            if program is not None:
                found: tuple[int, ...] = program.match(*request)
                return found
        except Exception:  # noqa: BLE001, S110 - whatever stopped the fast path, the interpreter has the last word
            pass
        return self._match_by_interpreter(sections, request)

    def _match_by_interpreter(self, sections: Sections, request: tuple[Any, ...]) -> tuple[int, ...]:
        if len(request) != len(self.reference.model["r"][sections.request].tokens):
            raise RuntimeError("invalid request size")
        interpreter = self._interpreter(sections)
        rows = self.rows_of(sections.policy)
        return tuple(number for number, row in enumerate(rows) if interpreter.evaluate(row, request))

    def report(self) -> CompilationReport:
        """How the default sections are evaluated."""
        program = self.programs.get(Sections())
        if program is None:
            return CompilationReport("exact", len(self.rows), reference=self.reason)
        builder = program.builder
        reference = "" if builder.unreadable is None else f"rule {builder.unreadable} cannot be evaluated by pycasbin"
        return CompilationReport(
            "exact",
            len(builder.rows),
            describe(builder.index.dimensions, builder.definition),
            len(builder.conditions),
            reference,
            tuple(builder.findings),
        )


def _is_refused(function: Callable[..., Any]) -> bool:
    try:
        return function in DISALLOW_FUNCTIONS
    except Exception:  # noqa: BLE001 - simpleeval fails on it the same way, on every request
        return True
