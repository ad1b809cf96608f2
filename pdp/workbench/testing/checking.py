"""Comparing an answer with what a test states of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pdp.core.decision import Decision
from pdp.core.reasons import Reason

# Reasons of a deny that the rules made, as against one for want of something to decide by.
_BY_RULES: Final = frozenset(
    {Reason.NO_MATCHING_PERMIT, Reason.DENIED_BY_RULE, Reason.STEP_UP_REQUIRED, Reason.OBLIGATION_UNSUPPORTED}
)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Something that was stated of an answer and is not so."""

    field: str
    expected: Any
    found: Any


def shown(decision: Decision, now: float) -> dict[str, Any]:
    """Write a decision as a test does; ``valid_for`` in seconds from ``now``."""
    step_up = decision.step_up
    return {
        "effect": decision.effect.value,
        "reasons": [str(cause) for cause in decision.causes],
        "rules": list(decision.rules),
        "obligations": [obligation.id for obligation in decision.obligations],
        "step_up": step_up and {"acr_values": list(step_up.acr_values), "max_age": step_up.max_age},
        "valid_for": decision.valid_until - now,
    }


def by_rules(decision: Decision) -> bool:
    """Whether the rules made a decision, as against one for want of something to decide by."""
    return decision.allowed or all(cause.code in _BY_RULES for cause in decision.causes)


def check(expected: Mapping[str, Any], decision: Decision, now: float) -> tuple[Mismatch, ...]:
    """Give what is not as stated.

    A deny of which no reasons are stated must be one that the rules made: that an attribute is missing or stale, or
    that nobody knows the device, does not show that the policy denies.
    """
    if decision.effect.value != expected["effect"]:
        found = ", ".join(map(str, decision.causes))
        return (Mismatch("effect", expected["effect"], f"{decision.effect.value} {found}"),)
    known = shown(decision, now)
    wrong = [Mismatch(name, value, known[name]) for name, value in expected.items() if known[name] != value]
    if "reasons" not in expected and not by_rules(decision):
        wrong.append(Mismatch("reasons", "a deny that rules made", known["reasons"]))
    return tuple(wrong)
