"""What is answered, as an enforcement point uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from pdp.v1 import decision_pb2 as wire


class Reason(NamedTuple):
    """Why: a code, and what it is about; never a value."""

    code: str
    about: str = ""

    def __str__(self) -> str:
        """Give ``CODE(about)``, or ``CODE`` alone."""
        return f"{self.code}({self.about})" if self.about else self.code


class Obligation(NamedTuple):
    """What is to be done along with a decision; if not mandatory, it is advice."""

    id: str
    type: str
    mandatory: bool
    properties: Mapping[str, str]


class StepUp(NamedTuple):
    """What authentication would suffice (RFC 9470): any of the levels, at most so many seconds old."""

    acr_values: tuple[str, ...]
    max_age: int | None


class Decision(NamedTuple):
    """A decision of the service. Nothing but ``allowed`` being true lets anything through.

    Attributes:
        allowed: whether the action may go ahead, once every mandatory obligation is carried out.
        id: names it in the audit trail.
        reasons: why.
        obligations: what goes with it.
        revision: the policy revision it was made by.
        trace_id: the trace it belongs to.
        decided_at: when, in seconds since the epoch, by the service's clock.
        valid_until: until when it may be relied on, by the same clock.
        step_up: set on a deny that other authentication would lift.
    """

    allowed: bool
    id: str
    reasons: tuple[Reason, ...]
    obligations: tuple[Obligation, ...] = ()
    revision: str = ""
    trace_id: str = ""
    decided_at: float = 0.0
    valid_until: float = 0.0
    step_up: StepUp | None = None

    @property
    def lifetime(self) -> float:
        """For how many seconds after it was made it may be relied on; both times are of one clock."""
        return self.valid_until - self.decided_at

    def __str__(self) -> str:
        """Give the effect and the reasons."""
        return f"{'allow' if self.allowed else 'deny'}: {', '.join(map(str, self.reasons))}"


def read_decision(message: wire.Decision) -> Decision:
    """Carry a decision over from the wire. Any effect but an allow is a deny."""
    step_up = None
    if message.HasField("step_up"):
        asked = message.step_up
        step_up = StepUp(tuple(asked.acr_values), asked.max_age.seconds if asked.HasField("max_age") else None)
    return Decision(
        message.effect == wire.EFFECT_ALLOW,
        message.decision_id,
        tuple(Reason(it.code, it.about) for it in message.reasons),
        tuple(Obligation(it.id, it.type, it.mandatory, dict(it.properties)) for it in message.obligations),
        message.policy_revision,
        message.trace_id,
        _seconds(message.decided_at),
        _seconds(message.valid_until),
        step_up,
    )


def _seconds(timestamp: Timestamp) -> float:
    return timestamp.seconds + timestamp.nanos / 1e9
