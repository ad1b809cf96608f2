"""Decisions that are taken back: who still relies on which, and what changes them."""

from pdp.watching.events import Cause, Cursor, Event, Opened, Pong, Rejected, Resync, Told, Why
from pdp.watching.hub import WatchClosedError, WatchHub
from pdp.watching.session import TooManyWatchesError, WatchSession
from pdp.watching.settings import WatchSettings

__all__ = [
    "Cause",
    "Cursor",
    "Event",
    "Opened",
    "Pong",
    "Rejected",
    "Resync",
    "Told",
    "TooManyWatchesError",
    "WatchClosedError",
    "WatchHub",
    "WatchSession",
    "WatchSettings",
    "Why",
]
