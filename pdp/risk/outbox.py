"""Tokens on their way to receivers: pushed (RFC 8935), tried again, bounded, and never lost without a word."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Final

import httpx

from pdp.core.errors import PdpError
from pdp.core.limits import Limits, Receiver
from pdp.risk.notices import Change, Notices
from pdp.risk.settings import RiskSettings

_FIRST: Final = 20
_MEDIA_TYPE: Final = "application/secevent+jwt"
_AGAIN: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500
# Registered for SET delivery (RFC 8935, section 2.4); nothing else of an answer is repeated in our log.
_ERRORS: Final = frozenset(
    {"invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed", "access_denied"}
)
_ANSWER_LIMIT: Final = 65_536
_log: Final = logging.getLogger(__name__)


class _RefusedError(Exception):
    """The receiver will not have the token, however often it is sent."""


class _NotYetError(Exception):
    """It was not delivered, and may be yet."""


class Outbox:
    """Delivers to each receiver in order. ``close`` it on the event loop that used it.

    Args:
        notices: makes tokens; None where there is no key to sign with: then nobody is told, and that is logged.
        settings: bounds.
        secret: gives an Authorization header by name, or raises a ``PdpError``.
    """

    def __init__(self, notices: Notices | None, settings: RiskSettings, secret: Callable[[str], str]) -> None:
        self._notices = notices
        self._settings = settings
        self._secret = secret
        self._running: set[asyncio.Task[None]] = set()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._client: httpx.AsyncClient | None = None

    def counts(self) -> Mapping[tuple[str, str], int]:
        """Give the number of tokens by receiver and what became of them: delivered, refused, given_up or lost."""
        return dict(self._counts)

    def tell(self, limits: Limits, change: Change) -> None:
        """Begin to tell every receiver of a change."""
        for receiver in limits.receivers:
            if self._notices is None:
                self._note(receiver, "lost", "there is no key to sign with: set risk.signing_key")
            elif len(self._running) >= self._settings.outbox:
                self._note(receiver, "lost", "too many tokens are on their way")
            else:
                task = asyncio.create_task(self._deliver(receiver, self._notices.token(receiver, change)))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Give up what is not delivered, and close every connection."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def _deliver(self, receiver: Receiver, token: bytes) -> None:
        # One at a time and in order to each: a receiver that is down is not asked a thousand times at once.
        async with self._turns[receiver.name]:
            delay = self._settings.retry_delay / _FIRST
            for attempt in range(self._settings.attempts):
                if attempt:
                    await asyncio.sleep(delay)
                    delay = min(2 * delay, self._settings.retry_delay)
                try:
                    await self._push(receiver, token)
                except _RefusedError as error:
                    self._note(receiver, "refused", str(error))
                    return
                except (_NotYetError, PdpError) as error:
                    reason = str(error)
                else:
                    self._counts[receiver.name, "delivered"] += 1
                    return
            self._note(receiver, "given_up", reason)

    async def _push(self, receiver: Receiver, token: bytes) -> None:
        headers = {"content-type": _MEDIA_TYPE, "accept": "application/json"}
        if receiver.authorization:
            headers["authorization"] = self._secret(receiver.authorization)
        try:
            async with (
                asyncio.timeout(self._settings.request_timeout),
                self._http().stream("POST", receiver.url, content=token, headers=headers) as answer,
            ):
                if answer.is_success:
                    return
                status, code = answer.status_code, await _error_code(answer)
        except (httpx.HTTPError, TimeoutError) as error:
            raise _NotYetError(type(error).__name__) from None
        if status >= _SERVER_ERROR or status in _AGAIN:
            raise _NotYetError(f"status {status}")
        raise _RefusedError(f"status {status} {code}".rstrip())

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            context = ssl.create_default_context(cafile=self._settings.ca_file or None)
            # The environment's proxies are not ours to trust with who is suspected.
            self._client = httpx.AsyncClient(
                verify=context, timeout=self._settings.request_timeout, follow_redirects=False, trust_env=False
            )
        return self._client

    def _note(self, receiver: Receiver, outcome: str, reason: str) -> None:
        self._counts[receiver.name, outcome] += 1
        _log.error(
            "a receiver was not told of a risk level: %s",
            reason,
            extra={"event": "risk.untold", "receiver": receiver.name, "outcome": outcome},
        )


async def _error_code(answer: httpx.Response) -> str:
    """Give the registered error code in an answer; empty for anything else."""
    found = bytearray()
    async for piece in answer.aiter_bytes():
        found += piece
        if len(found) > _ANSWER_LIMIT:
            return ""
    try:
        code = json.loads(found)["err"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return code if isinstance(code, str) and code in _ERRORS else ""
