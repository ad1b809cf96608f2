"""Translates an explanation to the wire, and hides in it what the policy's schema wants hidden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from google.protobuf.struct_pb2 import ListValue, Value

from pdp.api.convert import EFFECTS
from pdp.core.explain import ConditionTrace, Explanation, Outcome, ReadValue, RuleTrace
from pdp.core.schema import Sensitivity
from pdp.core.schema import Value as Plain
from pdp.v1 import explanation_pb2 as wire

Pseudonym = Callable[[str], str]

_OUTCOMES: Final = {
    Outcome.TRUE: wire.OUTCOME_TRUE,
    Outcome.FALSE: wire.OUTCOME_FALSE,
    Outcome.UNKNOWN: wire.OUTCOME_UNKNOWN,
}


def rule_traces(explanation: Explanation, pseudonym: Pseudonym) -> list[wire.RuleTrace]:
    """Give the rules considered.

    Args:
        explanation: what the core found.
        pseudonym: gives the keyed pseudonym of a value's text.
    """
    return [_rule(trace, pseudonym) for trace in explanation.rules]


def _rule(trace: RuleTrace, pseudonym: Pseudonym) -> wire.RuleTrace:
    rule = trace.rule
    return wire.RuleTrace(
        rule_id=rule.id,
        effect=EFFECTS[rule.effect],
        role=rule.role,
        action=rule.action,
        resource=rule.resource,
        basis=rule.basis,
        file=rule.file,
        line=rule.line,
        outcome=_OUTCOMES[trace.outcome],
        conditions=[_condition(part, pseudonym) for part in trace.conditions],
    )


def _condition(trace: ConditionTrace, pseudonym: Pseudonym) -> wire.ConditionTrace:
    values = [_value(read, pseudonym) for read in trace.values]
    return wire.ConditionTrace(text=trace.text, outcome=_OUTCOMES[trace.outcome], values=values)


def _value(read: ReadValue, pseudonym: Pseudonym) -> wire.AttributeValue:
    if read.value is None:
        return wire.AttributeValue(path=read.path, disclosure=wire.DISCLOSURE_UNUSABLE)
    if read.sensitivity is Sensitivity.CLEAR:
        return wire.AttributeValue(path=read.path, disclosure=wire.DISCLOSURE_CLEAR, value=clear_value(read.value))
    if read.sensitivity is Sensitivity.PSEUDONYM:
        value = Value(string_value=pseudonym(str(read.value)))
        return wire.AttributeValue(path=read.path, disclosure=wire.DISCLOSURE_PSEUDONYM, value=value)
    return wire.AttributeValue(path=read.path, disclosure=wire.DISCLOSURE_OMITTED)


def clear_value(value: Plain) -> Value:
    """Give a value as a ``google.protobuf.Value``."""
    match value:
        case bool():
            return Value(bool_value=value)
        case int() | float():
            return Value(number_value=value)
        case str():
            return Value(string_value=value)
        case _:
            return Value(list_value=ListValue(values=[Value(string_value=item) for item in value]))
