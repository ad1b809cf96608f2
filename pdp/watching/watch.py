"""One watched request: what its answer rests on, and when it is to be looked at again. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from pdp.core.decision import SESSION, SUBJECT, Decision, Effect, Entity, Obligation, StepUp
from pdp.core.entities import Entities, refs, view_of
from pdp.core.policy import PolicySnapshot
from pdp.core.reasons import Reason
from pdp.core.request import Request
from pdp.core.validity import next_change

_NEVER: Final = float("inf")
_LONGEST_RETRY: Final = 60.0
_EVERYTHING: Final = frozenset(Entity)
_UNKNOWN: Final = {
    Reason.SUBJECT_UNKNOWN: Entity.SUBJECT,
    Reason.DEVICE_UNKNOWN: Entity.DEVICE,
    Reason.SESSION_UNKNOWN: Entity.SESSION,
    Reason.RESOURCE_UNKNOWN: Entity.RESOURCE,
}
Target = tuple[str, str, str]


class Enforced(NamedTuple):
    """What of a decision an enforcement point acts on."""

    effect: Effect
    obligations: tuple[Obligation, ...]
    step_up: StepUp | None
    valid_until: float

    def replaces(self, told: Enforced) -> bool:
        """Say whether a caller who was told another must be told this: it differs, or ends sooner."""
        return self[:3] != told[:3] or self.valid_until < told.valid_until


class Watch:
    """A request that is watched.

    Attributes:
        id: the caller's name for it.
        request: the request.
        targets: the records it names, as the attribute store names them, by entity.
        reads: the entities whose change can change its answer, as far as is known.
        told: what its caller was told last; None at first.
        asked: whether the caller is to be told the next answer, whatever it is.
        sequence: the number of the event that told it.
        revision: the policy revision of its last decision.
        due: when time may change its answer, in seconds since the epoch.
        patience: seconds until it is tried again, where it failed for want of means.
    """

    __slots__ = ("asked", "due", "id", "patience", "reads", "request", "revision", "sequence", "targets", "told")

    def __init__(self, watch_id: int, request: Request) -> None:
        self.id = watch_id
        self.request = request
        self.targets: dict[Entity, Target] = {
            entity: (entity.value, ref.type, ref.id) for entity, ref in refs(request)
        }
        self.reads = _EVERYTHING
        self.told: Enforced | None = None
        self.asked = False
        self.sequence = 0
        self.revision = ""
        self.due = _NEVER
        self.patience = 0.0

    def deciding(self) -> None:
        """Take note that it is being decided: until that is done, any change may matter."""
        self.reads = _EVERYTHING

    def decided(self, decision: Decision, *, asked: bool) -> bool:
        """Take note of a decision, and say whether the caller must be told it."""
        self.reads = reads(decision)
        self.revision = decision.revision
        enforced = Enforced(decision.effect, decision.obligations, decision.step_up, decision.valid_until)
        if not asked and self.told is not None and not enforced.replaces(self.told):
            return False
        self.told = enforced
        return True

    def schedule(self, decision: Decision, turn: float, now: float, retry: float) -> bool:
        """Work out when time may change the answer; say whether that is another time than before.

        Args:
            decision: the answer.
            turn: the first time at which time alone may change it.
            now: seconds since the epoch.
            retry: seconds until the first new try, where the answer may be different without any change: after a
                fault, or while something is on the verge of changing. Doubled with every try, up to a minute.
        """
        before = self.due
        verge = any(cause.code is Reason.ATTRIBUTE_FROM_FUTURE for cause in decision.causes) or turn <= now
        if decision.valid_until > now:
            self.patience, self.due = 0.0, max(turn, decision.valid_until)
        elif decision.fault or verge:
            self.patience = min(max(retry, 2 * self.patience), _LONGEST_RETRY)
            self.due = now + self.patience
        else:
            self.patience, self.due = 0.0, _NEVER
        return self.due not in (before, _NEVER)


def reads(decision: Decision) -> frozenset[Entity]:
    """Give the entities whose change can change a decision.

    Those whose records it used, one that it found unknown, and the subject and session, which choose the rules and
    must belong together. Where it does not say, all of them.
    """
    if decision.fault or not decision.attributes:
        return _EVERYTHING
    used = {use.entity for use in decision.attributes}
    unknown = {_UNKNOWN[cause.code] for cause in decision.causes if cause.code in _UNKNOWN}
    return frozenset({SUBJECT, SESSION} | used | unknown)


def turning_time(request: Request, entities: Entities | None, policy: PolicySnapshot | None, now: float) -> float:
    """Give the first time at which time alone may change the answer; infinite where it never does.

    Where the records are not at hand, that is now: it is not known better.
    """
    if entities is None or policy is None:
        return now
    roles = view_of(entities, SUBJECT).__dict__.get("roles")
    if not isinstance(roles, tuple):
        return _NEVER
    return next_change(entities, policy.plan(roles, request.action, request.resource.type), now)
