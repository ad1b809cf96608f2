"""Searching everything the schema permits for questions that two revisions answer differently.

For each role by itself, each action and each type of record for which the rules differ, a search over the schema's
finite abstraction finds a question that is newly allowed, or newly denied, or shows that there is none. What it finds
is then asked of both revisions, so every example is one that they really answer so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from pdp.core.condition.nodes import refs
from pdp.core.decide import judge
from pdp.core.decision import ALLOW, Effect, Entity
from pdp.core.policy import WILDCARD, PolicySnapshot, Rule
from pdp.core.schema import Attribute, Kind, Schema, Value
from pdp.workbench.impact.changes import Change, Example, Group, Tally, answer_words, difference, obligation_words
from pdp.workbench.logic.formula import Formula, State
from pdp.workbench.logic.reading import ROLES
from pdp.workbench.logic.scope import TypeScope
from pdp.workbench.logic.search import BudgetExceededError
from pdp.workbench.logic.translate import either, every
from pdp.workbench.logic.witness import Witness, make_witness


@dataclass(slots=True)
class Grid:
    """What a search found.

    Attributes:
        tally: the differences, each counted once for its role, action and type of record.
        undecided: where the search was given up, so that nothing is known.
        incomparable: types of record whose conditions cannot be read under one schema.
    """

    tally: Tally = field(default_factory=Tally)
    undecided: list[Group] = field(default_factory=list)
    incomparable: list[str] = field(default_factory=list)


def grid(old: PolicySnapshot, new: PolicySnapshot, on_progress: Callable[[int, int], None] | None = None) -> Grid:
    """Search for differences; ``on_progress`` is told how many types of record are done, of how many."""
    found = Grid()
    kinds = sorted(old.schema.resources.keys() & new.schema.resources.keys())
    for done, kind in enumerate(kinds, 1):
        try:
            _TypeSearch(old, new, kind, found).run()
        except (KeyError, TypeError):
            # A condition of one revision reads what the other's schema declares as something else.
            found.incomparable.append(kind)
        if on_progress:
            on_progress(done, len(kinds))
    return found


class _TypeSearch:
    def __init__(self, old: PolicySnapshot, new: PolicySnapshot, kind: str, found: Grid) -> None:
        self._policies = (old, new)
        self._kind = kind
        self._found = found
        covers = old.hierarchy.resources[kind] | {WILDCARD}
        before = [rule.condition for rule in old.rules if rule.resource in covers]
        self._types = TypeScope(replace(new, schema=_merged(old.schema, new.schema)), kind, before)
        self._every = frozenset(it.type for policy in (old, new) for it in policy.obligations.values())

    def run(self) -> None:
        """Search every role and action."""
        old, new = self._policies
        roles = sorted(new.schema.attributes_of(Entity.SUBJECT)["roles"].values)
        for action in sorted(old.schema.actions & new.schema.actions):
            for role in roles:
                before, after = (_rules(policy, role, action, self._kind) for policy in self._policies)
                if _said(before, old) != _said(after, new):
                    self._search(role, action, before, after)

    def _search(self, role: str, action: str, before: Sequence[Rule], after: Sequence[Rule]) -> None:
        self._found.tally.asked += 1
        searches = (
            (Change.ALLOWED, [self._otherwise(before, after)]),
            (Change.DENIED, [self._otherwise(after, before)]),
            (Change.OBLIGATIONS, list(self._both(before, after))),
        )
        for change, attempts in searches:
            group = Group(change, role, self._kind, action)
            for formulas in attempts:
                if self._attempt(group, formulas):
                    break

    def _attempt(self, group: Group, formulas: list[Formula]) -> bool:
        types = self._types
        state = types.space.initial.copy()
        held = types.space.variable(ROLES)
        state[held.slot] = state[held.may] = held.bit(group.roles)
        try:
            found = types.searcher.find(state, formulas)
        except BudgetExceededError:
            self._found.undecided.append(group)
            return True
        return found is not None and self._confirmed(group, found)

    def _confirmed(self, group: Group, state: State) -> bool:
        witness = make_witness(self._types.space, state, group.action, self._every)
        before, after = (judge(witness.request, witness.entities, it, float(witness.now)) for it in self._policies)
        if difference(before, after) is not group.change:
            return False
        asked = self._words(witness, group, frozenset(before.rules + after.rules))
        example = Example(asked, answer_words(before), answer_words(after))
        self._found.tally.add(group, example)
        return True

    def _otherwise(self, denying: Sequence[Rule], allowing: Sequence[Rule]) -> list[Formula]:
        """Give formulas of what some rules allow and others do not."""
        allowed = self._allowed(allowing)
        texts = {rule.text for rule in allowing if rule.effect is not ALLOW}
        # A deny that both have does not hold where the others allow.
        denied = [
            self._types.condition(it.condition) for it in denying if it.effect is not ALLOW and it.text not in texts
        ]
        unpermitted = every(*(self._types.condition(it.condition).negated() for it in denying if it.effect is ALLOW))
        return [*allowed, either(*denied, unpermitted)]

    def _both(self, before: Sequence[Rule], after: Sequence[Rule]) -> Iterator[list[Formula]]:
        """Give formulas of what both allow, and a permit that only one of them has applies to."""
        both = [*self._allowed(before), *self._allowed(after)]
        said = [
            _said([rule], policy)
            for rules, policy in zip((before, after), self._policies, strict=True)
            for rule in rules
        ]
        for rule, words in zip((*before, *after), said, strict=True):
            if rule.effect is ALLOW and said.count(words) == 1:
                yield [*both, self._types.condition(rule.condition)]

    def _allowed(self, rules: Sequence[Rule]) -> list[Formula]:
        denies = [self._types.condition(it.condition).negated() for it in rules if it.effect is not ALLOW]
        return [*denies, either(*(self._types.condition(it.condition) for it in rules if it.effect is ALLOW))]

    def _words(self, witness: Witness, group: Group, determining: frozenset[str]) -> str:
        """Name the values that the rules which differ read; those that determined an answer, if any did."""
        sides = [
            {_said([rule], policy): rule for rule in _rules(policy, group.roles, group.action, self._kind)}
            for policy in self._policies
        ]
        differing = [side[key] for side, other in (sides, sides[::-1]) for key in side if key not in other]
        telling = [rule for rule in differing if rule.id in determining] or differing
        read = frozenset().union(*(refs(rule.condition) for rule in telling))
        declared = self._types.space.declarations.attribute
        values = [
            f"{path[0]}.{path[1]}={_shown(value, declared(path), witness.now)}"
            for path, value in sorted(witness.values.items())
            if path in read
        ]
        return f"{group.roles} {group.action} {group.resource}: {', '.join(values) or 'whatever else'}"


def _rules(policy: PolicySnapshot, role: str, action: str, kind: str) -> tuple[Rule, ...]:
    return policy.plan((role,), action, kind).rules


def _said(rules: Sequence[Rule], policy: PolicySnapshot) -> frozenset[tuple[str, Effect, frozenset[str]]]:
    """Give what rules say of requests that they apply to, so that rules which say the same compare equal."""
    owed = [frozenset(obligation_words(policy.obligations[name]) for name in rule.obligations) for rule in rules]
    return frozenset((rule.text, rule.effect, words) for rule, words in zip(rules, owed, strict=True))


def _shown(value: Value, attribute: Attribute, now: int) -> str:
    if attribute.kind is Kind.TIME:
        return f"{int(value) - now:+d}s" if isinstance(value, int) and value else "0"
    return f"[{', '.join(value)}]" if isinstance(value, tuple) else str(value)


def _merged(old: Schema, new: Schema) -> Schema:
    """Give a schema by which the conditions of both revisions can be read; of two declarations, the new one."""
    entities = {it: {**old.entities.get(it, {}), **new.entities.get(it, {})} for it in {*old.entities, *new.entities}}
    kinds = {*old.resources, *new.resources}
    resources = {kind: {**old.resources.get(kind, {}), **new.resources.get(kind, {})} for kind in kinds}
    return replace(new, entities=entities, resources=resources)
