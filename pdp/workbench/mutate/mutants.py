"""Every mutant of a policy: one rule changed in one place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pdp.core.decision import Effect
from pdp.core.policy import WILDCARD, PolicySnapshot, Rule
from pdp.workbench.mutate.conditions import Mutator


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed policy.

    Attributes:
        kind: ``delete``, ``effect``, ``obligation``, ``flip``, ``boundary``, ``constant``, ``drop`` or ``join``.
        words: the change.
        rule: the rule as it is.
        changed: as it would be; None where it is deleted.
    """

    kind: str
    words: str
    rule: Rule
    changed: Rule | None


def mutants_of(policy: PolicySnapshot) -> tuple[Mutant, ...]:
    """Give every mutant, rule by rule, always in the same order."""
    return tuple(mutant for rule in policy.rules for mutant in _of_rule(policy, rule))


def _of_rule(policy: PolicySnapshot, rule: Rule) -> Iterator[Mutant]:
    yield Mutant("delete", "deleted", rule, None)
    other = Effect.DENY if rule.effect is Effect.ALLOW else Effect.ALLOW
    yield Mutant("effect", f"{rule.effect.value} -> {other.value}", rule, replace(rule, effect=other))
    for name in rule.obligations:
        kept = tuple(it for it in rule.obligations if it != name)
        yield Mutant("obligation", f"without the obligation {name}", rule, replace(rule, obligations=kept))
    types = [
        kind
        for kind in sorted(policy.schema.resources)
        if rule.resource == WILDCARD or rule.resource in policy.hierarchy.resources[kind]
    ]
    for kind, words, condition in Mutator(rule.text, policy.schema, types[0]).changes(rule.condition):
        yield Mutant(kind, words, rule, replace(rule, condition=condition))
