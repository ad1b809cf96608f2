"""The service's answers put on record: implements ``pdp.ports.DecisionLog`` on the tamper-evident log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

from pdp.audit.checkpoints import Anchor
from pdp.audit.errors import AuditError, AuditUnavailable
from pdp.audit.identifiers import IdentifierPolicy, Treatment
from pdp.audit.keys import load_keys
from pdp.audit.log import DecisionLog
from pdp.audit.settings import Durability, LogSettings
from pdp.audit.sinks import FileAnchor, OtlpLogs, SinkAnchor
from pdp.core.decision import Entity
from pdp.core.errors import AuditUnavailableError, PdpError
from pdp.core.reasons import Cause, Reason
from pdp.core.schema import Schema
from pdp.ports import Answer

# Bound once: looking a member up on its class is slow before Python 3.12.
_OS: Final = Durability.OS
_REFUSALS: Final = frozenset(
    {
        Reason.ROUTE_UNKNOWN,
        Reason.PATH_AMBIGUOUS,
        Reason.IDENTITY_MISSING,
        Reason.EVIDENCE_AMBIGUOUS,
        Reason.REQUEST_INVALID,
    }
)


@dataclass(frozen=True, slots=True)
class LogState:
    """The log as metrics see it."""

    healthy: bool
    records: int
    anchor_backlog: int


class AnswerLog:
    """Puts answers on record. Closed until ``open``; whatever is appended then is refused."""

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings
        self._log: DecisionLog | None = None

    async def open(self, schema: Schema | None) -> None:
        """Recover and open the log.

        Args:
            schema: says how identifiers are to appear; without one they are pseudonyms.

        Raises:
            AuditUnavailableError: it cannot be opened, is damaged, or lacks a key.
        """
        settings = replace(self._settings, identifiers=identifiers_of(schema)) if schema else self._settings
        try:
            anchors = [anchor_of(text) for text in settings.anchors]
            self._log = await asyncio.to_thread(lambda: DecisionLog(settings, load_keys(settings.keys), anchors))
        except PdpError as error:
            raise AuditUnavailableError(f"the decision log cannot be opened: {error}") from error
        torn = self._log.torn
        self.note("start", **({"torn_tail": str(torn)} if torn else {}))

    async def close(self) -> None:
        """Sign and close the log."""
        if self._log and self._log.health().healthy:
            self.note("stop")
        log, self._log = self._log, None
        if log:
            await asyncio.to_thread(log.close)

    async def append(self, answers: Sequence[Answer]) -> None:
        """Put answers on record; see ``pdp.ports.DecisionLog``.

        Raises:
            AuditUnavailableError: at least one of them is not on record.
        """
        if self._log is None:
            raise AuditUnavailableError("the decision log is not open")
        records = [record_of(answer) for answer in answers]
        try:
            if self._settings.durability is _OS:
                self._log.append_many(records)
            else:
                await asyncio.gather(*map(self._log.append, records))
        except AuditUnavailable as error:
            raise AuditUnavailableError(error.reason) from None

    def note(self, kind: str, **facts: object) -> None:
        """Put on record what happened to the service itself: its start, stop, and each policy revision.

        Args:
            kind: such as ``start``, ``stop`` or ``reload``.
            facts: what there is to say of it; names and digests, never attribute values.

        Raises:
            AuditUnavailableError: it is not on record.
        """
        if self._log is None:
            raise AuditUnavailableError("the decision log is not open")
        try:
            self._log.append_now({"kind": kind, **facts})
        except AuditUnavailable as error:
            raise AuditUnavailableError(error.reason) from None

    def obstacle(self) -> str | None:
        """Say why nothing can be put on record, or None where it can."""
        if self._log is None:
            return "the decision log is not open"
        health = self._log.health()
        return None if health.healthy else f"{health.reason}: {health.detail}"

    def state(self) -> LogState:
        """Give the state for metrics."""
        if self._log is None:
            return LogState(healthy=False, records=0, anchor_backlog=0)
        return LogState(self._log.health().healthy, self._log.size, self._log.anchor_backlog())


def anchor_of(text: str) -> Anchor:
    """Make an anchor of its written form.

    Raises:
        AuditError: it is neither ``file:<folder>`` nor ``otlp:<URL>``.
    """
    kind, _, place = text.partition(":")
    if kind == "file" and place:
        return FileAnchor(Path(place))
    if kind == "otlp" and place:
        return SinkAnchor(OtlpLogs(place))
    raise AuditError(f"audit.anchors: {text!r} is neither file:<folder> nor otlp:<URL>")


def identifiers_of(schema: Schema) -> IdentifierPolicy:
    """Give the treatment of identifiers that a schema declares; a pseudonym where it says nothing."""
    treatment = {entity: Treatment(sensitivity.value) for entity, sensitivity in schema.identifiers.items()}
    return IdentifierPolicy(
        subject=treatment.get(Entity.SUBJECT, Treatment.PSEUDONYM),
        resource=treatment.get(Entity.RESOURCE, Treatment.PSEUDONYM),
        session=treatment.get(Entity.SESSION, Treatment.PSEUDONYM),
        device=treatment.get(Entity.DEVICE, Treatment.PSEUDONYM),
    )


def record_of(answer: Answer) -> dict[str, object]:
    """Make the record of an answer: who asked what, what was answered, and all that the answer rests on.

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
