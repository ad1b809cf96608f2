"""What of a question can tell the rules of two revisions apart.

A decision is made of nothing but what its plan names: whether the attributes that candidate rules read are usable,
how the comparisons in those rules come out, and whether the session belongs to the asking subject and device. So two
questions under the same plans that agree on all of these have the same *standing*, and neither revision can answer
them otherwise, whoever asks and whatever the values are. What is known of one is known of the other.

Everything is asked at one moment, at which a comparison with the present time comes out once for each record.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pdp.core.condition.evaluate import evaluate
from pdp.core.condition.nodes import Compare, Node, Ref, refs
from pdp.core.decision import CONTEXT, POSITION, RESOURCE, SESSION, SUBJECT, Entity
from pdp.core.entities import problem_with, view_of
from pdp.core.policy import WILDCARD, Plan, PolicySnapshot, Rule
from pdp.core.record import Record
from pdp.core.request import EntityRef, Request
from pdp.workbench.coverage.atoms import atoms
from pdp.workbench.testing.world import World

Standing = tuple[Hashable, ...]
Sides = tuple[tuple[PolicySnapshot, World], ...]
Values = Mapping[str, Any]
_Test = Callable[[Sequence[Values]], object]

_TIME: Final = (CONTEXT, "time")
_ROLES: Final = ("roles",)
_PLACES: Final = tuple(Entity)
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda item, items: item in items,
}


class Party(NamedTuple):
    """A party to a request, or its circumstances.

    Attributes:
        number: equal for those that no comparison with a constant or with the present tells apart.
        name: its identifier.
        views: its values as each side has them.
        group: what chooses the plans: of a subject its type and, for each side, its roles or why they are of no use;
            of others None.
    """

    number: int
    name: str
    views: tuple[Values, ...]
    group: Hashable = None


class _Atom(NamedTuple):
    """A comparison as it stands in a rule, and whose attributes are in it, the present time not counted."""

    text: str
    node: Node
    entities: frozenset[Entity]


class _Facts(NamedTuple):
    """What one side knows of a party: why attributes are of no use, and how comparisons with it alone come out."""

    problems: Mapping[str, Hashable]
    outcomes: Mapping[str, object]


class Parties:
    """Finds the parties to questions."""

    def __init__(self, sides: Sides) -> None:
        """Take note of the revisions, each with what is known in its own reading; ``World.now`` is the moment."""
        self._sides = sides
        self._numbers: dict[Hashable, int] = {}
        self._reads: dict[tuple[int, Entity, str], tuple[list[str], list[tuple[str, _Test]]]] = {}
        self._facts: list[tuple[Hashable, tuple[_Facts | None, ...]]] = []
        self._atoms: dict[tuple[int, int], list[_Atom]] = {}

    def of(self, request: Request) -> tuple[Party, ...]:
        """Give a request's parties in the order of ``Entity``."""
        asked = (
            request.subject,
            EntityRef("device", request.device),
            EntityRef("session", request.session),
            request.resource,
        )
        known = tuple(world.entities(request) for _, world in self._sides)
        found = []
        for entity, ref in zip(POSITION, asked, strict=True):
            records = [each.of(entity) for each in known]
            views = tuple(view_of(each, entity).__dict__ for each in known)
            facts = tuple(self._stored(side, entity, ref.type, record) for side, record in enumerate(records))
            # That none is named is not the same as that the one who is named is unknown.
            number = self._number((entity, ref.type, bool(ref.id)), facts)
            group = (ref.type, *map(self._roles, records)) if entity is SUBJECT else None
            found.append(Party(number, ref.id, views, group))
        return (*found, self._stated(request))

    def facts(self, number: int) -> tuple[Hashable, tuple[_Facts | None, ...]]:
        """Give what makes parties of a number alike: what they are, and what each side knows of them."""
        return self._facts[number]

    def atoms(self, side: int, rules: Iterable[Rule]) -> list[_Atom]:
        """Give the comparisons in some rules of a side, each once."""
        found: dict[str, _Atom] = {}
        for rule in rules:
            key = (side, rule.index)
            if key not in self._atoms:
                self._atoms[key] = _atoms(rule)
            found.update((atom.text, atom) for atom in self._atoms[key])
        return list(found.values())

    def _stated(self, request: Request) -> Party:
        views, facts = [], []
        for side, (policy, world) in enumerate(self._sides):
            view = policy.context(request.context, int(world.now)).__dict__
            names, tests = self._read(side, CONTEXT, "")
            problems = {name: bool(getattr(request.context, name, "")) for name in names if name not in view}
            views.append(view)
            facts.append(_Facts(problems, _outcomes(tests, CONTEXT, view, world.now)))
        number = self._number((CONTEXT, request.context.supported_obligations), tuple(facts))
        return Party(number, "", tuple(views))

    def _stored(self, side: int, entity: Entity, kind: str, record: Record | None) -> _Facts | None:
        if record is None:
            return None
        names, tests = self._read(side, entity, kind)
        now = self._sides[side][1].now
        problems = {name: problem for name in names if (problem := problem_with(entity, (name,), record, now))}
        return _Facts(problems, _outcomes(tests, entity, record.view.__dict__, now))

    def _roles(self, record: Record | None) -> Hashable:
        """Give a subject's roles, or why they are of no use."""
        problem = problem_with(SUBJECT, _ROLES, record, self._sides[0][1].now)
        if record is None or problem:
            return str(problem)
        roles: tuple[str, ...] = record.view.__dict__["roles"]
        return roles

    def _read(self, side: int, entity: Entity, kind: str) -> tuple[list[str], list[tuple[str, _Test]]]:
        """Give the attributes of an entity that any rule reads, and the comparisons made of them alone."""
        key = (side, entity, kind if entity is RESOURCE else "")
        if key not in self._reads:
            policy = self._sides[side][0]
            covers = policy.hierarchy.resources.get(kind, frozenset({kind})) | {WILDCARD}
            rules = [rule for rule in policy.rules if entity is not RESOURCE or rule.resource in covers]
            names = {name for rule in rules for owner, name in refs(rule.condition) if owner is entity}
            names |= {*policy.schema.bindings} if entity is SESSION else set()
            alone = frozenset({entity})
            tests = [(atom.text, _test(atom.node)) for atom in self.atoms(side, rules) if atom.entities == alone]
            self._reads[key] = sorted(names), tests
        return self._reads[key]

    def _number(self, what: Hashable, facts: tuple[_Facts | None, ...]) -> int:
        held = tuple(it and (tuple(it.problems.items()), tuple(it.outcomes.values())) for it in facts)
        number = self._numbers.setdefault((what, held), len(self._numbers))
        if number == len(self._facts):
            self._facts.append((what, facts))
        return number


class Scope:
    """Questions under the same plans: of subjects of one type with the same roles, for one action on one type.

    Attributes:
        answers: for whoever asks under these plans, a memo by standing.
    """

    def __init__(self, sides: Sides, parties: Parties, group: Any, action: str, kind: str) -> None:
        """Find what the plans of all sides look at; ``group`` is that of the subject's ``Party``."""
        self._parties = parties
        type_, *held = group
        self._plans = tuple(
            _plan(policy, type_, roles, action, kind) for (policy, _), roles in zip(sides, held, strict=True)
        )
        self._reads = tuple(_reads(plan) for plan in self._plans)
        self._atoms = tuple(parties.atoms(side, it.rules if it else ()) for side, it in enumerate(self._plans))
        self._tests = tuple(
            (side, _test(atom.node))
            for side, found in enumerate(self._atoms)
            for atom in found
            if len(atom.entities) > 1
        )
        self._bindings = tuple(policy.schema.bindings for policy, _ in sides)
        self._bonds = tuple(
            (side, name, POSITION[entity])
            for side, bindings in enumerate(self._bindings)
            for name, entity in bindings.items()
        )
        self._alone: tuple[dict[int, int], ...] = tuple({} for _ in Entity)
        self._numbers: dict[Hashable, int] = {}
        self.answers: dict[Standing, Any] = {}

    def standing(self, parties: tuple[Party, ...]) -> Standing:
        """Give how the parties to a question stand, by themselves and to one another."""
        one, two, three, four, five = self._alone
        subject, device, session, resource, stated = parties
        views = tuple(zip(subject[2], device[2], session[2], resource[2], stated[2], strict=True))
        try:
            alone = (one[subject[0]], two[device[0]], three[session[0]], four[resource[0]], five[stated[0]])
        except KeyError:
            for position, party in enumerate(parties):
                self._alone[position][party.number] = self._number(position, party.number)
            return self.standing(parties)
        return (
            *alone,
            *[test(views[side]) for side, test in self._tests],
            *[views[side][2].get(name) == parties[at][1] for side, name, at in self._bonds],
        )

    def _number(self, position: int, number: int) -> int:
        """Number what of a party these plans look at."""
        entity = _PLACES[position]
        what, facts = self._parties.facts(number)
        seen = tuple(self._seen(side, entity, it) for side, it in enumerate(facts))
        # An unnamed session is bound to nobody, and what cannot be carried out is judged by what is stated.
        kept = what if entity in (SESSION, CONTEXT) else None
        return self._numbers.setdefault((position, kept, seen), len(self._numbers))

    def _seen(self, side: int, entity: Entity, facts: _Facts | None) -> Hashable:
        bound = entity is SESSION and self._plans[side] is not None and bool(self._bindings[side])
        if entity not in self._reads[side] and not bound:
            return None
        if facts is None:
            return "unknown"
        names = self._reads[side].get(entity, frozenset()).union(self._bindings[side] if bound else ())
        problems = tuple(sorted((name, str(why)) for name, why in facts.problems.items() if name in names))
        alone = frozenset({entity})
        outcomes = tuple(facts.outcomes[atom.text] for atom in self._atoms[side] if atom.entities == alone)
        return problems, outcomes


def _plan(policy: PolicySnapshot, type_: Hashable, roles: Any, action: str, kind: str) -> Plan | None:
    """Give the plan of a decision; None where it is a refusal that looks at no rule."""
    schema = policy.schema
    known = type_ in schema.subject_types and kind in schema.resources and action in schema.actions
    return policy.plan(roles, action, kind) if known and isinstance(roles, tuple) else None


def _reads(plan: Plan | None) -> Mapping[Entity, frozenset[str]]:
    """Give the attributes that candidate rules read, of each party of which they read any."""
    if plan is None:
        return {}
    stored = {need.entity: frozenset(need.names) for need in plan.stored_needs}
    return {**stored, CONTEXT: frozenset(plan.stated_needs)}


def _outcomes(tests: Iterable[tuple[str, _Test]], entity: Entity, values: Values, now: float) -> Mapping[str, object]:
    views: list[Values] = [{}] * len(_PLACES)
    views[_PLACES.index(CONTEXT)] = {"time": int(now)}
    views[_PLACES.index(entity)] = values
    return {text: test(views) for text, test in tests}


def _atoms(rule: Rule) -> list[_Atom]:
    return [
        _Atom(rule.text[node.start : node.end], node, frozenset(entity for entity, _ in refs(node) - {_TIME}))
        for node in atoms(rule.condition)
    ]


def _test(node: Node) -> _Test:
    """Make a function of the parties' values that gives how a comparison comes out; None where a value is missing."""
    if isinstance(node, Compare) and isinstance(node.left, Ref) and isinstance(node.right, Ref):
        return _plain_test(node.operator, node.left, node.right)

    def test(views: Sequence[Values]) -> object:
        try:
            return evaluate(node, lambda entity, name: views[_PLACES.index(entity)][name])
        except (KeyError, TypeError):
            return None

    return test


def _plain_test(symbol: str, one: Ref, other: Ref) -> _Test:
    """Make the same for one attribute against another, which is what parties are compared by."""
    at, name, beside, against = _PLACES.index(one.entity), one.name, _PLACES.index(other.entity), other.name
    compare = _OPERATORS[symbol]

    def test(views: Sequence[Values]) -> object:
        try:
            return compare(views[at][name], views[beside][against])
        except (KeyError, TypeError):
            return None

    return test
