"""The calls in flight of one ASGI application: their count, their deadlines, and callers that went away.

One sweep looks at all calls every ``TICK``; a call that ends between two sweeps costs two set operations and no
timer. A server learns of a caller's disconnect only by asking: once the request body is read, ``receive`` gives
``http.disconnect`` after the caller has gone.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

TICK = 0.01
"""Seconds between sweeps: how late a deadline may be enforced."""
PROBE = 0.1
"""Seconds between two looks whether the caller is still there."""

Receive = Callable[[], Awaitable[dict[str, Any]]]


class Active:
    """A call in flight. ``expired`` and ``gone`` say why its task was cancelled, if it was."""

    __slots__ = ("deadline", "expired", "gone", "next_probe", "probe", "receive", "since", "task")

    def __init__(self, task: asyncio.Task[None], receive: Receive, since: float) -> None:
        self.task = task
        self.receive = receive
        self.since = since
        self.deadline = math.inf
        self.next_probe = math.inf
        self.probe: asyncio.Future[dict[str, Any]] | None = None
        self.expired = False
        self.gone = False

    def watch_caller(self) -> None:
        """From here on the request body is read, and ``receive`` tells only of a disconnect."""
        self.next_probe = self.since + PROBE

    def leave(self) -> None:
        """Cancel the call because its caller has gone."""
        self.gone = True
        self.task.cancel()

    def settle(self) -> None:
        """The outcome is known: from here on nothing cancels the call."""
        self.deadline = self.next_probe = math.inf
        if self.probe is not None:
            self.probe.cancel()


class Calls:
    """The calls in flight. ``draining`` refuses new ones."""

    def __init__(self) -> None:
        self._active: set[Active] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False

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

    async def drained(self) -> None:
        """Return when no call is in flight, within ``TICK``."""
        await self._idle.wait()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for call in self._active:
            if now >= call.deadline:
                call.deadline = math.inf
                call.expired = True
                call.task.cancel()
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
