"""Rules added, removed and changed, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pdp.core.policy import WILDCARD, PolicySnapshot, Rule
from pdp.workbench.diff.conditions import condition_changes


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One rule that is not as it was.

    Attributes:
        kind: ``added``, ``removed`` or ``changed``.
        rule: as it is now; as it was, where it was removed.
        words: what changed; for an added or removed rule, what it says.
    """

    kind: str
    rule: Rule
    words: tuple[str, ...]


def rule_changes(old: PolicySnapshot, new: PolicySnapshot) -> tuple[RuleChange, ...]:
    """Give every rule that changed in what it says or where; a rule that only moved down its file did not."""
    before = {rule.id: rule for rule in old.rules}
    after = {rule.id: rule for rule in new.rules}
    found = [RuleChange("removed", rule, (sentence(rule),)) for name, rule in before.items() if name not in after]
    found += [RuleChange("added", rule, (sentence(rule),)) for name, rule in after.items() if name not in before]
    for name, rule in after.items():
        if name in before and (words := tuple(_changes(before[name], rule))):
            found.append(RuleChange("changed", rule, words))
    return tuple(found)


def sentence(rule: Rule) -> str:
    """Say what a rule does."""
    verb = "allows" if rule.effect.value == "allow" else "denies"
    who = "everybody" if rule.role == WILDCARD else rule.role
    what = "any action" if rule.action == WILDCARD else rule.action
    on = "anything" if rule.resource == WILDCARD else rule.resource
    where = "" if rule.text == "True" else f" where `{rule.text}`"
    owed = f", with {', '.join(rule.obligations)}" if rule.obligations else ""
    return f"{verb} {who} {what} on {on}{where}{owed}"


def _changes(old: Rule, new: Rule) -> Iterator[str]:
    if old.effect is not new.effect:
        yield f"{old.effect.value} -> {new.effect.value}"
    for name in ("role", "action", "resource"):
        if getattr(old, name) != getattr(new, name):
            yield f"{name} {getattr(old, name)} -> {getattr(new, name)}"
    if old.text != new.text:
        yield from tuple(condition_changes(old.text, new.text)) or ("the condition is written differently",)
    yield from (f"no longer obliges {name}" for name in old.obligations if name not in new.obligations)
    yield from (f"now also obliges {name}" for name in new.obligations if name not in old.obligations)
    if old.basis != new.basis:
        yield f"basis: {old.basis!r} -> {new.basis!r}"
    if old.file != new.file:
        yield f"moved from {old.file} to {new.file}"
