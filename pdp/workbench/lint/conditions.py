"""Findings in conditions taken by themselves: what can never match, what is always so, what absence turns."""

from __future__ import annotations

from collections.abc import Iterator

from pdp.core.condition import Node, Ref
from pdp.core.condition.nodes import Compare, Literal, Not, Or, conjuncts, walk
from pdp.core.decision import Effect
from pdp.core.policy import Rule
from pdp.core.schema import Attribute
from pdp.workbench.lint.findings import (
    CONSTANT_PART,
    NEGATED_OPTIONAL,
    NEVER_MATCHES,
    REDUNDANT_COMPARISON,
    REDUNDANT_PART,
    Edit,
    Finding,
    found,
)
from pdp.workbench.lint.subject import Subject
from pdp.workbench.logic.formula import Formula
from pdp.workbench.logic.scope import TypeScope


def check_conditions(subject: Subject) -> Iterator[Finding]:
    """Look at each rule's condition."""
    for rule in subject.policy.rules:
        scopes = subject.scopes_of(rule)
        if not any(_satisfiable(scope, [rule.condition]) for scope in scopes):
            yield _never(subject, rule, scopes)
            continue
        yield from _constant_parts(subject, rule, scopes)
        yield from _redundant_parts(subject, rule, scopes)
        yield from _negations(subject, rule, scopes)
        yield from _comparisons(subject, rule)


def _satisfiable(scope: TypeScope, nodes: list[Node]) -> bool:
    return _possible(scope, [scope.condition(node) for node in nodes])


def _possible(scope: TypeScope, formulas: list[Formula]) -> bool:
    return scope.searcher.find(scope.space.initial, formulas) is not None


def _never(subject: Subject, rule: Rule, scopes: tuple[TypeScope, ...]) -> Finding:
    parts = list(conjuncts(rule.condition))
    for part in list(parts):
        others = [it for it in parts if it is not part]
        if others and not any(_satisfiable(scope, others) for scope in scopes):
            parts = others
    texts = [rule.text[part.start : part.end] for part in parts]
    problem = "never true: " + (texts[0] if len(texts) == 1 else " and ".join(texts) + " exclude each other")
    span = subject.files.part(rule, parts[-1])
    return found(NEVER_MATCHES, span, problem, "correct the condition, or delete the rule")


def _constant_parts(subject: Subject, rule: Rule, scopes: tuple[TypeScope, ...]) -> Iterator[Finding]:
    for node in walk(rule.condition):
        if not isinstance(node, Compare) or isinstance(node.left, Literal) is isinstance(node.right, Literal):
            continue
        outcomes = {scope.condition(node).value(scope.space.initial) for scope in scopes}
        if len(outcomes) == 1 and (outcome := outcomes.pop()) is not None:
            word = "always" if outcome else "never"
            problem = f"{rule.text[node.start : node.end]} is {word} true, whatever the schema permits"
            yield found(
                CONSTANT_PART, subject.files.part(rule, node), problem, "correct the constant, or delete the part"
            )


def _redundant_parts(subject: Subject, rule: Rule, scopes: tuple[TypeScope, ...]) -> Iterator[Finding]:
    parts = conjuncts(rule.condition)
    if len(parts) == 1 or not _share(scopes[0], parts):
        return
    for part in parts:
        others = [it for it in parts if it is not part]
        constant = all(scope.condition(part).value(scope.space.initial) is not None for scope in scopes)
        if not constant and not any(
            _possible(scope, [*map(scope.condition, others), scope.condition(part).negated()]) for scope in scopes
        ):
            problem = f"{rule.text[part.start : part.end]} follows from the other parts of the condition"
            yield found(REDUNDANT_PART, subject.files.part(rule, part), problem, "delete the part")
            return


def _share(scope: TypeScope, parts: tuple[Node, ...]) -> bool:
    """Say whether any two parts read the same: otherwise none follows from the others."""
    seen: set[int] = set()
    for part in parts:
        slots = scope.condition(part).slots
        if not seen.isdisjoint(slots):
            return True
        seen |= slots
    return False


def _negations(subject: Subject, rule: Rule, scopes: tuple[TypeScope, ...]) -> Iterator[Finding]:
    for part in _negated_parts(rule.condition):
        for attribute, ref in _optional(part, scopes[0]):
            if any(_absence_favours(scope, rule, part, ref, attribute) for scope in scopes):
                problem = (
                    f"{rule.text[part.start : part.end]} holds where {ref.path} is absent"
                    if rule.effect is Effect.ALLOW
                    else f"{rule.text[part.start : part.end]} does not hold where {ref.path} is absent"
                )
                help_ = (
                    f"absent counts as {attribute.default!r}: make {ref.path} required, change its default, "
                    "or name the values that are meant"
                )
                yield found(NEGATED_OPTIONAL, subject.files.part(rule, part), problem, help_)
                break


def _negated_parts(node: Node) -> Iterator[Node]:
    """Give the outermost negations: ``!`` before anything, and ``!=``."""
    if isinstance(node, Not) or (isinstance(node, Compare) and node.operator == "!="):
        yield node
    elif isinstance(node, Or) or len(conjuncts(node)) > 1:
        for part in node.operands if isinstance(node, Or) else conjuncts(node):
            yield from _negated_parts(part)


def _optional(part: Node, scope: TypeScope) -> list[tuple[Attribute, Ref]]:
    refs = {(node.entity, node.name): node for node in walk(part) if isinstance(node, Ref)}
    declared = [(scope.space.variable(path).attribute, ref) for path, ref in refs.items()]
    return [(attribute, ref) for attribute, ref in declared if not attribute.required]


def _absence_favours(scope: TypeScope, rule: Rule, part: Node, ref: Ref, attribute: Attribute) -> bool:
    """Say whether the default by itself settles the negated test, towards access."""
    variable = scope.space.variable((ref.entity, ref.name))
    state = scope.space.initial.copy()
    default = attribute.default
    if isinstance(default, tuple):
        mask = sum(map(variable.bit, default))
        state[variable.slot], state[variable.may] = mask, mask
    elif default is not None and (bit := variable.bit(default)):
        state[variable.slot] = bit
    return scope.condition(part).value(state) is (rule.effect is Effect.ALLOW)


def _comparisons(subject: Subject, rule: Rule) -> Iterator[Finding]:
    for node in walk(rule.condition):
        if not isinstance(node, Compare) or node.operator not in ("==", "!="):
            continue
        for side, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(side, Literal) and isinstance(side.value, bool) and isinstance(other, Ref):
                wanted = side.value is (node.operator == "==")
                text = f"r.{other.path}" if wanted else f"!r.{other.path}"
                span = subject.files.part(rule, node)
                problem = f"{rule.text[node.start : node.end]} says the same as {text}"
                yield found(REDUNDANT_COMPARISON, span, problem, f"write {text}", (Edit(span, text),))
