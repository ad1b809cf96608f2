"""The work on closed segments, in a process of its own so that it takes no time from decisions."""

import subprocess
import threading

from pdp.audit.settings import LogSettings


class Housekeeper:
    """Runs `python -m pdp.audit.maintain` for a worker's folder at low priority, one at a time."""

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings
        self._running: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._again = False
        self._closed = False

    def start(self) -> None:
        """See to the closed segments soon."""

    def close(self) -> None:
        """Wait for nothing: an interrupted run is repeated at the next start."""
