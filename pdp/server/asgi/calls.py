"""The calls in flight of one ASGI application: their count, their deadlines, and callers that went away.

One sweep looks at all calls every ``TICK``; a call that ends between two sweeps costs two set operations and no
timer. A server learns of a caller's disconnect only by asking: once the request body is read, ``receive`` gives
``http.disconnect`` after the caller has gone.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from pdp.server import guard
from pdp.server.asgi.events import Event, Receive, Send, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pdp.server.rpc import RpcError

TICK = 0.01
"""Seconds between sweeps: how late a deadline may be enforced."""
PROBE = 0.1
"""Seconds between two looks whether the caller is still there."""


class Answered(Exception):  # noqa: N818 - not an error
    """There is no one left to answer: the caller has gone, or was answered while its body was read."""


class Active:
    """A call in flight.

    Until ``body_read`` the call's task waits on a future of the server's, which must not be cancelled: the server
    completes it in any case. So ``end`` then answers in the task's stead, and the task learns of it by a
    disconnect. After ``body_read`` it cancels the task, and ``verdict`` or ``gone`` say why.

    Attributes:
        since: when the call came, in seconds of the event loop's clock.
        deadline: when it ends at the latest.
        late: the verdict when the deadline passes.
        verdict: the status to answer, when we ended the call.
        gone: whether the caller has gone.
        refuse: how to answer with a status.
    """

    # Defaults of the class: most calls end without setting them, and one is made for every call.
    deadline = math.inf
    next_probe = math.inf
    probe: asyncio.Future[Event] | None = None
    reading = True
    late = guard.DEADLINE_EXCEEDED
    verdict: RpcError | None = None
    gone = False
    refuse: Callable[[Send, RpcError], Coroutine[None, None, None]] = staticmethod(refuse)

    def __init__(self, task: asyncio.Task[None], receive: Receive, send: Send, since: float) -> None:
        self.task = task
        self.receive = receive
        self.send = send
        self.since = since

    @property
    def over(self) -> bool:
        """Whether the outcome is known: nothing ends the call any more."""
        return self.deadline == math.inf

    def body_read(self) -> None:
        """The body was read by the call's own task.

        Raises:
            Answered: the call was ended meanwhile.
        """
        if self.verdict is not None:
            raise Answered
        self.reading = False
        self.watch_caller()

    def watch_caller(self) -> None:
        """From here on ``receive`` tells only of a disconnect, and is asked for it now and then."""
        if not self.over:
            self.next_probe = self.since + PROBE

    def leave(self) -> None:
        """Cancel the call because its caller has gone. Not before the body is read."""
        if not self.over:
            self.gone = True
            self.task.cancel()

    def end(self, verdict: RpcError) -> None:
        """End the call; its answer is ``verdict``."""
        self.deadline = math.inf
        self.verdict = verdict
        if self.reading:
            self.task.get_loop().create_task(self.refuse(self.send, verdict))
        else:
            self.task.cancel()

    def settle(self) -> None:
        """The outcome is known: from here on nothing ends the call."""
        self.deadline = self.next_probe = math.inf


class Calls:
    """The calls in flight."""

    def __init__(self) -> None:
        self._active: set[Active] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._active)

    def enter(self, receive: Receive, send: Send) -> Active:
        """The current task becomes a call in flight; the sweep runs while there is one."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - a running loop's coroutine is in a task
        call = Active(task, receive, send, loop.time())
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
                    if not call.over:
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


def _look(call: Active, probe: asyncio.Future[Event]) -> None:
    if call.over:
        return
    if probe.exception() is not None or probe.result()["type"] == "http.disconnect":
        call.leave()
