"""The engines as the service uses them: a matcher of rule indexes for a policy revision."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from casbin.model import Model

from pdp.core.policy import Matcher, MatchError, Rule
from pdp.core.record import View
from pdp.engine.compiled import CompiledEnforcer, ConditionError, GiveWay
from pdp.engine.reference import ReferenceMatcher, refuse_conflict
from pdp.engine.rows import row_of

Links = Sequence[tuple[str, str, str]]

_NEVER: Final = 1 << 30
_LOG: Final = logging.getLogger(__name__)


class CompiledMatcher:
    """Implements ``pdp.core.policy.Matcher`` on compiled rules."""

    def __init__(self, enforcer: CompiledEnforcer) -> None:
        self._match = enforcer.match

    def __call__(
        self, role: str, action: str, subject: View, device: View, session: View, resource: View, context: View
    ) -> Sequence[int]:
        """Give the indexes of all matching rules.

        Raises:
            MatchError: a rule that applies could not be evaluated.
        """
        try:
            return self._match(role, action, subject, device, session, resource, context)
        except ConditionError as error:
            raise MatchError(error.rows, str(error)) from None


class CompiledEngine:
    """Compiles revisions, each from what it has in common with the one before."""

    def __init__(self) -> None:
        refuse_conflict()
        self._last: tuple[str, CompiledEnforcer] | None = None

    def __call__(self, rules: tuple[Rule, ...], links: Links, model_text: str) -> Matcher:
        """Compile a revision; safe on any thread, one at a time."""
        rows = [("p", *row_of(rule)) for rule in rules] + [tuple(link) for link in links]
        with _young_collections():
            return self._compile(rows, model_text)

    def _compile(self, rows: list[tuple[str, ...]], model_text: str) -> Matcher:
        if self._last and self._last[0] == model_text:
            enforcer = self._last[1].recompiled(rows, checkpoint=GiveWay())
        else:
            model = Model()
            model.load_model_from_text(model_text)
            enforcer = CompiledEnforcer(model, rows, "strict", checkpoint=GiveWay())
        self._last = (model_text, enforcer)
        return CompiledMatcher(enforcer)


@contextlib.contextmanager
def _young_collections() -> Iterator[None]:
    """Hold off full garbage collections, which stop every thread; nothing that a build makes is garbage in cycles."""
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)


class ShadowMatcher:
    """Asks the compiled and the reference engine. Where they differ, the stricter one is answered with.

    Rules that deny are taken from both, rules that permit only where both match. A difference is logged and counted.
    """

    def __init__(self, first: Matcher, second: Matcher, denies: frozenset[int], differed: Callable[[], None]) -> None:
        self._first = first
        self._second = second
        self._denies = denies
        self._differed = differed

    def __call__(
        self, role: str, action: str, subject: View, device: View, session: View, resource: View, context: View
    ) -> Sequence[int]:
        """Give the indexes of the rules that match in the stricter reading.

        Raises:
            MatchError: either engine could not evaluate a rule.
        """
        ours = frozenset(self._first(role, action, subject, device, session, resource, context))
        theirs = frozenset(self._second(role, action, subject, device, session, resource, context))
        if ours != theirs:
            self._differed()
            rules = sorted(ours ^ theirs)
            _LOG.error("the engines differ on rules %s", rules, extra={"event": "engine.difference"})
        return sorted((ours & theirs) | ((ours | theirs) & self._denies))


class ShadowEngine:
    """Makes matchers that ask both engines, and counts how often they differ.

    Attributes:
        differences: requests on which the engines differed, since the start.
    """

    def __init__(self) -> None:
        self._compiled = CompiledEngine()
        self.differences = 0

    def __call__(self, rules: tuple[Rule, ...], links: Links, model_text: str) -> Matcher:
        """Make both engines of a revision."""
        denies = frozenset(rule.index for rule in rules if rule.effect.value == "deny")
        compiled = self._compiled(rules, links, model_text)
        return ShadowMatcher(compiled, ReferenceMatcher(rules, links, model_text), denies, self._count)

    def _count(self) -> None:
        self.differences += 1
