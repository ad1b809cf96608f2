"""Asking two revisions the same questions of the same records.

Questions of one standing are asked once: see ``standing``.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, NamedTuple

from pdp.core.decide import judge
from pdp.core.decision import Decision, Entity
from pdp.core.policy import PolicySnapshot
from pdp.core.reasons import Reason
from pdp.core.request import Request
from pdp.workbench.impact.changes import Example, Group, Tally, answer_words, difference
from pdp.workbench.impact.questions import Question
from pdp.workbench.impact.standing import Parties, Party, Scope, Standing
from pdp.workbench.testing.world import Stored, World

_UNKNOWN: Final = frozenset(
    {Reason.SUBJECT_UNKNOWN, Reason.DEVICE_UNKNOWN, Reason.SESSION_UNKNOWN, Reason.RESOURCE_UNKNOWN}
)
# Parties of one kind and answers remembered: bounds the memory of a recording that names ever new ones.
_KNOWN: Final = 200_000


class _Answers(NamedTuple):
    """What asking came to.

    Attributes:
        unknown: whether both revisions know too little to ask a rule.
        old: the effect before.
        group: what the difference is counted by; None where there is none.
        before: the answer before in words, where they differ.
        after: the one after.
    """

    unknown: bool
    old: str
    group: Group | None = None
    before: str = ""
    after: str = ""


class Comparison:
    """Two revisions, and what is known."""

    def __init__(self, old: PolicySnapshot, new: PolicySnapshot, stored: Stored, now: float) -> None:
        """Take note of both.

        Args:
            old: the revision before.
            new: the revision after.
            stored: records, as the new revision's schema has them; the old one reads of them what it declares.
            now: the time at which everything is asked, in seconds since the epoch.
        """
        self._sides = tuple((policy, World(policy.schema, now, stored)) for policy in (old, new))
        self._now = now
        self._every = frozenset(it.type for policy in (old, new) for it in policy.obligations.values())
        self._forget()

    def _forget(self) -> None:
        """Begin with nothing remembered."""
        self._finder = Parties(self._sides)
        self._parties: tuple[dict[Hashable, Party], ...] = tuple({} for _ in Entity)
        self._scopes: dict[Hashable, Scope] = {}
        self._answered = 0

    def add(self, question: Question, tally: Tally) -> None:
        """Ask both revisions a question that was recorded, and count how they differ."""
        tally.asked += 1
        parties = self._known(question)
        if parties is None:
            tally.unreadable += 1
            return
        scope = self._scope(parties, question)
        standing = scope.standing(parties)
        answers = scope.answers.get(standing) or self._ask(question, scope, standing)
        if answers.unknown:
            tally.unknown += 1
            return
        tally.disagreeing += bool(question.outcome) and question.outcome != answers.old
        if answers.group:
            example = None
            if tally.wants(answers.group):
                example = Example(_asked(question), answers.before, answers.after)
            tally.add(answers.group, example)

    def _known(self, question: Question) -> tuple[Party, ...] | None:
        """Give the parties to a question; None where no request could name what is recorded."""
        subject, _, resource, session, device, stated, _ = question
        subjects, devices, sessions, resources, circumstances = self._parties
        try:
            return (
                subjects[subject], devices[device], sessions[session], resources[resource], circumstances[stated]
            )  # fmt: skip
        except KeyError:
            return self._learn(question)

    def _learn(self, question: Question) -> tuple[Party, ...] | None:
        request = question.request(self._every)
        if request is None:
            return None
        if max(self._answered, *(len(it) for it in self._parties)) >= _KNOWN:
            self._forget()
        parties = self._finder.of(request)
        keys = (question.subject, question.device, question.session, question.resource, question.stated)
        for known, key, party in zip(self._parties, keys, parties, strict=True):
            known[key] = party
        return parties

    def _scope(self, parties: tuple[Party, ...], question: Question) -> Scope:
        key = (parties[0].group, question.action, question.resource[0])
        scope = self._scopes.get(key)
        if scope is None:
            scope = self._scopes[key] = Scope(self._sides, self._finder, *key)
        return scope

    def _ask(self, question: Question, scope: Scope, standing: Standing) -> _Answers:
        request = question.request(self._every)
        if request is None:
            raise AssertionError("what has a standing can be asked")
        # A step-up changes nothing about who may do what, so none is looked for.
        old, new = (judge(request, world.entities(request), policy, self._now) for policy, world in self._sides)
        unknown = new.causes[0].code in _UNKNOWN and old.causes[0].code in _UNKNOWN
        change = None if unknown else difference(old, new)
        answers = _Answers(unknown, old.effect.value)
        if change:
            group = Group(change, self._roles(request), request.resource.type, request.action)
            answers = _Answers(unknown, old.effect.value, group, answer_words(old), answer_words(new))
        if not (_failed(old) or _failed(new)):
            scope.answers[standing] = answers
            self._answered += 1
        return answers

    def _roles(self, request: Request) -> str:
        subject = self._sides[1][1].entities(request).subject
        roles = subject.view.__dict__.get("roles", ()) if subject else ()
        return "+".join(roles) if isinstance(roles, tuple) and roles else "no role"


def _failed(decision: Decision) -> bool:
    """Say whether a rule could not be evaluated: why, no comparison of attributes tells."""
    return any(cause.code is Reason.CONDITION_ERROR for cause in decision.causes)


def _asked(question: Question) -> str:
    purpose = f" for {question.stated.purpose}" if question.stated.purpose else ""
    parts = (("session", question.session), ("device", question.device))
    where = "".join(f", {name} {value}" for name, value in parts if value)
    return f"{question.subject} {question.action} {':'.join(question.resource)}{purpose}{where}"
