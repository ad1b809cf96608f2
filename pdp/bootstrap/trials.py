"""The candidate of the state folder put on trial beside the policy in force."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from dataclasses import asdict, replace
from typing import Any, Final

from pdp.audit.answers import AnswerLog
from pdp.core.errors import AuditUnavailableError, PolicyInvalidError
from pdp.core.policy import PolicySnapshot
from pdp.policy import EngineFactory, StateFolder, assemble
from pdp.policy.bundle import Trust, verify
from pdp.policy.origins import Contents
from pdp.policy.problems import Problems
from pdp.policy.trial import Counts, Difference, Trial
from pdp.service import PolicyDecisionPoint

_LOG: Final = logging.getLogger(__name__)


class Trials:
    """Begins and ends trials as the state folder says, and puts on record where the revisions differ."""

    def __init__(
        self, state: StateFolder, trust: Trust, engine: EngineFactory, point: PolicyDecisionPoint, log: AnswerLog
    ) -> None:
        self._state = state
        self._trust = trust
        self._engine = engine
        self._point = point
        self._log = log
        self._trial: Trial | None = None
        self._digest = ""
        self._problem = ""
        self._apart: tuple[str, ...] = ()
        self._turn = asyncio.Lock()

    @property
    def counts(self) -> Counts:
        """What the present trial came to; nothing where there is none."""
        return self._trial.counts if self._trial else Counts()

    def report(self) -> dict[str, Any]:
        """Give how the trial stands, for the status of the worker."""
        if self._trial:
            apart = {"apart": list(self._apart)} if self._apart else {}
            return {"candidate": self._trial.candidate.revision, **asdict(self._trial.counts), **apart}
        return {"problem": self._problem} if self._problem else {}

    async def follow(self, live: PolicySnapshot | None) -> None:
        """Begin, go on with or end a trial; call it whenever the state folder or the policy in force has changed."""
        async with self._turn:
            archive = await asyncio.to_thread(self._state.candidate)
            digest = hashlib.sha256(archive).hexdigest() if archive else ""
            if archive is None or live is None:
                self._end()
            elif digest != self._digest:
                self._end()
                await self._begin(archive)
            self._digest = digest
            if self._trial and live:
                self._compare_schemas(self._trial, live)

    async def _begin(self, archive: bytes) -> None:
        self._problem = ""
        try:
            candidate = await asyncio.to_thread(self._build, archive)
        except PolicyInvalidError as error:
            self._problem = str(error)
            _LOG.warning("the candidate is refused: %s", error, extra={"event": "trial.refused"})
            return
        except Exception:  # noqa: BLE001 - said below; it must not end the watching
            self._problem = "could not be loaded, by a fault of the service"
            _LOG.exception("the candidate could not be loaded", extra={"event": "trial.refused"})
            return
        self._trial = self._point.trial = Trial(candidate, self._note)
        self._record("trial_start", candidate=candidate.revision)

    def _compare_schemas(self, trial: Trial, live: PolicySnapshot) -> None:
        """Say once which attributes the candidate declares otherwise, so that not all can be compared."""
        if trial.candidate.schema == live.schema is not trial.candidate.schema:
            # The trial decides by records that were read under the live schema, which must be that very object.
            trial.candidate = replace(trial.candidate, schema=live.schema)
        ground = trial.ground(live)
        apart = ground.apart if ground else ()
        if apart and apart != self._apart:
            _LOG.warning(
                "the candidate declares %s otherwise: requests for which its rules read that are not compared",
                ", ".join(apart),
                extra={"event": "trial.apart"},
            )
        self._apart = apart

    def _build(self, archive: bytes) -> PolicySnapshot:
        contents = Contents.of(verify(archive, self._trust), archive)
        return assemble(contents.policy, self._engine, Problems())

    def _end(self) -> None:
        trial, self._trial, self._point.trial = self._trial, None, None
        if trial:
            self._record("trial_end", candidate=trial.candidate.revision, **asdict(trial.counts))

    def _note(self, found: Difference) -> None:
        """Put on record how the candidate would have answered; identifiers appear as those of any record do."""
        answer, request = found.answer, found.answer.request
        if request is None:
            return
        rules = list(found.decision.rules)
        _LOG.info(
            "the candidate decides %s otherwise: %s, by %s",
            answer.id, found.change.value, ", ".join(rules) or "no rule",
            extra={"event": "trial.difference"},
        )  # fmt: skip
        self._record(
            "trial_difference",
            change=found.change.value,
            decision_id=answer.id,
            subject=str(request.subject),
            action=request.action,
            resource={"type": request.resource.type, "id": request.resource.id},
            outcome=answer.decision.effect.value,
            candidate_outcome=found.decision.effect.value,
            candidate_reasons=[str(cause) for cause in found.decision.causes],
            candidate_rules=rules,
            candidate_obligations=[it.id for it in found.decision.obligations],
            candidate=found.decision.revision,
            revision=answer.decision.revision,
        )

    def _record(self, kind: str, **facts: object) -> None:
        # A trial must not stand in the way of deciding; the log's own state is watched elsewhere.
        with contextlib.suppress(AuditUnavailableError):
            self._log.note(kind, **facts)
