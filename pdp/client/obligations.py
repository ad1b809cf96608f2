"""What an enforcement point does along with a decision: which obligations it can carry out, and carrying them out.

Rules:
- An allow is of no use unless every mandatory obligation of it is understood, its properties included, and done.
- What an enforcement point understands is what it declares to the service; nothing else is declared.
- Advice is tried, and its failure changes nothing.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Protocol, TypeVar, cast

from pdp.client.decision import Decision, Obligation, Reason
from pdp.client.errors import ObligationFailedError
from pdp.client.question import Question

_log: Final = logging.getLogger(__name__)
_T = TypeVar("_T")
Notice = Callable[[Obligation, Question, Decision], Awaitable[None] | None]


class Handler(Protocol):
    """Carries out obligations of one type."""

    @property
    def type(self) -> str:
        """The type, as in obligations.yaml."""

    def understands(self, obligation: Obligation) -> bool:
        """Say whether it can carry out this one, with these properties."""

    async def before(self, obligation: Obligation, question: Question, decision: Decision) -> None:
        """Do what must be done before the data is touched. Any exception is a failure."""

    def transform(self, obligation: Obligation, question: Question, data: Any) -> Any:
        """Give the data as it may be shown. It may be changed in place. Any exception is a failure."""


class Notify:
    """Calls back, for obligations that somebody be told: ``notify``, ``review`` and the like.

    Args:
        callback: called before the data is touched, with the obligation, the question and the decision; may be a
            coroutine function. It raises if it failed.
        type: the type of obligation.
    """

    def __init__(self, callback: Notice, type: str = "notify") -> None:  # noqa: A002 - the field's name
        self._callback = callback
        self.type = type

    def understands(self, obligation: Obligation) -> bool:  # noqa: ARG002 - whom to tell is the callback's matter
        """Understand all."""
        return True

    async def before(self, obligation: Obligation, question: Question, decision: Decision) -> None:
        """Call back."""
        outcome = self._callback(obligation, question, decision)
        if inspect.isawaitable(outcome):
            await outcome

    def transform(self, obligation: Obligation, question: Question, data: _T) -> _T:  # noqa: ARG002 - see Handler
        """Leave the data as it is."""
        return data


class Handlers:
    """The handlers an enforcement point has, by type of obligation.

    Raises:
        ValueError: two are of one type.
    """

    def __init__(self, handlers: Iterable[Handler] = ()) -> None:
        self._handlers: dict[str, Handler] = {}
        for handler in handlers:
            if handler.type in self._handlers:
                raise ValueError(f"two handlers of type {handler.type}")
            self._handlers[handler.type] = handler

    @property
    def supported(self) -> tuple[str, ...]:
        """Types of obligation that the service is told will be carried out."""
        return tuple(sorted(self._handlers))

    def vet(self, decision: Decision) -> Decision:
        """Make a deny of an allow with a mandatory obligation that is not understood."""
        if not decision.allowed:
            return decision
        unknown = [it for it in decision.obligations if it.mandatory and not self._handler(it)]
        if not unknown:
            return decision
        reasons = tuple(Reason("OBLIGATION_UNSUPPORTED", it.id) for it in unknown)
        return decision._replace(allowed=False, reasons=reasons, obligations=())

    async def before(self, question: Question, decision: Decision) -> None:
        """Carry out what comes before the data; on a deny that is advice alone.

        Raises:
            ObligationFailedError: a mandatory one failed; the allow must not be used.
        """
        for obligation in decision.obligations:
            handler = self._handler(obligation)
            try:
                if handler:
                    await handler.before(obligation, question, decision)
                elif obligation.mandatory and decision.allowed:
                    _not_understood(obligation)
            except Exception as error:  # noqa: BLE001 - whatever it is, it was not done
                _failed(obligation, decision, error)

    def transform(self, question: Question, decision: Decision, data: _T) -> _T:
        """Give data as an allow lets it be shown.

        Raises:
            ObligationFailedError: a mandatory one failed; the data must not be shown.
        """
        shown: Any = data
        for obligation in decision.obligations:
            handler = self._handler(obligation)
            try:
                if handler:
                    shown = handler.transform(obligation, question, shown)
                elif obligation.mandatory:
                    _not_understood(obligation)
            except Exception as error:  # noqa: BLE001 - whatever it is, it was not done
                _failed(obligation, decision, error)
        return cast("_T", shown)

    def _handler(self, obligation: Obligation) -> Handler | None:
        handler = self._handlers.get(obligation.type)
        return handler if handler and handler.understands(obligation) else None


def _not_understood(obligation: Obligation) -> None:
    raise ObligationFailedError(obligation.id, "is not understood")


def _failed(obligation: Obligation, decision: Decision, error: Exception) -> None:
    # An exception's text may repeat what it choked on: the type is enough.
    if obligation.mandatory and decision.allowed:
        raise ObligationFailedError(obligation.id, f"failed: {type(error).__name__}") from error
    _log.warning("advice %s of decision %s failed: %s", obligation.id, decision.id, type(error).__name__)
