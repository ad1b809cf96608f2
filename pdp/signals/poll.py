"""Polls transmitters for security event tokens (RFC 8936).

Long polls, one after the other: each acknowledges what the one before it brought, and reports what was refused. What
could not be handled for want of the store or of keys is neither, so the transmitter keeps it and sends it again. A
poll that fails is repeated after a pause that grows and has chance in it.

Each transmitter is polled by one worker of all, whichever has the turn; a worker that cannot show the store in time
that it still has it stops. Should two poll for a moment all the same, nothing happens twice, for a token has its
effect once: turns spare the transmitter, they guard nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pdp.core.signals.rules import Transmitter
from pdp.ports import PolicySource, Turns
from pdp.signals.errors import SetError, TransmitterError
from pdp.signals.http import TransmitterHttp
from pdp.signals.receiver import SignalReceiver
from pdp.signals.settings import SecretError, SignalSettings
from pdp.signals.turn import Turn

_log: Final = logging.getLogger(__name__)
_FIRST: Final = 0.05
_LOOK: Final = 1.0


@dataclass(slots=True)
class _Handled:
    """What the next poll tells of the tokens of the last.

    Attributes:
        ack: ids of those accepted.
        errors: what was wrong with those refused, by id.
        held_back: whether any was neither.
    """

    ack: list[str] = field(default_factory=list)
    errors: dict[str, dict[str, str]] = field(default_factory=dict)
    held_back: bool = False


class Poller:
    """Polls every transmitter that signals.yaml has polled, and follows changes of the file."""

    def __init__(
        self,
        policies: PolicySource,
        receiver: SignalReceiver,
        http: TransmitterHttp,
        settings: SignalSettings,
        turns: Turns,
    ) -> None:
        self._policies = policies
        self._receiver = receiver
        self._http = http
        self._settings = settings
        self._turns = turns
        self._counts: Counter[tuple[str, str]] = Counter()

    def counts(self) -> Mapping[tuple[str, str], int]:
        """Give the number of polls by transmitter and outcome.

        ``done``; ``held_back`` where some of what came could not be handled yet; ``failed``.
        """
        return dict(self._counts)

    async def run(self) -> None:
        """Poll until cancelled."""
        running: dict[str, tuple[Transmitter, asyncio.Task[None]]] = {}
        try:
            while True:
                await self._follow(running)
                await asyncio.sleep(_LOOK)
        finally:
            await _end([task for _, task in running.values()])

    async def _follow(self, running: dict[str, tuple[Transmitter, asyncio.Task[None]]]) -> None:
        """Begin and end loops, so that each transmitter now configured is polled as it is now configured."""
        policy = self._policies.current()
        wanted = {it.issuer: it for it in policy.signals.transmitters.values() if it.poll_uri} if policy else {}
        gone = [issuer for issuer, (transmitter, _) in running.items() if wanted.get(issuer) != transmitter]
        await _end([running.pop(issuer)[1] for issuer in gone])
        for issuer, transmitter in wanted.items():
            if issuer not in running:
                running[issuer] = transmitter, asyncio.create_task(self._attend(transmitter))

    async def _attend(self, transmitter: Transmitter) -> None:
        """Poll whenever it is this worker's turn."""
        turn = Turn(self._turns, transmitter.issuer)
        while True:
            if await turn.taken():
                _log.info("polling %s is this worker's turn, term %d", transmitter.name, turn.term)
                polling = asyncio.create_task(self._poll(transmitter))
                try:
                    await turn.kept()
                finally:
                    await _end([polling])
                    await turn.give_back()
            await asyncio.sleep(turn.pause())

    async def _poll(self, transmitter: Transmitter) -> None:
        longest = self._settings.retry_delay
        delay = first = longest * _FIRST
        handled = _Handled()
        while True:
            try:
                handled = await self._once(transmitter, handled)
                outcome = "held_back" if handled.held_back else "done"
            except (TransmitterError, SecretError) as error:
                outcome = "failed"
                _log.warning("poll of %s failed: %s", transmitter.name, error)
            except Exception:  # noqa: BLE001 - said below
                # A fault of ours must not end the polling: signals would cease, and nobody would be told.
                outcome = "failed"
                _log.exception("poll of %s failed", transmitter.name)
            self._counts[transmitter.name, outcome] += 1
            if failed := outcome != "done":
                await asyncio.sleep(delay * (0.5 + random.random() / 2))  # noqa: S311 - spreads load, guards nothing
            delay = min(longest, 2 * delay) if failed else first

    async def _once(self, transmitter: Transmitter, before: _Handled) -> _Handled:
        """Poll once and handle what comes.

        Raises:
            TransmitterError: what ``before`` holds was not delivered.
        """
        asked = {
            "maxEvents": self._settings.poll_events,
            "returnImmediately": False,
            **({"ack": before.ack} if before.ack else {}),
            **({"setErrs": before.errors} if before.errors else {}),
        }
        secret = self._settings.secret(transmitter.secret) if transmitter.secret else ""
        answer = await self._http.call(
            "POST", transmitter.poll_uri, body=asked, authorization=secret, timeout=self._settings.poll_timeout
        )
        sets = answer.get("sets", {}) if isinstance(answer, dict) else None
        if not isinstance(sets, dict):
            raise TransmitterError("the answer to a poll has no sets")
        return await self._handle(sets)

    async def _handle(self, sets: Mapping[str, Any]) -> _Handled:
        handled = _Handled()
        for jti, token in sets.items():
            try:
                receipt = await self._receiver.receive(token.encode() if isinstance(token, str) else b"", None)
            except SetError as error:
                if error.transient:
                    handled.held_back = True
                else:
                    handled.errors[jti] = {"err": error.code, "description": error.description}
                continue
            if receipt.event.id != jti:
                _log.warning("a polled token's jti is not the one it was listed under")
            handled.ack.append(jti)
        return handled


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
