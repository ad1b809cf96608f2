"""The watch as an enforcement point speaks it. Pure: messages in, messages out; nothing is sent or awaited here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from pdp.client.cache import DecisionCache, Held
from pdp.client.decision import Decision, read_decision
from pdp.client.errors import UnansweredError
from pdp.client.question import Question
from pdp.core.errors import PdpError
from pdp.v1 import watch_pb2 as rpc

MOST_ITEMS: Final = 1000
Answered = Callable[[int, Decision | UnansweredError], None]


class BrokenStreamError(PdpError):
    """The stream is not to be believed any more: open another one with its cursor."""


class WatchProtocol:
    """Keeps a ``DecisionCache`` right by what the service tells, one stream after another.

    Args:
        cache: what is kept.
        supported: types of obligation that are carried out.
        vet: makes a deny of an allow that cannot be used.
        answered: told what became of a question that was asked, by its name on the watch.
        changed: told of every decision that the service took back or changed.
    """

    def __init__(
        self,
        cache: DecisionCache,
        supported: tuple[str, ...],
        vet: Callable[[Decision], Decision],
        answered: Answered,
        changed: Callable[[Question, Decision], None] | None = None,
    ) -> None:
        self._cache = cache
        self._supported = supported
        self._vet = vet
        self._answered = answered
        self._changed = changed
        self._epoch = ""
        self._sequence = 0
        self._open = False
        self._nonce = 0
        self._pings: dict[int, float] = {}

    @property
    def open(self) -> bool:
        """Whether the service has accepted the stream."""
        return self._open

    def opening(self) -> rpc.WatchDecisionsRequest:
        """Begin a stream; its first message."""
        self._open = False
        self._pings.clear()
        return rpc.WatchDecisionsRequest(open=rpc.WatchOpen(epoch=self._epoch, sequence=self._sequence))

    def ended(self) -> None:
        """Take note that the stream ended. What is held is relied on for as long as the last pong vouches."""
        self._open = False

    def ask(self, question: Question, now: float) -> tuple[int, list[rpc.WatchDecisionsRequest]]:
        """Ask a question; give its name on the watch and what is to be sent."""
        held, send, given_up = self._cache.ask(question, now)
        return held.watch_id, [*unregistering(given_up), *(self._registering([held]) if send else [])]

    def ping(self, now: float) -> rpc.WatchDecisionsRequest:
        """Ask how old the knowledge is."""
        self._nonce += 1
        self._pings[self._nonce] = now
        return rpc.WatchDecisionsRequest(ping=rpc.WatchPing(nonce=self._nonce))

    def receive(self, message: rpc.WatchDecisionsResponse, now: float) -> list[rpc.WatchDecisionsRequest]:
        """Take in a message, and give what is to be sent in return.

        Raises:
            BrokenStreamError: a message is missing, or has no meaning; it was not taken in.
        """
        kind = message.WhichOneof("event")
        if (kind == "opened") == self._open or (self._open and message.sequence != self._sequence + 1):
            raise BrokenStreamError("a message is missing or out of place")
        self._sequence = message.sequence
        match kind:
            case "opened":
                return self._begin(message.opened, now)
            case "decision":
                return self._take(message.decision)
            case "pong":
                self._vouch(message.pong)
            case "resync":
                self._cache.forget_all()
            case _:
                raise BrokenStreamError("a message of an unknown kind")
        return []

    def _begin(self, opened: rpc.WatchOpened, now: float) -> list[rpc.WatchDecisionsRequest]:
        self._open = True
        if not (opened.resumed and opened.epoch == self._epoch):
            self._cache.forget_all()
        self._epoch = opened.epoch
        again, void = self._cache.ask_again(now)
        return [*unregistering(void), *self._registering(again), self.ping(now)]

    def _take(self, watched: rpc.WatchedDecision) -> list[rpc.WatchDecisionsRequest]:
        watch_id = watched.watch_id
        if watched.WhichOneof("result") != "decision":
            self._cache.drop(watch_id)
            self._answered(watch_id, UnansweredError(f"the service refused the question: {watched.error.message}"))
            return []
        decision = self._vet(read_decision(watched.decision))
        if watched.cause == rpc.WATCH_CAUSE_REGISTERED:
            held = self._cache.answered(watch_id, decision)
            self._answered(watch_id, decision)
        else:
            held = self._cache.changed(watch_id, decision)
            if held and self._changed:
                self._changed(held.question, decision)
        return [] if held else unregistering([watch_id])

    def _vouch(self, pong: rpc.WatchPong) -> None:
        sent_at = self._pings.pop(pong.nonce, None)
        if sent_at is not None and pong.HasField("age"):
            self._cache.pong(sent_at, max(0.0, pong.age.seconds + pong.age.nanos / 1e9))

    def _registering(self, held: list[Held]) -> list[rpc.WatchDecisionsRequest]:
        commands = []
        for at in range(0, len(held), MOST_ITEMS):
            items = [
                rpc.WatchedRequest(watch_id=it.watch_id, request=it.question.supporting(self._supported).message())
                for it in held[at : at + MOST_ITEMS]
            ]
            commands.append(rpc.WatchDecisionsRequest(register=rpc.WatchRegister(items=items)))
        return commands


def unregistering(watch_ids: Iterable[int]) -> list[rpc.WatchDecisionsRequest]:
    """Give up some questions."""
    names = list(watch_ids)
    return [rpc.WatchDecisionsRequest(unregister=rpc.WatchUnregister(watch_ids=names))] if names else []
