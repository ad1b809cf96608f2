"""A turn at polling one transmitter: taken for a while, kept by taking it again, over as soon as that is in doubt."""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
import time
from typing import Final

from pdp.core.errors import AttributesUnavailableError
from pdp.ports import Turns

# After a worker that died, another begins within the sum of both.
LEASE: Final = 5.0
LOOK: Final = 1.0


class Turn:
    """One worker's part in who polls.

    Args:
        turns: where it is settled.
        issuer: who is polled.

    Attributes:
        term: the number of the term, where this worker has the turn.
    """

    def __init__(self, turns: Turns, issuer: str) -> None:
        self._turns = turns
        self._name = hashlib.sha256(issuer.encode()).hexdigest()
        self._holder = secrets.token_hex(16)
        self._until = float("-inf")
        self.term = 0

    async def taken(self) -> bool:
        """Try to take the turn, or to go on with the term; say whether this worker has it."""
        asked_at = time.monotonic()
        try:
            async with asyncio.timeout(LEASE):
                term = await self._turns.take(self._name, self._holder, LEASE)
        except (AttributesUnavailableError, TimeoutError):
            return time.monotonic() < self._until
        # Reckoned from before the store was asked, so that it ends here no later than there.
        self._until = asked_at + LEASE if term else float("-inf")
        self.term = term
        return bool(term)

    async def kept(self) -> None:
        """Keep the turn, and return once it is over or can be."""
        term = self.term
        while True:
            await asyncio.sleep(min(LOOK, max(0.0, self._until - time.monotonic())))
            try:
                async with asyncio.timeout_at(self._end_of_term()):
                    if not await self.taken() or self.term != term:
                        return
            except TimeoutError:
                return

    async def give_back(self) -> None:
        """Let another begin at once, as far as the store can be told."""
        self._until = float("-inf")
        try:
            async with asyncio.timeout(LOOK):
                await self._turns.take(self._name, self._holder, 0)
        except (AttributesUnavailableError, TimeoutError):
            pass

    def pause(self) -> float:
        """Give the seconds until the next try; chance keeps workers from trying all at once."""
        return LOOK * random.uniform(0.5, 1)  # noqa: S311 - spreads load, guards nothing

    def _end_of_term(self) -> float:
        return asyncio.get_running_loop().time() + self._until - time.monotonic()
