"""The asynchronous client."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pdp.client.cache import DecisionCache
from pdp.client.decision import Decision
from pdp.client.errors import AccessDeniedError, UnansweredError
from pdp.client.obligations import Handler, Handlers
from pdp.client.protocol import WatchProtocol
from pdp.client.question import Question
from pdp.client.settings import ClientSettings
from pdp.client.transport import Transport
from pdp.client.watch import Watch

_T = TypeVar("_T")
# A clock that goes on while the machine sleeps: a decision taken back meanwhile must not be relied on afterwards.
_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", None)
Changed = Callable[[Question, Decision], None]


def span_clock() -> Callable[[], float]:
    """Give a clock for spans of time: it never steps, and counts sleep where the system can."""
    return time.monotonic if _BOOT_CLOCK is None else functools.partial(time.clock_gettime, _BOOT_CLOCK)


class Grant:
    """An allow, with all that comes before the data done.

    Attributes:
        decision: the decision.
    """

    def __init__(self, question: Question, decision: Decision, handlers: Handlers) -> None:
        self._question = question
        self._handlers = handlers
        self.decision = decision

    def show(self, data: _T) -> _T:
        """Give data as the decision lets it be shown.

        Raises:
            ObligationFailedError: it may not be shown at all.
        """
        return self._handlers.transform(self._question, self.decision, data)


class AsyncClient:
    """Asks the service, and holds its answers while they are right. ``async with AsyncClient(settings) as client``.

    Args:
        settings: where the service is, and the bounds.
        handlers: carry out obligations; the service is told their types, and allows nothing that needs another.
        on_change: told of every held decision that was taken back or changed. Must not wait, must not raise.
    """

    def __init__(
        self, settings: ClientSettings, handlers: Iterable[Handler] = (), on_change: Changed | None = None
    ) -> None:
        self._settings = settings
        self._handlers = Handlers(handlers)
        self._clock = span_clock()
        self._cache = DecisionCache(settings.staleness, settings.max_lifetime, settings.max_entries)
        self._on_change = on_change
        self._transport: Transport | None = None
        self._watch: Watch | None = None
        self._running: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to connect, on the event loop that the client is used on; nothing is waited for.

        Raises:
            OSError: a certificate file cannot be read or used.
        """
        self._transport = Transport(self._settings)
        self._running = [asyncio.create_task(self._transport.follow_certificates())]
        if self._settings.staleness:
            self._watch = Watch(self._transport, self._cache, self._protocol, self._settings, self._clock)
            self._running.append(asyncio.create_task(self._watch.run()))

    async def close(self) -> None:
        """Close every connection. Nothing held is relied on any more."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._cache.forget_all()
        if self._transport:
            await self._transport.close()
        self._transport = self._watch = None
        self._running = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def watching(self) -> None:
        """Wait until the watch is open, from when on answers are held; for ever, where the service has none."""
        if self._watch:
            await self._watch.ready.wait()

    def held(self, question: Question) -> Decision | None:
        """Give the decision if it is held and may be relied on; never waits. May be called on any thread."""
        return self._cache.get(question, self._clock())

    async def check(self, question: Question) -> Decision:
        """Give the decision on a question, held or made now.

        Raises:
            UnansweredError: there is none. Nothing is allowed then.
        """
        decision = self._cache.get(question, self._clock())
        return await self._ask(question) if decision is None else decision

    async def authorize(self, question: Question) -> Grant:
        """Require an allow, and carry out what it obliges to before the data is touched.

        Raises:
            AccessDeniedError: it is a deny.
            ObligationFailedError: it is an allow that cannot be used.
            UnansweredError: there is no decision.
        """
        decision = await self.check(question)
        if decision.obligations:
            await self._handlers.before(question, decision)
        return self.grant(question, decision)

    def grant(self, question: Question, decision: Decision) -> Grant:
        """Give what an allow grants, for whoever has carried out what comes before the data.

        Raises:
            AccessDeniedError: it is a deny.
        """
        if not decision.allowed:
            raise AccessDeniedError(decision)
        return Grant(question, decision, self._handlers)

    async def _ask(self, question: Question) -> Decision:
        if self._transport is None:
            raise UnansweredError("the client is not started")
        if self._watch and self._watch.open:
            try:
                async with asyncio.timeout(max(self._settings.hedge_after, self._settings.timeout / 2)):
                    return await self._watch.ask(question)
            except (UnansweredError, TimeoutError):
                pass  # A stream that ended or is held up is no reason to leave the question unanswered.
        supporting = question.supporting(self._handlers.supported)
        return self._handlers.vet(await self._transport.evaluate(supporting))

    def _protocol(self, answered: Any) -> WatchProtocol:
        return WatchProtocol(self._cache, self._handlers.supported, self._handlers.vet, answered, self._on_change)
