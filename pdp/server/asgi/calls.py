"""The calls in flight of one ASGI application: their count, their deadlines, and callers that went away.

One sweep looks at all calls every ``TICK``; a call that ends between two sweeps costs two set operations and no
timer. A server learns of a caller's disconnect only by asking: once the request body is read, ``receive`` gives
``http.disconnect`` after the caller has gone.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pdp.server import guard

if TYPE_CHECKING:
    from pdp.server.rpc import RpcError

TICK = 0.01
"""Seconds between sweeps: how late a deadline may be enforced."""
PROBE = 0.1
"""Seconds between two looks whether the caller is still there."""

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Active:
    """A call in flight.

    ``verdict`` or ``gone`` say why its task was cancelled, if we did: the status to answer, or that there is no
    one left to answer. ``late`` is the verdict when the deadline passes.
    """

    __slots__ = ("deadline", "gone", "late", "next_probe", "probe", "receive", "since", "task", "verdict")

    def __init__(self, task: asyncio.Task[None], receive: Receive, since: float) -> None:
        self.task = task
        self.receive = receive
        self.since = since
        self.deadline = math.inf
        self.next_probe = math.inf
        self.probe: asyncio.Future[dict[str, Any]] | None = None
        self.late = guard.DEADLINE_EXCEEDED
        self.verdict: RpcError | None = None
        self.gone = False

    def watch_caller(self) -> None:
        """From here on the request body is read, and ``receive`` tells only of a disconnect."""
        self.next_probe = self.since + PROBE

    def leave(self) -> None:
        """Cancel the call because its caller has gone."""
        self.gone = True
        self.task.cancel()

    def end(self, verdict: RpcError) -> None:
        """Cancel the call; its answer is ``verdict``."""
        self.deadline = math.inf
        self.verdict = verdict
        self.task.cancel()

    def settle(self) -> None:
        """The outcome is known: from here on nothing cancels the call."""
        self.deadline = self.next_probe = math.inf
        if self.probe is not None:
            self.probe.cancel()


class Calls:
    """The calls in flight."""

    def __init__(self) -> None:
        self._active: set[Active] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._active)

    def enter(self, receive: Receive) -> Active:
        """The current task becomes a call in flight; the sweep runs while there is one."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - a running loop's coroutine is in a task
        call = Active(task, receive, loop.time())
        self._active.add(call)
        if self._timer is None:
            self._idle.clear()
            self._timer = loop.call_later(TICK, self._sweep)
        return call

    def leave(self, call: Active) -> None:
        """Remove a call that is over."""
        self._active.discard(call)

    async def finish(self, patience: float) -> None:
        """Return when no call is in flight.

        Calls get half of ``patience`` seconds to end by themselves; then they are ended with UNAVAILABLE, which
        tells a stream's caller to open a new one elsewhere.
        """
        for _ in range(2):
            try:
                async with asyncio.timeout(patience / 2):
                    await self._idle.wait()
            except TimeoutError:
                for call in self._active:
                    call.end(guard.DRAINING)
            else:
                return

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for call in self._active:
            if now >= call.deadline:
                call.end(call.late)
            elif now >= call.next_probe:
                call.next_probe = now + PROBE
                self._probe(call)
        if self._active:
            self._timer = loop.call_later(TICK, self._sweep)
        else:
            self._timer = None
            self._idle.set()

    def _probe(self, call: Active) -> None:
        if call.probe is None or call.probe.done():
            call.probe = asyncio.ensure_future(call.receive())
            call.probe.add_done_callback(lambda probe: _look(call, probe))


def _look(call: Active, probe: asyncio.Future[dict[str, Any]]) -> None:
    if probe.cancelled() or call.next_probe == math.inf:
        return
    if probe.exception() is not None or probe.result()["type"] == "http.disconnect":
        call.leave()
