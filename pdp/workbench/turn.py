"""What would turn a decision: the smallest sets of attribute changes, searched over everything the schema permits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from pdp.core.condition.nodes import conjuncts, refs
from pdp.core.decide import decide
from pdp.core.decision import Entity
from pdp.core.entities import Entities
from pdp.core.policy import PolicySnapshot, Rule
from pdp.core.record import Record
from pdp.core.request import Request
from pdp.core.schema import Kind, Value
from pdp.workbench.known import Known, known_values, pin, pinned
from pdp.workbench.logic.formula import Formula, State
from pdp.workbench.logic.reading import NOW, ROLES, Path
from pdp.workbench.logic.scope import Scope, TypeScope
from pdp.workbench.logic.search import BudgetExceededError
from pdp.workbench.logic.space import Space, Variable
from pdp.workbench.logic.witness import choose

# One change less outweighs any preference among changes: what the caller states changes easily, then the session,
# the device, the person, the record; roles last.
_CHANGE: Final = 100
_PREFERENCE: Final = {
    Entity.CONTEXT: 0,
    Entity.SESSION: 1,
    Entity.DEVICE: 2,
    Entity.SUBJECT: 3,
    Entity.RESOURCE: 4,
}
_ROLES_PREFERENCE: Final = 9
_LIMIT: Final = 100_000
_SHOWN: Final = 5


@dataclass(frozen=True)
class Change:
    """One attribute that takes another value.

    Attributes:
        path: which.
        before: the present value; None where it is not known or not usable.
        after: one value that will do.
        low: for numbers and times, the least that will do; None where there is no least.
        high: the greatest; None where there is none.
        choices: for texts, all that will do, where these are few.
        parts: the parts of the rule's condition that read it.
    """

    path: Path
    before: Value | None
    after: Value
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Turn:
    """A smallest set of changes that turns a decision, confirmed by deciding.

    Attributes:
        changes: the changes; empty where only ``supports`` is needed.
        rules: ids of the rules that determine the other decision.
        supports: obligation types that the enforcement point would have to carry out as well.
    """

    changes: tuple[Change, ...]
    rules: tuple[str, ...]
    supports: frozenset[str] = frozenset()


def find_turns(request: Request, entities: Entities, policy: PolicySnapshot, now: float) -> tuple[Turn, ...]:
    """Give the smallest sets of changes that turn a request's decision, the smallest first.

    Args:
        request: one whose action and resource type the schema declares.
        entities: what is known.
        policy: the revision, with an engine.
        now: seconds since the epoch.
    """
    finder = _Finder(request, entities, policy, now)
    turns: dict[frozenset[Path], Turn] = {}
    for turn in sorted(finder.turns(), key=finder.price_of):
        changed = frozenset(change.path for change in turn.changes)
        if not any(less <= changed for less in turns):
            turns[changed] = turn
    return tuple(turns.values())[:_SHOWN]


class _Finder:
    def __init__(self, request: Request, entities: Entities, policy: PolicySnapshot, now: float) -> None:
        self._request = request
        self._entities = entities
        self._policy = policy
        self._now = now
        self._known: Known = known_values(request, entities, policy, now)
        self._decision = decide(request, entities, policy, now)
        types = TypeScope(policy, request.resource.type, values=self._known.items(), now=int(now))
        self._space: Space = types.space
        self._scope: Scope = types.scope(request.action)
        self._present = pinned(types.space, self._known)
        self._start = self._fixed()

    def turns(self) -> Iterator[Turn]:
        """Give the cheapest turn by each rule that could bring one about."""
        for formulas, rules in self._goals():
            try:
                state = self._scope.types.searcher.cheapest(self._start, formulas, self._price, _LIMIT)
            except BudgetExceededError:
                continue
            if state is not None and (turn := self._confirmed(state, rules)):
                yield turn

    def price_of(self, turn: Turn) -> tuple[int, int, tuple[str, ...]]:
        """Rank turns: fewer changes, then easier ones, then by rule."""
        return len(turn.changes), sum(_preference(it.path) for it in turn.changes), turn.rules

    def _goals(self) -> Iterator[tuple[list[Formula], tuple[Rule, ...]]]:
        applies = self._scope.types.applies
        if not self._decision.allowed:
            denies = [applies(rule).negated() for rule in self._scope.denies]
            for rule in self._scope.permits:
                yield [applies(rule), *denies], (rule,)
            return
        for rule in self._scope.denies:
            yield [applies(rule)], (rule,)
        yield [applies(rule).negated() for rule in self._scope.permits], ()

    def _fixed(self) -> State:
        """Give the state in which only who asks, for what, and when is settled."""
        state = self._space.initial.copy()
        for path, variable in self._space.variables.items():
            if path[1] in ("id", "type") and path[0] is not Entity.CONTEXT and path in self._known:
                pin(state, variable, self._known[path])
        return state

    def _price(self, state: State) -> int:
        changed = (it for it in self._space.variables.values() if self._differs(it, state))
        return sum(_CHANGE + _preference(variable.path) for variable in changed)

    def _differs(self, variable: Variable, state: State) -> bool:
        if variable.path == NOW or variable.path not in self._known:
            return False
        if not variable.is_list:
            return not state[variable.slot] & self._present[variable.slot]
        held = self._present[variable.slot]
        return bool(state[variable.slot] & ~held or held & ~state[variable.may])

    def _confirmed(self, state: State, rules: tuple[Rule, ...]) -> Turn | None:
        needed = [it for it in self._space.variables.values() if self._needed(it, state)]
        changes = tuple(replace(self._change(it, state), parts=_parts(it, rules)) for it in needed)
        supported = self._request.context.supported_obligations
        more = frozenset[str]()
        if not self._decision.allowed:
            more = frozenset().union(*(self._policy.offers[rule.index].needed for rule in rules)) - supported
        request, entities = self._changed(changes, supported | more)
        decision = decide(request, entities, self._policy, self._now)
        if decision.effect is self._decision.effect:
            return None
        return Turn(tuple(sorted(changes, key=lambda it: it.path)), decision.rules, more)

    def _needed(self, variable: Variable, state: State) -> bool:
        if variable.path == NOW:
            return False
        if variable.path in self._known:
            return self._differs(variable, state)
        # Nothing is known of it: an allow takes a value, a deny does without.
        return not self._decision.allowed and self._is_read(variable.path)

    def _is_read(self, path: Path) -> bool:
        roles = self._known.get(ROLES, ())
        plan = self._policy.plan(
            roles if isinstance(roles, tuple) else (), self._request.action, self._request.resource.type
        )
        names = {need.entity: need.names for need in plan.stored_needs}
        return path[1] in (plan.stated_needs if path[0] is Entity.CONTEXT else names.get(path[0], ()))

    def _change(self, variable: Variable, state: State) -> Change:
        after = choose(variable, state, self._space)
        before = self._known.get(variable.path)
        if variable.is_list:
            return Change(variable.path, before, _nearest_list(variable, state, before, after))
        values = variable.values(state[variable.slot])
        if variable.attribute.kind in (Kind.INT, Kind.NUMBER, Kind.TIME):
            full = variable.values(variable.full)
            low = None if values[0] == full[0] else _number(values[0])
            high = None if values[-1] == full[-1] else _number(values[-1])
            nearest = _nearest(before, values)
            return Change(variable.path, before, nearest, low, high)
        return Change(variable.path, before, after, choices=tuple(map(str, values)))

    def _changed(self, changes: Iterable[Change], supported: frozenset[str]) -> tuple[Request, Entities]:
        context = self._request.context._replace(supported_obligations=supported)
        entities = self._entities
        for change in changes:
            entity, name = change.path
            if entity is Entity.CONTEXT:
                stated = {name: change.after}
                if name == "emergency":
                    stated["emergency_reason"] = "as if" if change.after else ""
                context = context._replace(**stated)  # type: ignore[arg-type]  # by the schema, a text or a truth
            else:
                entities = _with_value(entities, entity, name, change.after, self._now)
        return self._request._replace(context=context), entities


def _parts(variable: Variable, rules: tuple[Rule, ...]) -> tuple[str, ...]:
    return tuple(
        rule.text[part.start : part.end]
        for rule in rules
        for part in conjuncts(rule.condition)
        if variable.path in refs(part)
    )


def _with_value(entities: Entities, entity: Entity, name: str, value: Value, now: float) -> Entities:
    record = entities.of(entity)
    if record is None:
        return entities
    until = {it: time for it, time in record.usable_until.items() if it != name}
    start = {it: time for it, time in record.usable_from.items() if it != name}
    problems = {it: reason for it, reason in record.problems.items() if it != name}
    view = record.view.replaced({name: value})
    changed = Record(record.ref, record.version, min(record.issued_at, now), view, problems, start, until)
    return entities._replace(**{entity.value: changed})


def _preference(path: Path) -> int:
    return _ROLES_PREFERENCE if path == ROLES else _PREFERENCE[path[0]]


def _nearest_list(variable: Variable, state: State, before: Value | None, after: Value) -> Value:
    """Give the items that will do with the fewest put in and taken out."""
    if not isinstance(before, tuple):
        return after
    must, may = variable.values(state[variable.slot]), variable.values(state[variable.may])
    kept = [item for item in before if item in may]
    return tuple(map(str, [*kept, *(item for item in must if item not in kept)])) or after


def _nearest(before: Value | None, values: tuple[Value, ...]) -> Value:
    if not isinstance(before, int | float):
        return values[0]
    return min(values, key=lambda it: abs(_number(it) - before))


def _number(value: Value) -> float:
    return value if isinstance(value, int | float) else 0
