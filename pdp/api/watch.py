"""pdp.v1.DecisionWatchService over bytes: commands in, events out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from google.rpc.status_pb2 import Status

from pdp.api.convert import ENTITIES, decision_bytes, to_request
from pdp.api.decisions import caller_of, parse
from pdp.api.errors import invalid, status_bytes, to_rpc_error
from pdp.api.pieces import tag, with_length
from pdp.server.rpc import Call, Streaming
from pdp.v1 import watch_pb2 as rpc
from pdp.watching import (
    Cursor,
    Event,
    Opened,
    Pong,
    Rejected,
    Resync,
    Told,
    WatchClosedError,
    WatchHub,
    WatchSession,
    Why,
)

SERVICE: Final = rpc.DESCRIPTOR.services_by_name["DecisionWatchService"].full_name
_ITEMS: Final = 1000
_CAUSES: Final = {
    Why.REGISTERED: rpc.WATCH_CAUSE_REGISTERED,
    Why.ATTRIBUTES: rpc.WATCH_CAUSE_ATTRIBUTES,
    Why.POLICY: rpc.WATCH_CAUSE_POLICY,
    Why.TIME: rpc.WATCH_CAUSE_TIME,
    Why.STORE: rpc.WATCH_CAUSE_STORE,
}
_EVENT_DECISION: Final = tag(rpc.WatchDecisionsResponse, "decision")
_WATCHED_DECISION: Final = tag(rpc.WatchedDecision, "decision")


class WatchService:
    """Answers streams of commands with streams of events."""

    def __init__(self, hub: WatchHub) -> None:
        self._hub = hub

    def methods(self) -> dict[str, Streaming]:
        """Give the handler by full method name. It raises ``RpcError`` and, cancellation apart, nothing else."""
        return {f"/{SERVICE}/WatchDecisions": Streaming(self._watch)}

    async def _watch(self, messages: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
        try:
            async with contextlib.aclosing(self._events(messages, call)) as events:
                async for event in events:
                    yield event_bytes(event)
        except Exception as error:  # noqa: BLE001 - the map has an answer to every error
            raise to_rpc_error(error) from None

    async def _events(self, messages: AsyncIterator[bytes], call: Call) -> AsyncGenerator[Event]:
        opening = await anext(messages, None)
        if opening is None:
            return
        cursor = _cursor(parse(rpc.WatchDecisionsRequest, opening))
        session, resumed = self._hub.open(caller_of(call, "watch_decisions"), cursor)
        turn = session.turn + 1
        reader = asyncio.create_task(_obey(messages, session))

        def read_to_its_end(task: asyncio.Task[None]) -> None:
            # A caller with nothing more to say is done, unless another stream goes on with the session already.
            if not task.cancelled() and session.turn == turn:
                self._hub.end(session)

        reader.add_done_callback(read_to_its_end)
        try:
            after = cursor.sequence if cursor and resumed else None
            async with contextlib.aclosing(session.events(after)) as events:
                async for event in events:
                    yield event
        finally:
            reader.cancel()
            await asyncio.wait([reader])
        if reader.cancelled():
            raise WatchClosedError("the stream was ended by the service, or another one goes on with it")
        reader.result()


async def _obey(messages: AsyncIterator[bytes], session: WatchSession) -> None:
    async for message in messages:
        command = parse(rpc.WatchDecisionsRequest, message)
        match command.WhichOneof("command"):
            case "register":
                for item in _items(command.register):
                    session.register(item.watch_id, to_request(item.request))
            case "unregister":
                for watch_id in command.unregister.watch_ids:
                    session.unregister(watch_id)
            case "ping":
                session.ping(command.ping.nonce)
            case _:
                raise invalid("command", "is missing, or open is not the first")


def _items(register: rpc.WatchRegister) -> list[rpc.WatchedRequest]:
    items = list(register.items)
    if not 0 < len(items) <= _ITEMS:
        raise invalid("register.items", f"has {len(items)} entries; 1 to {_ITEMS} are allowed")
    if not all(item.watch_id for item in items):
        raise invalid("register.items.watch_id", "is missing")
    return items


def _cursor(command: rpc.WatchDecisionsRequest) -> Cursor | None:
    if command.WhichOneof("command") != "open":
        raise invalid("open", "must come first")
    opening = command.open
    return Cursor(opening.epoch, opening.sequence) if opening.epoch else None


def event_bytes(event: Event) -> bytes:
    """Serialise an event as a ``WatchDecisionsResponse``."""
    if isinstance(event, Told):
        return _told(event)
    message = rpc.WatchDecisionsResponse(sequence=event.sequence)
    match event:
        case Opened():
            message.opened.epoch, message.opened.resumed = event.epoch, event.resumed
        case Resync():
            message.resync.reason = rpc.WATCH_RESYNC_REASON_OVERLOAD
        case Pong():
            message.pong.nonce = event.nonce
            if event.age is not None:
                message.pong.age.FromNanoseconds(round(event.age * 1e9))
        case Rejected():
            message.decision.watch_id = event.watch_id
            message.decision.cause = rpc.WATCH_CAUSE_REGISTERED
            message.decision.error.CopyFrom(Status.FromString(status_bytes(to_rpc_error(event.error))))
    return message.SerializeToString()


def _told(event: Told) -> bytes:
    why, entity = event.cause
    watched = rpc.WatchedDecision(watch_id=event.watch_id, cause=_CAUSES[why])
    if entity:
        watched.entity = ENTITIES[entity]
    body = watched.SerializeToString() + _WATCHED_DECISION + with_length(decision_bytes(event.answer))
    own = rpc.WatchDecisionsResponse(sequence=event.sequence).SerializeToString()
    return own + _EVENT_DECISION + with_length(body)
