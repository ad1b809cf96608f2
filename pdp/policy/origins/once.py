"""An origin that is looked at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache, partial
from typing import Final, TypeVar

from pdp.core.errors import PdpError
from pdp.policy.origins.origin import Contents, Origin

_RARELY: Final = 3600.0
_T = TypeVar("_T")


class OnceOrigin:
    """Implements ``Origin`` on another, whose first answers stand for good, be they refusals.

    A service that is told not to look for changes can so be told by the state folder to go back, and forth again to
    what it started with, and takes up nothing that has changed at the source meanwhile.
    """

    settles = False
    interval = _RARELY

    def __init__(self, origin: Origin) -> None:
        """Take note of the other; nothing is asked or read yet."""
        self.name = origin.name
        # An lru_cache remembers no exceptions, so what is remembered is what came of asking.
        self._probed = cache(partial(_outcome, origin.probe))
        self._found = cache(partial(_outcome, origin.read))

    def probe(self) -> Hashable:
        """Give the same as the first time."""
        return _answer(self._probed())

    def read(self) -> Contents:
        """Give the same as the first time."""
        return _answer(self._found())


def _outcome(ask: Callable[[], _T]) -> _T | PdpError:
    try:
        return ask()
    except PdpError as error:
        return error


def _answer(outcome: _T | PdpError) -> _T:
    if isinstance(outcome, PdpError):
        raise outcome
    return outcome
