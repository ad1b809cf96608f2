"""An immutable policy revision: rules, how they match, and what a decision under them must look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pdp.core.condition import Node
from pdp.core.condition.nodes import refs
from pdp.core.decision import ALLOW, POSITION, SESSION, SUBJECT, Effect, Entity, Obligation
from pdp.core.entities import context_view
from pdp.core.limits import NO_LIMITS, Limits
from pdp.core.reasons import Cause, Reason
from pdp.core.record import View
from pdp.core.request import Context
from pdp.core.routes import RouteTable
from pdp.core.schema import Schema
from pdp.core.signals.rules import NO_SIGNALS, SignalRules
from pdp.core.turning import TurningPoint, turning_points

if TYPE_CHECKING:
    from pdp.core.standing import Standing

WILDCARD: Final = "*"
_PLAN_LIMIT: Final = 4096
_CONTEXT_LIMIT: Final = 1024
_IDENTITY: Final = ("id", "type")


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the policy.

    Attributes:
        index: its place among all rules, which is how a matcher names it.
        id: its name, unique in the revision.
        role: the role it is for, or ``*``.
        action: the action or group of actions, or ``*``.
        resource: the resource type or class of types, or ``*``.
        text: its condition as written.
        condition: the same, parsed and checked.
        effect: what it does where it matches.
        obligations: ids of what goes with it.
        basis: the regulation or risk it serves, for people.
        file: where it stands, relative to the policy folder.
        line: 1-based.
    """

    index: int
    id: str
    role: str
    action: str
    resource: str
    text: str
    condition: Node
    effect: Effect
    obligations: tuple[str, ...]
    basis: str
    file: str
    line: int


class Verdict(NamedTuple):
    """What rules say, before it is dated: the first fields of a decision."""

    effect: Effect
    causes: tuple[Cause, ...]
    rules: tuple[str, ...] = ()
    obligations: tuple[Obligation, ...] = ()


class Offer(NamedTuple):
    """What one matching rule would answer by itself.

    Attributes:
        permits: whether it allows.
        needed: obligation types an enforcement point must support for it to allow.
        burden: how many mandatory obligations go with it.
        id: the rule's id.
        verdict: the answer.
    """

    permits: bool
    needed: frozenset[str]
    burden: int
    id: str
    verdict: Verdict


class MatchError(Exception):
    """A rule's condition could not be evaluated. ``rules`` are the indexes of those at fault, if known."""

    def __init__(self, rules: tuple[int, ...], problem: str) -> None:
        super().__init__(problem)
        self.rules = rules


class Matcher(Protocol):
    """A policy engine: which rules match? Pure; safe to call again and again on one thread."""

    def __call__(
        self, role: str, action: str, subject: View, device: View, session: View, resource: View, context: View
    ) -> Sequence[int]:
        """Give the indexes of all matching rules, ascending, permits and denies alike.

        Raises:
            MatchError: where any rule that could match cannot be evaluated; never a partial answer.
        """


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """What each role, action and resource type inherits from, itself included."""

    roles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    actions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    resources: Mapping[str, frozenset[str]] = field(default_factory=dict)


class Need(NamedTuple):
    """Stored attributes of one entity that must be usable; ``position`` is the entity's in ``Entities``."""

    entity: Entity
    names: tuple[str, ...]
    position: int


class Horizon(NamedTuple):
    """What of one entity can change a decision as time goes by.

    Attributes:
        position: the entity's in ``Entities``.
        names: attributes whose age limit ends the decision.
        points: (attribute, offset in seconds) of the moments at which a comparison with the present time changes.
    """

    position: int
    names: tuple[str, ...]
    points: tuple[tuple[str, float], ...]


# Compared by identity, so that it can be the key of a memo at no cost.
@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a decision for given roles, action and resource type must look at.

    Attributes:
        rules: every rule that could match, by its role, action and resource columns alone.
        stored_needs: attributes those rules read, by entity.
        stated_needs: attributes of the context that those rules read.
        horizons: what of each stored entity ends a decision as time goes by.
    """

    rules: tuple[Rule, ...]
    stored_needs: tuple[Need, ...]
    stated_needs: tuple[str, ...]
    horizons: tuple[Horizon, ...]


@dataclass(frozen=True, slots=True)
class PolicySnapshot:
    """One policy revision. Immutable; replaced whole.

    Attributes:
        revision: ``sha256:`` and the digest over every policy file.
        rules: all rules, by index.
        matcher: the engine, loaded with these rules.
        hierarchy: role, action and resource inheritance.
        schema: attribute declarations.
        obligations: declared obligations by id.
        routes: HTTP routes of the ext_authz interface.
        signals: whose security signals are believed, and what they change.
        limits: what is counted of decisions, and how much of it is too much.
    """

    revision: str
    rules: tuple[Rule, ...]
    matcher: Matcher
    hierarchy: Hierarchy
    schema: Schema
    obligations: Mapping[str, Obligation]
    routes: RouteTable
    signals: SignalRules = NO_SIGNALS
    limits: Limits = NO_LIMITS
    offers: tuple[Offer, ...] = field(init=False, repr=False, compare=False)
    # Memos, which go with the revision and are never another's. Each is emptied rather than left to grow.
    standings: dict[tuple[object, ...], Standing] = field(init=False, repr=False, compare=False)
    verdicts: dict[tuple[object, ...], Verdict] = field(init=False, repr=False, compare=False)
    _plans: dict[tuple[tuple[str, ...], str, str], Plan] = field(init=False, repr=False, compare=False)
    _contexts: dict[tuple[Context, int], View] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out once what each rule answers by itself, and begin with empty memos."""
        object.__setattr__(self, "offers", tuple(self._offer(rule) for rule in self.rules))
        for memo in ("standings", "verdicts", "_plans", "_contexts"):
            object.__setattr__(self, memo, {})

    def plan(self, roles: tuple[str, ...], action: str, resource_type: str) -> Plan:
        """Give the plan for roles, an action and a resource type that the schema declares."""
        key = (roles, action, resource_type)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _PLAN_LIMIT:
                self._plans.clear()
            plan = self._plans[key] = self._make_plan(roles, action, resource_type)
        return plan

    def context(self, stated: Context, second: int) -> View:
        """Make stated circumstances readable by conditions, as ``context_view`` does.

        Args:
            stated: what the enforcement point says.
            second: the present, in whole seconds since the epoch, which is all that conditions see of it.
        """
        key = (stated, second)
        view = self._contexts.get(key)
        if view is None:
            if len(self._contexts) >= _CONTEXT_LIMIT:
                self._contexts.clear()
            view = self._contexts[key] = context_view(stated, self.schema, second)
        return view

    def _offer(self, rule: Rule) -> Offer:
        owed = tuple(self.obligations[name] for name in rule.obligations)
        mandatory = [obligation.type for obligation in owed if obligation.mandatory]
        code = Reason.PERMITTED if rule.effect is ALLOW else Reason.DENIED_BY_RULE
        verdict = Verdict(rule.effect, (Cause(code, rule.id),), (rule.id,), owed)
        return Offer(rule.effect is ALLOW, frozenset(mandatory), len(mandatory), rule.id, verdict)

    def _make_plan(self, roles: tuple[str, ...], action: str, resource_type: str) -> Plan:
        # Any role is not no role: without one, not even a rule for * applies.
        held = frozenset().union(*(self.hierarchy.roles.get(role, frozenset({role})) | {WILDCARD} for role in roles))
        actions = self.hierarchy.actions.get(action, frozenset({action})) | {WILDCARD}
        resources = self.hierarchy.resources.get(resource_type, frozenset({resource_type})) | {WILDCARD}
        rules = tuple(
            rule for rule in self.rules if rule.role in held and rule.action in actions and rule.resource in resources
        )
        read = frozenset().union(*(refs(rule.condition) for rule in rules))
        names = [tuple(sorted(name for owner, name in read if owner is entity)) for entity in Entity]
        *stored, stated = [tuple(name for name in group if name not in _IDENTITY) for group in names]
        # An entity of which only the id or the type is read must be known all the same.
        needs = tuple(Need(entity, stored[at], at) for entity, at in POSITION.items() if names[at])
        points = frozenset().union(*(turning_points(rule.condition) for rule in rules))
        return Plan(rules, needs, stated, self._horizons(needs, points))

    def _horizons(self, needs: tuple[Need, ...], points: frozenset[TurningPoint]) -> tuple[Horizon, ...]:
        read = {need.position: need.names for need in needs}
        # The roles chose the plan, and the bindings let the session be used at all.
        always = {POSITION[SUBJECT]: ("roles",), POSITION[SESSION]: tuple(self.schema.bindings)}
        return tuple(
            Horizon(
                position,
                tuple(dict.fromkeys((*read.get(position, ()), *always.get(position, ())))),
                tuple(sorted((point.name, point.offset) for point in points if point.position == position)),
            )
            for position in POSITION.values()
        )
