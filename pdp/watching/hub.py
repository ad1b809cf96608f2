"""All who watch decisions in this process, and an index by what each watched decision rests on.

A change costs work for the decisions that read what changed, and for no others: by entity through the index, by
policy revision through the revision of each decision's last making, by time through each session's own timers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pdp.core.decision import Entity
from pdp.core.errors import PdpError
from pdp.ports import AttributeSource, Caller, ChangeFeed, PolicySource, Tracer
from pdp.service import Clocks, PolicyDecisionPoint
from pdp.watching.events import Cause, Cursor, Why
from pdp.watching.session import WatchSession
from pdp.watching.settings import WatchSettings
from pdp.watching.watch import Target, Watch

_STORE = Cause(Why.STORE)
_POLICY = Cause(Why.POLICY)
_ATTRIBUTES = {entity.value: Cause(Why.ATTRIBUTES, entity) for entity in Entity}


class WatchClosedError(PdpError):
    """No stream can be opened here now; another process may have room."""


@dataclass(frozen=True, slots=True)
class WatchStats:
    """What is watched, for metrics.

    Attributes:
        sessions: streams open or kept.
        watches: requests watched on them.
        decisions: decisions made for them so far.
    """

    sessions: int
    watches: int
    decisions: int


class WatchHub:
    """Implements ``pdp.ports.ChangeListener``. Used on one event loop.

    Attributes:
        decisions: how many were made for watches so far.
    """

    def __init__(
        self,
        point: PolicyDecisionPoint,
        policies: PolicySource,
        attributes: AttributeSource,
        feed: ChangeFeed,
        clocks: Clocks,
        settings: WatchSettings,
        tracer: Tracer | None = None,
    ) -> None:
        self.point = point
        self.policies = policies
        self.attributes = attributes
        self.feed = feed
        self.clocks = clocks
        self.settings = settings
        self.tracer = tracer
        self.decisions = 0
        self._sessions: dict[str, WatchSession] = {}
        self._index: dict[Target, dict[Watch, WatchSession]] = {}
        self._total = 0
        self._draining = False
        feed.follow(self)

    def open(self, caller: Caller, cursor: Cursor | None) -> tuple[WatchSession, bool]:
        """Give a session to go on with, or a new one; and whether it goes on.

        Raises:
            WatchClosedError: the service stops, or there are as many sessions as the settings allow.
        """
        if self._draining:
            raise WatchClosedError("the service is shutting down")
        known = self._sessions.get(cursor.epoch) if cursor else None
        # An epoch is a secret, and even so it is of use to its own caller alone.
        if known and cursor and known.caller.id == caller.id:
            known.close()
            if known.can_resume(cursor.sequence):
                known.caller = caller
                self.parted(known)
                return known, True
            self.end(known)
        if len(self._sessions) >= self.settings.max_streams:
            raise WatchClosedError("as many streams are open as the service has room for")
        session = WatchSession(self, caller, self.clocks.new_id())
        self._sessions[session.epoch] = session
        self.parted(session)
        return session, False

    def end(self, session: WatchSession) -> None:
        """Forget a session."""
        session.close()
        session.forget_all()
        self._sessions.pop(session.epoch, None)

    def drain(self) -> None:
        """End every stream, so that callers go elsewhere, and open no more."""
        self._draining = True
        for session in list(self._sessions.values()):
            self.end(session)

    def stats(self) -> WatchStats:
        """Give a snapshot for metrics."""
        return WatchStats(len(self._sessions), self._total, self.decisions)

    # What changes

    def changed(self, entity: str, kind: str, identifier: str) -> None:
        """Have the decisions that read an entity made anew."""
        watches = self._index.get((entity, kind, identifier))
        if watches:
            cause = _ATTRIBUTES[entity]
            for watch, session in watches.items():
                if cause.entity in watch.reads:
                    session.changed(watch, cause)

    def everything_changed(self) -> None:
        """Have every decision made anew."""
        for session in self._sessions.values():
            for watch in session.watches.values():
                session.changed(watch, _STORE)

    def policy_changed(self) -> None:
        """Have the decisions made anew that were made under another revision than is in force."""
        policy = self.policies.current()
        revision = policy.revision if policy else ""
        for session in self._sessions.values():
            for watch in session.watches.values():
                if watch.revision != revision:
                    session.changed(watch, _POLICY)

    # What sessions tell

    def enter(self, session: WatchSession, watch: Watch) -> bool:
        """Take a watch into the index; False where there is no room."""
        if self._total >= self.settings.max_total:
            return False
        self._total += 1
        for target in watch.targets.values():
            self._index.setdefault(target, {})[watch] = session
        return True

    def leave(self, watch: Watch) -> None:
        """Take a watch out of the index."""
        self._total -= 1
        for target in watch.targets.values():
            holders = self._index[target]
            del holders[watch]
            if not holders:
                del self._index[target]

    def parted(self, session: WatchSession) -> None:
        """Keep a session whose events nobody iterates for a while, for its caller to come back."""
        turn = session.turn
        asyncio.get_running_loop().call_later(self.settings.grace, self._expire, session, turn)

    def _expire(self, session: WatchSession, turn: int) -> None:
        if session.turn == turn:
            self.end(session)
