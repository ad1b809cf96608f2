"""What a caller who watches decisions is told."""

from __future__ import annotations

import enum
from typing import NamedTuple

from pdp.core.decision import Entity
from pdp.ports import Answer


class Why(enum.Enum):
    """Why an answer is told."""

    REGISTERED = "registered"
    ATTRIBUTES = "attributes"
    POLICY = "policy"
    TIME = "time"
    STORE = "store"


class Cause(NamedTuple):
    """Why an answer is told; ``entity`` is whose attributes changed, where that is why."""

    why: Why
    entity: Entity | None = None


class Cursor(NamedTuple):
    """How far a caller has come: the epoch, and the number of the last event of it that arrived."""

    epoch: str
    sequence: int


class Opened(NamedTuple):
    """Watching begins, or goes on where the epoch is one that the caller asked for."""

    sequence: int
    epoch: str
    resumed: bool


class Told(NamedTuple):
    """The answer to a watched request, as it is now."""

    sequence: int
    watch_id: int
    answer: Answer
    cause: Cause


class Rejected(NamedTuple):
    """A request that is not watched, and why."""

    sequence: int
    watch_id: int
    error: Exception


class Resync(NamedTuple):
    """Nothing is watched any more: the caller must register again what it still needs."""

    sequence: int


class Pong(NamedTuple):
    """All changes up to ``age`` seconds before the ping are accounted for; None: nothing is vouched for."""

    sequence: int
    nonce: int
    age: float | None


Event = Opened | Told | Rejected | Resync | Pong
