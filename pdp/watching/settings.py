"""Bounds of what is watched."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Settings of watched decisions, per process.

    Attributes:
        max_watches: requests watched on one stream.
        max_total: requests watched on all streams together.
        max_streams: streams open, or kept for their callers to come back, at once.
        lag: seconds that a due decision may wait to be made and taken before the caller is told to ask for all anew.
        grace: seconds for which a stream that broke is kept for its caller to go on with.
        retry: seconds until a decision that failed for want of means is tried again; doubled up to a minute.
        batch: decisions made in one go before other work gets its turn.
    """

    max_watches: int = 20_000
    max_total: int = 100_000
    max_streams: int = 1_000
    lag: float = 5.0
    grace: float = 30.0
    retry: float = 1.0
    batch: int = 32

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ValueError: names the setting.
        """
        for name in ("max_watches", "max_total", "max_streams", "lag", "retry", "batch"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: must be above 0")
        if self.grace < 0:
            raise ValueError("grace: must not be negative")
