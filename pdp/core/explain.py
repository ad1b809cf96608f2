"""A decision taken apart: every rule considered, each of its conditions, and the attribute values behind them."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pdp.core.condition import Node, evaluate
from pdp.core.condition.nodes import Ref, conjuncts, walk
from pdp.core.decide import decide
from pdp.core.decision import Decision, Entity
from pdp.core.entities import Entities, context_view, resource_view, view_of
from pdp.core.policy import PolicySnapshot, Rule
from pdp.core.record import View
from pdp.core.request import Request
from pdp.core.schema import Sensitivity, Value


class Outcome(enum.StrEnum):
    """What became of a condition. ``UNKNOWN``: an attribute it reads is not usable."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ReadValue:
    """An attribute a condition reads; ``value`` is None where it is not usable."""

    path: str
    value: Value | None
    sensitivity: Sensitivity


@dataclass(frozen=True, slots=True)
class ConditionTrace:
    """One part of a rule's condition, split at the outermost ``&&``."""

    text: str
    outcome: Outcome
    values: tuple[ReadValue, ...]


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule that could have applied by its role, action and resource."""

    rule: Rule
    outcome: Outcome
    conditions: tuple[ConditionTrace, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision, and why."""

    decision: Decision
    rules: tuple[RuleTrace, ...]


def explain(request: Request, entities: Entities, policy: PolicySnapshot, now: float) -> Explanation:
    """Decide, exactly as ``decide`` does, and say how each rule that could have applied fared.

    Values are given as they are; whoever shows them redacts them by their sensitivity.
    """
    decision = decide(request, entities, policy, now)
    views = {entity: view_of(entities, entity) for entity in Entity}
    views[Entity.RESOURCE] = resource_view(entities, request.resource)
    views[Entity.CONTEXT] = context_view(request.context, policy.schema, now)
    roles = views[Entity.SUBJECT].__dict__.get("roles", ())
    if request.action not in policy.schema.actions or request.resource.type not in policy.schema.resources:
        return Explanation(decision, ())
    plan = policy.plan(roles, request.action, request.resource.type)
    tracer = _Tracer(policy, views, request.resource.type)
    return Explanation(decision, tuple(tracer.rule(rule) for rule in plan.rules))


class _Tracer:
    def __init__(self, policy: PolicySnapshot, views: dict[Entity, View], resource_type: str) -> None:
        self._policy = policy
        self._views = views
        self._resource_type = resource_type

    def rule(self, rule: Rule) -> RuleTrace:
        parts = tuple(self._condition(rule, node) for node in conjuncts(rule.condition))
        return RuleTrace(rule, self._outcome(rule.condition), parts)

    def _condition(self, rule: Rule, node: Node) -> ConditionTrace:
        read = {part.path: self._value(part) for part in walk(node) if isinstance(part, Ref)}
        return ConditionTrace(rule.text[node.start : node.end], self._outcome(node), tuple(read.values()))

    def _outcome(self, node: Node) -> Outcome:
        try:
            return Outcome.TRUE if evaluate(node, self._lookup) else Outcome.FALSE
        except AttributeError:
            return Outcome.UNKNOWN

    def _lookup(self, entity: Entity, name: str) -> object:
        return getattr(self._views[entity], name)

    def _value(self, ref: Ref) -> ReadValue:
        schema = self._policy.schema
        declared = schema.attributes_of(ref.entity, self._resource_type).get(ref.name)
        fallback = schema.identifiers.get(ref.entity, Sensitivity.OMIT) if ref.name == "id" else Sensitivity.CLEAR
        sensitivity = declared.sensitivity if declared else fallback
        return ReadValue(ref.path, self._views[ref.entity].__dict__.get(ref.name), sensitivity)
