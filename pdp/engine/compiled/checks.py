"""What strict mode refuses at load, beyond what cannot be compiled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from casbin.model import Model

from pdp.engine.compiled import patterns, regexes
from pdp.engine.compiled.effects import EFFECTS
from pdp.engine.compiled.errors import Finding
from pdp.engine.compiled.loading import Loaded
from pdp.engine.compiled.pacing import Checkpoint, paced
from pdp.engine.compiled.roles import DomainRoles, Roles
from pdp.engine.compiled.writing import Fields, Pattern, Slot

_LITERALS: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_REWRITTEN: Final = re.compile(r"&&|\|\||!(?!=)|\b[rp]\d*\.|#|;")
_REWRITTEN_IN_MODEL: Final = re.compile(r"&&|\|\||!(?!=)|\b[rp]\d*_|#|;")
_DENY_ONLY: Final = "!some(where (p_eft == deny))"
_TEXT: Final = frozenset({str})
_EFTS: Final = frozenset({"allow", "deny"})


def literal_problem(text: str, *, loaded: bool = False) -> str:
    """Why a condition's or (``loaded``) a model's matcher text is refused as text; empty if it is not."""
    wrong = _REWRITTEN_IN_MODEL if loaded else _REWRITTEN
    for literal in _LITERALS.findall(text):
        found = wrong.search(literal)
        if found is not None:
            return f"Casbin would rewrite {found.group()!r} inside a literal"
    outside = _LITERALS.sub("", text)
    if "#" in outside or ";" in outside or "\\" in text:
        return "a comment, semicolon or backslash in an expression"
    return ""


def shape_findings(model: Model) -> Iterator[Finding]:
    """What a model must have before anything else can be looked at."""
    for section in ("r", "p", "e", "m"):
        if section not in (model[section] or {}):
            yield Finding("model", -1, f"no definition {section}")
            return
    if model["e"]["e"].value not in EFFECTS:
        yield Finding("model", -1, "an effect that Casbin does not have")


def model_findings(model: Model) -> Iterator[Finding]:
    """The holes of a model alone."""
    if model["e"]["e"].value == _DENY_ONLY:
        yield Finding("model", -1, "the effect allows whatever no rule denies; require an allow as well")
    for key, assertion in (model["g"] or {}).items():
        if assertion.params_tokens:
            yield Finding("model", -1, f"{key} has conditional roles")
    for key, assertion in model["m"].items():
        problem = literal_problem(assertion.value, loaded=True)
        if problem:
            yield Finding("model", -1, f"matcher {key}: {problem}")
    for section in ("r", "p"):
        for key, assertion in model[section].items():
            if len(set(assertion.tokens)) != len(assertion.tokens):
                yield Finding("model", -1, f"{key} defines a token twice")


def policy_findings(loaded: Loaded, checkpoint: Checkpoint) -> Iterator[Finding]:
    """The holes of a policy's rows alone."""
    if not any(loaded.policy.values()):
        yield Finding("model", -1, "the policy is empty")
    for ptype, rows in loaded.policy.items():
        yield from _row_findings(ptype, paced(rows, checkpoint), loaded.model["p"][ptype].tokens)
    for key, rows in loaded.grouping.items():
        width = loaded.model["g"][key].value.count("_")
        for number, row in enumerate(paced(rows, checkpoint)):
            if len(row) != width or not _TEXT.issuperset(map(type, row)):
                yield Finding(key, number, f"a role link of {len(row)} fields where the model defines {width}")


def _row_findings(ptype: str, rows: Iterable[list[str]], tokens: list[str]) -> Iterator[Finding]:
    eft = tokens.index(f"{ptype}_eft") if f"{ptype}_eft" in tokens else None
    priority = tokens.index(f"{ptype}_priority") if f"{ptype}_priority" in tokens else None
    for number, row in enumerate(rows):
        if len(row) != len(tokens):
            yield Finding(ptype, number, f"{len(row)} fields where the model defines {len(tokens)}")
            continue
        if not _TEXT.issuperset(map(type, row)):
            yield Finding(ptype, number, "a field that is not text")
            continue
        if eft is not None and row[eft] not in _EFTS:
            yield Finding(ptype, number, "eft is neither allow nor deny, in lower case")
        if priority is not None and not (row[priority].isascii() and row[priority].isdigit()):
            yield Finding(ptype, number, "priority is not a whole number from 0")


def role_findings(roles: dict[str, Roles | DomainRoles], checkpoint: Checkpoint) -> Iterator[Finding]:
    """Chains of role links that Casbin would cut short."""
    for key, closure in roles.items():
        for name in closure.truncated(checkpoint):
            yield Finding(key, -1, f"a chain of more than 9 links starts at {name!r}")


def pattern_finding(slots: tuple[Slot, ...], row: Fields) -> str:
    """Why a rule's patterns are refused; empty if they are not."""
    for slot in slots:
        if isinstance(slot, Pattern):
            problem = _pattern_problem(slot, row)
            if problem:
                return problem
    return ""


def _pattern_problem(slot: Pattern, row: Fields) -> str:
    text = str(slot.source.fill(row))
    if slot.name == "globMatch":
        return "" if text.count("{") <= 1 else "globMatch with more than one brace"
    if slot.name == "keyMatch" and "*" in text[:-1]:
        return "keyMatch ignores all after the first *"
    source = patterns.regex_source(slot.name, text)
    problem = "" if source is None else regexes.problem_of(source)
    return f"{slot.name}: {problem}" if problem else ""
