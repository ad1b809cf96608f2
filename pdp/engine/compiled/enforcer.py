"""The compiled enforcer: Casbin's model and policy files, answered from an index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

from casbin.core_enforcer import EnforceContext
from casbin.model import Model

from pdp.engine.compiled import loading
from pdp.engine.compiled.errors import Finding, PolicyError
from pdp.engine.compiled.exact_engine import ExactEngine
from pdp.engine.compiled.pacing import Checkpoint, no_pause
from pdp.engine.compiled.report import CompilationReport
from pdp.engine.compiled.strict_engine import StrictEngine, Verdict
from pdp.engine.compiled.writing import Fields

Mode = Literal["exact", "strict"]


class MatchedRule(NamedTuple):
    """A rule that matched.

    Attributes:
        row: its position in the policy, in the order of evaluation, from 0.
        rule: its fields, without the policy type.
    """

    row: int
    rule: tuple[str, ...]


class CompiledEnforcer:
    """Answers as ``casbin.Enforcer`` does, from compiled code.

    An enforcer is a snapshot: it does not follow its adapter. Build a new one, or :meth:`recompiled`, and swap
    the reference to it. Enforcing is safe from several threads in strict mode; in exact mode a request that
    falls back is as safe as pycasbin is.

    Args:
        model: a path to a model file, or a ``casbin.model.Model``.
        policy: a path to a policy file, a Casbin adapter, or rows in memory that start with their policy type.
        mode: ``exact`` answers as pycasbin 2.8.0 does on every model and request: result, explanation and
            exception class. ``strict`` refuses at load what pycasbin gets wrong in silence, and denies where
            it would raise or guess; see ``docs/engine.md``.
        checkpoint: called between small units of work while compiling. A build beside a running service
            passes a :class:`~pdp.engine.compiled.pacing.GiveWay`.

    Raises:
        PolicyError: strict mode refuses the model or the policy.
        Exception: exact mode raises whatever ``casbin.Enforcer`` raises.
    """

    def __init__(
        self,
        model: str | Model,
        policy: loading.Source = None,
        mode: Mode = "exact",
        *,
        checkpoint: Checkpoint = no_pause,
        previous: CompiledEnforcer | None = None,
    ) -> None:
        self._model = model
        self.mode = mode
        self._engine: ExactEngine | StrictEngine
        old = None if previous is None else previous._engine  # noqa: SLF001 - of this class
        if mode == "strict":
            self._engine = StrictEngine(model, policy, checkpoint, old if isinstance(old, StrictEngine) else None)
            self._rows: Sequence[Fields] = self._engine.rows["p"]
        elif mode == "exact":
            self._engine = ExactEngine(model, policy, checkpoint, old if isinstance(old, ExactEngine) else None)
            self._rows = self._engine.rows
        else:
            raise ValueError(f"no mode {mode!r}")
        self.enforce: Callable[..., bool] = self._engine.enforce
        """Whether the policy allows a request. In strict mode a rule that cannot be evaluated is a deny."""
        self.match: Callable[..., tuple[int, ...]] = self._engine.match
        """The indexes of all rules that match a request, in row order: the hot path of a service.

        Takes the request's values in the order of the request definition. In strict mode it raises
        :class:`ConditionError` and nothing else.
        """

    def recompiled(self, policy: loading.Source, *, checkpoint: Checkpoint = no_pause) -> CompiledEnforcer:
        """A new enforcer of the same model and mode over another policy; this one stays as it is.

        Conditions that this enforcer has compiled are taken over, so the cost is that of indexing all rules
        and of compiling the changed ones. Custom functions are not taken over.
        """
        return CompiledEnforcer(self._model, policy, self.mode, checkpoint=checkpoint, previous=self)

    def enforce_ex(self, *request: Any) -> tuple[bool, list[str]]:
        """Whether the policy allows a request, and the rule that explains it; no rule is an empty list."""
        allowed, rule = self._engine.answer(request)
        return allowed, list(rule)

    def batch_enforce(self, requests: Iterable[Iterable[Any]]) -> list[bool]:
        """:meth:`enforce` for each request."""
        return [self.enforce(*request) for request in requests]

    def decide(self, *request: Any) -> Verdict:
        """The decision with the rules it rests on; strict mode only.

        Raises:
            TypeError: the enforcer is in exact mode, or the request has another size than the model defines.
        """
        if not isinstance(self._engine, StrictEngine):
            raise TypeError("decide needs strict mode")
        return self._engine.decide(*request)

    def matching_rules(self, *request: Any) -> tuple[MatchedRule, ...]:
        """Every rule that matches a request, in row order, without an early stop.

        Raises:
            ConditionError: strict mode: a rule that applies could not be evaluated.
            Exception: exact mode: what pycasbin raises on the first row that it cannot evaluate.
        """
        if isinstance(self._engine, StrictEngine) and request and isinstance(request[0], EnforceContext):
            found = self._engine.program(request[0]).match(*request[1:])
        else:
            found = self.match(*request)
        rows = self._rows_for(request)
        return tuple(MatchedRule(index, tuple(rows[index])) for index in found)

    def _rows_for(self, request: tuple[Any, ...]) -> Sequence[Fields]:
        if request and isinstance(request[0], EnforceContext):
            return self._engine.rows_of(request[0].ptype)
        return self._rows

    def get_policy(self) -> list[list[str]]:
        """The rules of ``p`` in the order of evaluation, as copies."""
        return [list(row) for row in self._rows]

    def add_function(self, name: str, function: Callable[..., Any]) -> None:
        """Register a function for matcher and conditions; exact mode only.

        Raises:
            PolicyError: the enforcer is in strict mode, which takes no foreign code.
        """
        if not isinstance(self._engine, ExactEngine):
            raise PolicyError((Finding("model", -1, f"strict mode takes no custom function {name}"),))
        self._engine.add_function(name, function)

    def compilation_report(self) -> CompilationReport:
        """What was compiled and indexed, and what was left to pycasbin's own evaluation, and why."""
        return self._engine.report()
