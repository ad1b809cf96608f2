"""The service's answers put on record: implements ``pdp.ports.DecisionLog`` on the tamper-evident log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pdp.audit.checkpoints import Anchor
from pdp.audit.errors import AuditError, AuditUnavailable
from pdp.audit.identifiers import IdentifierPolicy, Treatment
from pdp.audit.keys import load_keys
from pdp.audit.log import DecisionLog
from pdp.audit.settings import LogSettings
from pdp.audit.sinks import FileAnchor, OtlpLogs, SinkAnchor
from pdp.core.decision import Entity
from pdp.core.errors import AuditUnavailableError, PdpError
from pdp.core.schema import Schema
from pdp.ports import Answer


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
        try:
            await self._log.append(*answers)
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
