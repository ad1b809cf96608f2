"""What a policy says about an action on a resource type, as formulas: for every subject, whatever roles it holds.

Roles are a list variable like any other, so a result holds for all sets of roles and not only for those tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from pdp.core.condition import Node
from pdp.core.decision import Effect
from pdp.core.policy import WILDCARD, PolicySnapshot, Rule
from pdp.core.schema import Value
from pdp.workbench.logic.formula import TRUE, Formula, Has, State
from pdp.workbench.logic.reading import PRESENT, ROLES, Path
from pdp.workbench.logic.search import Searcher
from pdp.workbench.logic.space import Space
from pdp.workbench.logic.translate import Translator, either, every


class TypeScope:
    """All rules that can apply to one resource type, over one space.

    Attributes:
        rules: those rules.
        space: tells apart whatever any of them does.
        searcher: searches the space.
    """

    def __init__(
        self,
        policy: PolicySnapshot,
        resource_type: str,
        conditions: Iterable[Node] = (),
        values: Iterable[tuple[Path, Value]] = (),
        now: int = PRESENT,
    ) -> None:
        """Abstract what the rules read.

        Args:
            policy: the rules and the schema.
            resource_type: the type.
            conditions: further conditions to be reasoned about, valid for the type.
            values: as for ``Space``.
            now: as for ``Space``.
        """
        covers = policy.hierarchy.resources[resource_type] | {WILDCARD}
        self.policy = policy
        self.resource_type = resource_type
        self.rules = tuple(rule for rule in policy.rules if rule.resource in covers)
        self.space = Space(
            policy.schema, resource_type, [*(rule.condition for rule in self.rules), *conditions], values, now
        )
        self.searcher = Searcher(self.space.floors)
        self._translator = Translator(self.space)
        self._guards: dict[str, Formula] = {WILDCARD: TRUE}
        self._scopes: dict[str, Scope] = {}

    def condition(self, node: Node) -> Formula:
        """Give the formula of a condition."""
        return self._translator.formula(node)

    def guard(self, role: str) -> Formula:
        """Give the formula that the subject holds a role, itself or by one that inherits it."""
        found = self._guards.get(role)
        if found is None:
            inherits = self.policy.hierarchy.roles
            holders = [held for held in sorted(inherits) if role in inherits[held]]
            found = self._guards[role] = self.holds_any(holders)
        return found

    def holds_any(self, roles: Iterable[str]) -> Formula:
        """Give the formula that the subject itself holds one of the roles."""
        held = self.space.variable(ROLES)
        return either(*(Has(held.slot, held.may, held.bit(role)) for role in roles))

    def applies(self, rule: Rule) -> Formula:
        """Give the formula that a rule matches, its action aside."""
        return every(self.guard(rule.role), self.condition(rule.condition))

    def scope(self, action: str) -> Scope:
        """Give what holds for an action."""
        found = self._scopes.get(action)
        if found is None:
            covers = self.policy.hierarchy.actions[action] | {WILDCARD}
            found = Scope(self, action, tuple(rule for rule in self.rules if rule.action in covers))
            self._scopes[action] = found
        return found


class Scope:
    """The rules that can apply to an action on a resource type.

    Attributes:
        types: the abstraction.
        action: the action.
        rules: the rules, permits and denies.
    """

    def __init__(self, types: TypeScope, action: str, rules: tuple[Rule, ...], role: str = "") -> None:
        """Take note of rules.

        Args:
            types: the abstraction.
            action: the action.
            rules: the rules.
            role: the one role the subject holds; empty for any roles.
        """
        self.types = types
        self.action = action
        self.rules = rules
        self._role = role
        self._by_role: dict[str, Scope] = {}

    @cached_property
    def permits(self) -> tuple[Rule, ...]:
        """Give the rules that allow."""
        return tuple(rule for rule in self.rules if rule.effect is Effect.ALLOW)

    @cached_property
    def denies(self) -> tuple[Rule, ...]:
        """Give the rules that deny."""
        return tuple(rule for rule in self.rules if rule.effect is Effect.DENY)

    def of_role(self, role: str) -> Scope:
        """Give the same for subjects that hold exactly one role."""
        found = self._by_role.get(role)
        if found is None:
            held = self.types.policy.hierarchy.roles.get(role, frozenset()) | {WILDCARD}
            rules = tuple(rule for rule in self.rules if rule.role in held)
            found = self._by_role[role] = Scope(self.types, self.action, rules, role)
        return found

    @cached_property
    def undenied(self) -> tuple[State, Sequence[Formula]] | None:
        """Give the state in which no rule denies, and what is undecided in it; None where some rule always denies."""
        state = self.types.space.initial.copy()
        applies = self.types.applies
        if self._role:
            held = self.types.space.variable(ROLES)
            state[held.slot] = state[held.may] = held.bit(self._role)
            applies = self._condition_of
        undecided = self.types.searcher.narrow(state, [applies(rule).negated() for rule in self.denies])
        return None if undecided is None else (state, undecided)

    def find_undenied(self, *formulas: Formula) -> State | None:
        """Give a state in which no rule denies and all formulas hold; None where there is none.

        Raises:
            BudgetExceededError: the search took too many steps.
        """
        if self.undenied is None:
            return None
        state, undecided = self.undenied
        return self.types.searcher.find(state, [*formulas, *undecided])

    def _condition_of(self, rule: Rule) -> Formula:
        return self.types.condition(rule.condition)
