"""Channels to the service, and one question asked at most twice."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from typing import Any, Final

import grpc
import grpc.aio

from pdp.client.certificates import Certificates
from pdp.client.decision import Decision, read_decision
from pdp.client.errors import UnansweredError
from pdp.client.question import Question
from pdp.client.settings import ClientSettings
from pdp.v1 import policy_decision_pb2 as pb
from pdp.v1 import watch_pb2

_log: Final = logging.getLogger(__name__)
_EVALUATE: Final = "/pdp.v1.PolicyDecisionService/Evaluate"
_WATCH: Final = "/pdp.v1.DecisionWatchService/WatchDecisions"
_BURST: Final = 10.0
_IN_FLIGHT: Final = 64
_CERTIFICATE_CHECK: Final = 1.0
# Without a message for so long, in seconds, a watch is given up; or for three pings, where that is longer.
SILENCE: Final = 3.0
# Nothing else may be asked twice: the service has answered, and would answer the same again.
_WORTH_ASKING_AGAIN: Final = (grpc.StatusCode.UNAVAILABLE,)


class Transport:
    """Channels to every target. Made and used on one event loop.

    Attributes:
        generation: rises whenever the certificate files were replaced: calls begun from then on use the new ones.

    Raises:
        OSError: a certificate file cannot be read or used.
    """

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._certificates = Certificates(settings.tls) if settings.tls else None
        self.generation = 0
        self._replaced: list[grpc.aio.Channel] = []
        self._connect()
        self._turn = itertools.count()
        # When a watch ends, whoever was served by it comes at once: the service is not to be flooded.
        self._room = asyncio.Semaphore(_IN_FLIGHT)
        self._hedges = _BURST

    async def close(self) -> None:
        """Close every channel; what is under way ends."""
        await asyncio.gather(*(channel.close() for channel in (*self._channels, *self._replaced)))

    async def follow_certificates(self) -> None:
        """Take up replaced certificate files until cancelled; what is under way ends as it began."""
        while self._certificates:
            await asyncio.sleep(_CERTIFICATE_CHECK)
            if self._certificates.changed():
                outdated = self._channels
                self._replaced += outdated
                self._connect()
                self.generation += 1
                _log.info("new connections use the certificate files that were replaced")
                await asyncio.sleep(max(self._settings.timeout, SILENCE, 3 * self._settings.ping_interval))
                await asyncio.gather(*(channel.close() for channel in outdated))
                self._replaced.clear()

    def _connect(self) -> None:
        credentials = self._certificates.credentials() if self._certificates else None
        name = self._settings.tls.server_name if self._settings.tls else ""
        self._channels = [_channel(target, credentials, name) for target in self._settings.targets]
        self._evaluate = [
            channel.unary_unary(
                _EVALUATE,
                request_serializer=pb.EvaluateRequest.SerializeToString,
                response_deserializer=pb.EvaluateResponse.FromString,
            )
            for channel in self._channels
        ]

    def watch(self) -> Any:
        """Open a stream, to the next target each time."""
        channel = self._channels[next(self._turn) % len(self._channels)]
        return channel.stream_stream(
            _WATCH,
            request_serializer=watch_pb2.WatchDecisionsRequest.SerializeToString,
            response_deserializer=watch_pb2.WatchDecisionsResponse.FromString,
        )()

    async def evaluate(self, question: Question) -> Decision:
        """Ask, and ask once more where there is no answer for a while or the service is not available.

        Raises:
            UnansweredError: there is no decision in time, or the service refuses the question.
        """
        message = question.message()
        try:
            async with asyncio.timeout(self._settings.timeout), self._room:
                return await self._hedged(message)
        except TimeoutError:
            raise UnansweredError("the policy decision service did not answer in time") from None
        except grpc.RpcError as error:
            raise UnansweredError(f"the policy decision service: {_said(error)}") from error

    async def _hedged(self, message: pb.EvaluateRequest) -> Decision:
        self._hedges = min(_BURST, self._hedges + self._settings.hedge_share)
        first = next(self._turn)
        attempts = {asyncio.create_task(self._attempt(first, message))}
        try:
            await asyncio.wait(attempts, timeout=self._settings.hedge_after)
            if _is_open(attempts) and self._may_hedge():
                attempts.add(asyncio.create_task(self._attempt(first + 1, message)))
            return await _first(attempts)
        finally:
            for attempt in attempts:
                attempt.cancel()

    def _may_hedge(self) -> bool:
        if self._hedges < 1:
            return False
        self._hedges -= 1
        return True

    async def _attempt(self, turn: int, message: pb.EvaluateRequest) -> Decision:
        call = self._evaluate[turn % len(self._evaluate)]
        response = await call(message, timeout=self._settings.timeout)
        return read_decision(response.decision)


def _is_open(attempts: set[asyncio.Task[Decision]]) -> bool:
    """Say whether a first attempt is slow, or failed in a way that another may not."""
    (attempt,) = attempts
    if not attempt.done():
        return True
    error = attempt.exception()
    return isinstance(error, grpc.RpcError) and error.code() in _WORTH_ASKING_AGAIN


async def _first(attempts: set[asyncio.Task[Decision]]) -> Decision:
    """Give the first answer; where there is none, raise the last error."""
    pending = attempts
    while True:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for attempt in done:
            if attempt.exception() is None:
                return attempt.result()
        if not pending:
            return next(iter(done)).result()


def _said(error: grpc.RpcError) -> str:
    return f"{error.code().name}: {error.details()}"


def _channel(target: str, credentials: grpc.ChannelCredentials | None, server_name: str) -> grpc.aio.Channel:
    options: Sequence[tuple[str, Any]] = [
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # Each target is a connection of its own, so that a second attempt does not wait behind the first.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    if server_name:
        options = [*options, ("grpc.ssl_target_name_override", server_name)]
    return grpc.aio.secure_channel(target, credentials, options=options)
