"""An answer of the service as a record: who asked what, what was answered, and all that the answer rests on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from pdp.core.reasons import Cause, Reason
from pdp.ports import Answer

Record = Mapping[str, object]

_REFUSALS: Final = frozenset(
    {
        Reason.ROUTE_UNKNOWN,
        Reason.PATH_AMBIGUOUS,
        Reason.IDENTITY_MISSING,
        Reason.EVIDENCE_AMBIGUOUS,
        Reason.REQUEST_INVALID,
    }
)


def record_of(answer: Answer) -> dict[str, object]:
    """Make the record of an answer.

    Identifiers are as they came; the log treats them as its policy says. Attribute values are never in it.
    """
    decision, request = answer.decision, answer.request
    subject = action = resource = purpose = session = device = None
    if request is not None:
        who, action, what, context, session, device = request
        subject, resource = f"{who.type}:{who.id}", {"type": what.type, "id": what.id}
        purpose, session, device = context.purpose or None, session or None, device or None
    record: dict[str, object] = {
        "kind": "refusal" if decision.causes[0].code in _REFUSALS else "decision",
        "decision_id": answer.id,
        "caller": answer.caller.id or None,
        "subject": subject,
        "action": action,
        "resource": resource,
        "purpose": purpose,
        "session": session,
        "device": device,
        # Not `value`: until Python 3.12 that is a function call, and this is done for every decision.
        "outcome": decision.effect._value_,
        "reasons": [*_reasons(decision.causes)],
        "rules": decision.rules,
        "obligations": [obligation.id for obligation in decision.obligations],
        "revision": decision.revision,
        "attribute_versions": {use.entity._value_: use.version for use in decision.attributes},
        "trace_id": answer.trace_id,
    }
    if request is not None and request.context.emergency:
        record["emergency_reason"] = request.context.emergency_reason
    return record


# A policy has few ways to say why.
@lru_cache(maxsize=4096)
def _reasons(causes: tuple[Cause, ...]) -> tuple[str, ...]:
    return tuple(map(str, causes))
