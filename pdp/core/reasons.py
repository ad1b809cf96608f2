"""Reason codes: why a decision fell as it did, for machines and for a person to act on."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple


class Reason(enum.StrEnum):
    """Every code a decision can carry. docs/reasons.md tells an operator what to do about each."""

    # As quick as a text's: an enumeration's own is a function in Python, called for every decision.
    __hash__ = str.__hash__

    PERMITTED = "PERMITTED"
    NO_MATCHING_PERMIT = "NO_MATCHING_PERMIT"
    DENIED_BY_RULE = "DENIED_BY_RULE"
    STEP_UP_REQUIRED = "STEP_UP_REQUIRED"
    OBLIGATION_UNSUPPORTED = "OBLIGATION_UNSUPPORTED"
    SUBJECT_UNKNOWN = "SUBJECT_UNKNOWN"
    DEVICE_UNKNOWN = "DEVICE_UNKNOWN"
    SESSION_UNKNOWN = "SESSION_UNKNOWN"
    RESOURCE_UNKNOWN = "RESOURCE_UNKNOWN"
    TYPE_UNKNOWN = "TYPE_UNKNOWN"
    ACTION_UNKNOWN = "ACTION_UNKNOWN"
    SESSION_MISMATCH = "SESSION_MISMATCH"
    ATTRIBUTE_MISSING = "ATTRIBUTE_MISSING"
    ATTRIBUTE_INVALID = "ATTRIBUTE_INVALID"
    ATTRIBUTE_STALE = "ATTRIBUTE_STALE"
    ATTRIBUTE_FROM_FUTURE = "ATTRIBUTE_FROM_FUTURE"
    ROUTE_UNKNOWN = "ROUTE_UNKNOWN"
    PATH_AMBIGUOUS = "PATH_AMBIGUOUS"
    IDENTITY_MISSING = "IDENTITY_MISSING"
    EVIDENCE_AMBIGUOUS = "EVIDENCE_AMBIGUOUS"
    REQUEST_INVALID = "REQUEST_INVALID"
    CONDITION_ERROR = "CONDITION_ERROR"
    ATTRIBUTES_UNAVAILABLE = "ATTRIBUTES_UNAVAILABLE"
    POLICY_UNAVAILABLE = "POLICY_UNAVAILABLE"
    AUDIT_UNAVAILABLE = "AUDIT_UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"


# A fault is a deny for want of the means to decide. A PEP may treat it as an error; nobody may treat it as an allow.
FAULTS: Final = frozenset(
    {
        Reason.CONDITION_ERROR,
        Reason.ATTRIBUTES_UNAVAILABLE,
        Reason.POLICY_UNAVAILABLE,
        Reason.AUDIT_UNAVAILABLE,
        Reason.DEADLINE_EXCEEDED,
    }
)


class Cause(NamedTuple):
    """A reason and what it is about: a rule id, or an attribute path such as ``device.compliant``; never a value."""

    code: Reason
    about: str = ""

    def __str__(self) -> str:
        """Give ``CODE(about)``, or ``CODE`` alone."""
        return f"{self.code}({self.about})" if self.about else str(self.code)
