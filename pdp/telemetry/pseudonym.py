"""The pseudonyms that stand for people in traces, logs and explanations: those of the decision log, remembered."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from pdp.signing.pseudonyms import PseudonymKey

_EPHEMERAL: Final = "ephemeral"
_KEY_BYTES: Final = 32
_CACHED: Final = 65_536


class Pseudonyms:
    """Gives pseudonyms by field, as ``PseudonymKey`` makes them.

    Args:
        key: the key; None makes one that is gone with the process, whose id is ``ephemeral``.
    """

    def __init__(self, key: PseudonymKey | None) -> None:
        self._key = key or PseudonymKey(_EPHEMERAL, secrets.token_bytes(_KEY_BYTES))

    def of(self, field: str) -> Callable[[str], str]:
        """Give what makes the pseudonyms of a field, such as ``subject`` of ``type:id``.

        It remembers the 65,536 used last, so that a known identifier costs a look-up.
        """
        return lru_cache(_CACHED)(partial(self._key.pseudonym, field))
