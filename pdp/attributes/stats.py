"""What the attribute source tells of itself, for metrics and readiness."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AttributeStats:
    """A snapshot. Counters run from the start of the process.

    Attributes:
        hits: requests served wholly from memory.
        misses: requests that had to wait for the store.
        fetches: reads sent to the store; several requests may share one.
        fetch_errors: reads that failed or timed out.
        refused_versions: records refused because a newer one had been seen: a stale replica or a lost write.
        invalidations: cached entries dropped because the store said that they changed.
        flushes: times the whole cache was dropped.
        lapses: times the lease was found to have run out while connected.
        reconnects: tracking connections made after the first.
        entries: entities in memory.
        connected: whether the tracking connection is up.
        lease_live: whether cached attributes may decide now.
        lease_left: seconds until the lease runs out; 0 where it has.
        reason: why cached attributes may not decide now; empty where they may.
    """

    hits: int
    misses: int
    fetches: int
    fetch_errors: int
    refused_versions: int
    invalidations: int
    flushes: int
    lapses: int
    reconnects: int
    entries: int
    connected: bool
    lease_live: bool
    lease_left: float
    reason: str
