"""The client for code that is not asynchronous: the same client, on an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

from pdp.client.aio import AsyncClient, Changed, Grant
from pdp.client.decision import Decision
from pdp.client.obligations import Handler
from pdp.client.question import Question
from pdp.client.settings import ClientSettings

_T = TypeVar("_T")


class Client:
    """Asks the service from any thread. ``with Client(settings) as client``. Make it after forking, not before.

    It runs an ``AsyncClient`` on a thread of its own; what is held is given without that thread's help.

    Args:
        settings: as for ``AsyncClient``.
        handlers: as for ``AsyncClient``; called on the client's thread before data is touched, and on the caller's
            where data is shown.
        on_change: as for ``AsyncClient``; called on the client's thread.
    """

    def __init__(
        self, settings: ClientSettings, handlers: Iterable[Handler] = (), on_change: Changed | None = None
    ) -> None:
        self._client = AsyncClient(settings, handlers, on_change)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pdp-client", daemon=True)

    def start(self) -> None:
        """Begin to connect; nothing is waited for."""
        self._thread.start()
        self._run(self._client.start())

    def close(self) -> None:
        """Close every connection and end the thread."""
        self._run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def watching(self, timeout: float) -> None:
        """Wait until the watch is open.

        Raises:
            TimeoutError: it is not, after so many seconds.
        """
        self._run(asyncio.wait_for(self._client.watching(), timeout))

    def check(self, question: Question) -> Decision:
        """Give the decision on a question; see ``AsyncClient.check``.

        Raises:
            UnansweredError: there is none.
        """
        decision = self._client.held(question)
        return self._run(self._client.check(question)) if decision is None else decision

    def authorize(self, question: Question) -> Grant:
        """Require an allow; see ``AsyncClient.authorize``.

        Raises:
            AccessDeniedError: it is a deny.
            ObligationFailedError: it is an allow that cannot be used.
            UnansweredError: there is no decision.
        """
        decision = self._client.held(question)
        if decision and decision.allowed and not decision.obligations:
            return self._client.grant(question, decision)
        return self._run(self._client.authorize(question))

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
