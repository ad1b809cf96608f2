"""Takes security event tokens, however they came, and makes attribute changes of them."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from pdp.core.errors import AttributesUnavailableError
from pdp.core.signals.events import CONTROL, Event, SignalInvalidError
from pdp.core.signals.plan import plan_for
from pdp.core.signals.rules import Transmitter
from pdp.ports import WRITTEN, Outcome, PolicySource, SignalStore, Tracer
from pdp.signals.errors import SetError, SetErrorCode
from pdp.signals.http import TransmitterHttp
from pdp.signals.jwks import KeySource
from pdp.signals.settings import SecretError, SignalSettings
from pdp.signals.tokens import TokenVerifier
from pdp.signals.tracing import Times, trace_signal

_log: Final = logging.getLogger(__name__)
_LOOK: Final = 1.0


class Receipt(NamedTuple):
    """What became of a token that was accepted.

    Attributes:
        event: what it said.
        outcome: what that changed.
        note: where nothing was to be changed, why: ``control`` (of the stream itself), ``tenant`` (not ours),
            ``subject`` (nobody known to us) or ``event`` (no rule for it).
    """

    event: Event
    outcome: Outcome
    note: str


class SignalReceiver:
    """Verifies, maps and applies tokens.

    Args:
        policies: whose signals.yaml is in force.
        store: where attributes are changed.
        http: how keys are fetched.
        settings: bounds and secrets.
        tracer: told of what is done for each signal that changes something; None traces nothing.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        policies: PolicySource,
        store: SignalStore,
        http: TransmitterHttp,
        settings: SignalSettings,
        tracer: Tracer | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._policies = policies
        self._store = store
        self._settings = settings
        self._tracer = tracer
        self._clock = clock
        self._keys = KeySource(http, settings)
        self._verifier = TokenVerifier(self._keys, settings)
        self._keyless: set[str] = set()
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def counts(self) -> Mapping[tuple[str, str, str], int]:
        """Give how many tokens there were, by transmitter, event type, and outcome or error code."""
        return dict(self._counts)

    async def keep_keys(self) -> None:
        """Have the keys of whoever may send at hand, until cancelled.

        Signals are rare: without this, most would wait for their transmitter's keys, and all of its revocations
        would fail while it could not give them out.
        """
        while True:
            policy = self._policies.current()
            senders = policy.signals.transmitters.values() if policy else ()
            await asyncio.gather(*(self._keep_keys(sender) for sender in senders if self._has_secrets(sender)))
            await asyncio.sleep(_LOOK)

    async def receive(self, raw: bytes, authorization: str | None) -> Receipt:
        """Take one token.

        Args:
            raw: as it came.
            authorization: the Authorization header of the push; None for a token that was polled, whose transmitter
                was chosen by us.

        Raises:
            SetError: it is refused; nothing was written.
        """
        who = what = ""
        began = self._clock()
        try:
            policy = self._policies.current()
            if policy is None:
                raise _unavailable("no policy is in force")
            token = self._verifier.open(raw, policy.signals)
            who = token.transmitter.name
            if authorization is not None:
                self._authenticate(token.transmitter, authorization)
            event = await self._verifier.verify(token, policy.signals, began)
            verified = self._clock()
            what = event.type
            try:
                plan = plan_for(event, token.transmitter, policy.signals, policy.schema)
            except SignalInvalidError as error:
                raise SetError(SetErrorCode.INVALID_REQUEST, str(error)) from None
            try:
                applied = await self._store.apply(event, plan, policy.signals.token_age + self._settings.clock_skew)
            except AttributesUnavailableError:
                raise _unavailable("the attribute store does not answer") from None
        except SetError as error:
            self._counts[who, what, error.code] += 1
            _log.warning("signal refused: transmitter=%s event=%s %s", who or "unknown", what or "unread", error)
            raise
        self._take_note(who, event, applied.outcome, plan.note)
        if self._tracer and applied.outcome in WRITTEN:
            times = Times(began, verified, self._clock())
            trace_signal(self._tracer, who, event, plan, applied, times)
        return Receipt(event, applied.outcome, plan.note)

    async def _keep_keys(self, sender: Transmitter) -> None:
        if await self._keys.freshen(sender.jwks_uri):
            if sender.name in self._keyless:
                _log.info("the keys of %s are fetched again", sender.name)
            self._keyless.discard(sender.name)
        elif sender.name not in self._keyless:
            _log.warning("the keys of %s cannot be fetched from its jwks_uri", sender.name)
            self._keyless.add(sender.name)

    def _has_secrets(self, sender: Transmitter) -> bool:
        """Say whether a transmitter can send at all: one that is not set up yet is not bothered."""
        try:
            return all(map(self._settings.secret, filter(None, (sender.authorization, sender.secret))))
        except SecretError:
            return False

    def _authenticate(self, transmitter: Transmitter, authorization: str) -> None:
        """Check who pushes. A transmitter that is polled may not push: nothing would authenticate it."""
        failed = SetErrorCode.AUTHENTICATION_FAILED
        if transmitter.poll_uri:
            raise SetError(SetErrorCode.ACCESS_DENIED, "this transmitter is polled and may not push")
        if not transmitter.authorization:
            return
        try:
            secret = self._settings.secret(transmitter.authorization)
        except SecretError as error:
            _log.error("%s", error)
            raise SetError(failed, "the transmitter cannot be authenticated now", transient=True) from None
        if not hmac.compare_digest(authorization.encode(), secret.encode()):
            raise SetError(failed, "the Authorization header is not the one agreed on")

    def _take_note(self, who: str, event: Event, outcome: Outcome, note: str) -> None:
        self._counts[who, event.type, outcome] += 1
        if event.type in CONTROL:
            status = event.claims.get("status", "")
            _log.info("stream of %s: %s %s", who, event.type, status)
        else:
            _log.info("signal: transmitter=%s event=%s outcome=%s %s", who, event.type, outcome, note)


def _unavailable(description: str) -> SetError:
    return SetError(SetErrorCode.ACCESS_DENIED, description, transient=True)
