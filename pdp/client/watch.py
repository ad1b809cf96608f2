"""Keeps a watch open: one stream after another, so that what is held stays right."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import grpc

from pdp.client.cache import DecisionCache
from pdp.client.decision import Decision
from pdp.client.errors import UnansweredError
from pdp.client.protocol import MOST_ITEMS, BrokenStreamError, WatchProtocol, unregistering
from pdp.client.question import Question
from pdp.client.settings import ClientSettings
from pdp.client.transport import SILENCE, Transport
from pdp.v1 import watch_pb2 as rpc

_log: Final = logging.getLogger(__name__)
_FIRST_DELAY: Final = 0.05


class Watch:
    """Runs a ``WatchProtocol`` over gRPC. Made and used on one event loop.

    Args:
        transport: opens streams.
        cache: what is kept right.
        make: makes the protocol, given what is to be told of answers.
        settings: how often to ping, and the like.
        clock: the cache's.
    """

    def __init__(
        self,
        transport: Transport,
        cache: DecisionCache,
        make: Callable[[Callable[[int, Decision | UnansweredError], None]], WatchProtocol],
        settings: ClientSettings,
        clock: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._cache = cache
        self._protocol = make(self._answered)
        self._settings = settings
        self._clock = clock
        self._outbox = Outbox()
        self._waiting: dict[int, asyncio.Future[Decision]] = {}
        self.ready = asyncio.Event()

    @property
    def open(self) -> bool:
        """Whether questions can be asked on it now."""
        return self._protocol.open

    async def ask(self, question: Question) -> Decision:
        """Ask, and have the answer kept right from then on.

        Raises:
            UnansweredError: the service refuses it, or there is no stream, or not for long enough.
        """
        if not self._protocol.open:
            raise UnansweredError("the watch is not open")
        watch_id, commands = self._protocol.ask(question, self._clock())
        waiting = self._waiting.get(watch_id)
        if waiting is None:
            waiting = self._waiting[watch_id] = asyncio.get_running_loop().create_future()
        self._outbox.put(commands)
        return await asyncio.shield(waiting)

    async def run(self) -> None:
        """Keep a stream open until cancelled."""
        delay = 0.0
        while True:
            began = self._clock()
            try:
                await self._stream()
            except (grpc.RpcError, BrokenStreamError, TimeoutError) as error:
                _log.info("the decision watch ended: %s", _said(error))
            finally:
                self._end()
            longest = self._settings.reconnect_delay
            steady = self._clock() - began > longest
            delay = _FIRST_DELAY if steady else min(longest, max(_FIRST_DELAY, 2 * delay))
            await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - only spreads out who comes back

    async def _stream(self) -> None:
        call, generation = self._transport.watch(), self._transport.generation
        self._outbox = Outbox()
        tasks = [asyncio.create_task(run) for run in (self._send(call), self._ping(), self._tidy())]
        try:
            await call.write(self._protocol.opening())
            while True:
                async with asyncio.timeout(max(SILENCE, 3 * self._settings.ping_interval)):
                    message = await call.read()
                if message is grpc.aio.EOF:
                    raise BrokenStreamError(str(await call.code()))
                self._outbox.put(self._protocol.receive(message, self._clock()))
                self.ready.set()
                if self._transport.generation != generation:
                    raise BrokenStreamError("the certificate files were replaced")
        finally:
            call.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, call: Any) -> None:
        with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
            while True:
                await call.write(await self._outbox.take())

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._settings.ping_interval)
            if self._protocol.open:
                self._outbox.put([self._protocol.ping(self._clock())])

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(self._settings.idle_after)
            self._outbox.put(unregistering(self._cache.idle()))

    def _answered(self, watch_id: int, outcome: Decision | UnansweredError) -> None:
        waiting = self._waiting.pop(watch_id, None)
        if waiting is None or waiting.done():
            return
        if isinstance(outcome, UnansweredError):
            waiting.set_exception(outcome)
            waiting.exception()
        else:
            waiting.set_result(outcome)

    def _end(self) -> None:
        self.ready.clear()
        self._protocol.ended()
        for watch_id in list(self._waiting):
            self._answered(watch_id, UnansweredError("the watch ended before the answer came"))


class Outbox:
    """What is to be sent, in order; registrations that wait in a row become one message."""

    def __init__(self) -> None:
        self._commands: deque[rpc.WatchDecisionsRequest] = deque()
        self._some = asyncio.Event()

    def put(self, commands: Iterable[rpc.WatchDecisionsRequest]) -> None:
        """Send these next."""
        self._commands.extend(commands)
        if self._commands:
            self._some.set()

    async def take(self) -> rpc.WatchDecisionsRequest:
        """Wait for the next message to send."""
        await self._some.wait()
        command = self._commands.popleft()
        while command.HasField("register") and self._commands and self._fits(command):
            command.register.items.extend(self._commands.popleft().register.items)
        if not self._commands:
            self._some.clear()
        return command

    def _fits(self, command: rpc.WatchDecisionsRequest) -> bool:
        following = self._commands[0]
        together = len(command.register.items) + len(following.register.items)
        return following.HasField("register") and together <= MOST_ITEMS


def _said(error: Exception) -> str:
    return error.code().name if isinstance(error, grpc.aio.AioRpcError) else str(error) or type(error).__name__
