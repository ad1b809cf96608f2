"""Decisions held by an enforcement point, and when they may be relied on. Pure: it is told the time.

Rules:
- Only what came over the watch is held, in its order: an answer that overtook another cannot be mistaken for it.
- A decision is relied on until it expires, and only while the watch vouches: a change in the attribute store at time
  t is obeyed from ``t + staleness`` on, whatever is lost, late, or cut off. That is the bound.
- Time is a span on a clock of our own that never steps. Where it is not known when something happened on the other
  side, the earliest moment at which it can have happened counts.
"""

from __future__ import annotations

from typing import Final

from pdp.client.decision import Decision
from pdp.client.question import Question

# An insertion looks at no more than this many decisions to find one to give up, so that its cost is bounded.
_LOOKS: Final = 64
_LONG_AGO: Final = float("-inf")


class Held:
    """What is held for one question.

    Attributes:
        question: the question.
        watch_id: its name on the watch.
        asked_at: when it was last asked.
        answer: the decision and when it expires; None where there is none to rely on. One reference, so that
            another thread never sees the one without the other.
        asked: whether an answer is due. It is asked once at a time, so that an answer is known to be made since.
        used: whether it was relied on since it was last considered for removal.
    """

    __slots__ = ("answer", "asked", "asked_at", "question", "used", "watch_id")

    def __init__(self, question: Question, watch_id: int) -> None:
        self.question = question
        self.watch_id = watch_id
        self.asked_at = _LONG_AGO
        self.asked = False
        self.answer: tuple[Decision, float] | None = None
        self.used = True


class DecisionCache:
    """Decisions by question. ``get`` may be called on any thread, everything else on one.

    Args:
        staleness: the bound, in seconds: how long after a change in the attribute store a decision that it took
            back may still be relied on.
        max_lifetime: seconds that a decision may be relied on at most, whatever the service says.
        max_entries: questions held at most.
    """

    def __init__(self, staleness: float, max_lifetime: float, max_entries: int) -> None:
        self._staleness = staleness
        self._max_lifetime = max_lifetime
        self._max_entries = max_entries
        self._held: dict[Question, Held] = {}
        # In the order of filling, those put off from removal last.
        self._by_id: dict[int, Held] = {}
        self._next_id = 0
        self._vouched_until = _LONG_AGO
        self._last_ping = _LONG_AGO

    def __len__(self) -> int:
        return len(self._held)

    def get(self, question: Question, now: float) -> Decision | None:
        """Give the decision to rely on, or None where the service must be asked."""
        held = self._held.get(question)
        if held is None or now >= self._vouched_until:
            return None
        answer = held.answer
        if answer is None or now >= answer[1]:
            return None
        held.used = True
        return answer[0]

    def vouched(self, now: float) -> bool:
        """Say whether anything may be relied on."""
        return now < self._vouched_until

    def ask(self, question: Question, now: float) -> tuple[Held, bool, list[int]]:
        """Take note that a question is to be asked on the watch.

        Returns:
            What is held for it, whether it is to be sent (or is on its way already), and the names of what was
            given up to make room.
        """
        held = self._held.get(question)
        given_up: list[int] = []
        if held is None:
            while len(self._held) >= self._max_entries:
                given_up.append(self._evict())
            held = self._insert(question)
        send = not held.asked
        if send:
            held.asked, held.asked_at = True, now
        held.used = True
        return held, send, given_up

    def ask_again(self, now: float) -> tuple[list[Held], list[int]]:
        """Ask anew what was asked on a stream that broke, under names of its own: an answer may be on its way still.

        Returns:
            What is to be sent, and the names that are void.
        """
        void = [held for held in self._by_id.values() if held.asked]
        for held in void:
            self.drop(held.watch_id)
        return [self.ask(held.question, now)[0] for held in void], [held.watch_id for held in void]

    def answered(self, watch_id: int, decision: Decision) -> Held | None:
        """Take the decision that answers a question as it was last asked; None where it is not held any more."""
        held = self._by_id.get(watch_id)
        if held:
            held.asked = False
            self._hold(held, decision, held.asked_at)
        return held

    def changed(self, watch_id: int, decision: Decision) -> Held | None:
        """Take a decision that replaces another; None where the question is not held any more."""
        held = self._by_id.get(watch_id)
        if held:
            # It was made after the ping whose pong arrived last was sent.
            self._hold(held, decision, self._last_ping)
        return held

    def drop(self, watch_id: int) -> None:
        """Hold a question no more."""
        held = self._by_id.pop(watch_id, None)
        if held:
            held.answer = None
            del self._held[held.question]

    def forget_all(self) -> None:
        """Hold nothing any more, and rely on nothing until the watch vouches again."""
        for held in self._by_id.values():
            held.answer = None
        self._held.clear()
        self._by_id.clear()
        self._vouched_until = _LONG_AGO

    def pong(self, sent_at: float, age: float) -> None:
        """Rely on what is held, for all that changed up to ``age`` seconds before a ping has been told.

        Args:
            sent_at: when the ping was sent.
            age: what the pong said, in seconds, not negative.
        """
        self._last_ping = max(self._last_ping, sent_at)
        self._vouched_until = max(self._vouched_until, sent_at - age + self._staleness)

    def idle(self) -> list[int]:
        """Give up what was not used since the last call; give the names."""
        unused = [held.watch_id for held in self._by_id.values() if not held.used]
        for watch_id in unused:
            self.drop(watch_id)
        for held in self._by_id.values():
            held.used = False
        return unused

    def _hold(self, held: Held, decision: Decision, made_after: float) -> None:
        lifetime = min(decision.lifetime, self._max_lifetime)
        held.answer = (decision, made_after + lifetime)

    def _insert(self, question: Question) -> Held:
        self._next_id += 1
        held = self._held[question] = self._by_id[self._next_id] = Held(question, self._next_id)
        return held

    def _evict(self) -> int:
        for _ in range(_LOOKS):
            watch_id, held = next(iter(self._by_id.items()))
            if not held.used:
                break
            held.used = False
            self._by_id[watch_id] = self._by_id.pop(watch_id)
        watch_id = next(iter(self._by_id))
        self.drop(watch_id)
        return watch_id
