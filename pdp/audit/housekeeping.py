"""Starting the work on closed segments in a process of its own, so that it takes no time from decisions."""

import logging
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

from pdp.audit.settings import LogSettings

_log = logging.getLogger(__name__)


class Housekeeper:
    """Runs `python -m pdp.audit.maintain` for a worker's folder, one at a time."""

    def __init__(self, settings: LogSettings) -> None:
        self._command = [
            _interpreter(),
            *("-m", "pdp.audit.maintain", str(settings.folder)),
            *("--keys", str(settings.keys), "--retention-days", str(settings.retention_days)),
            *(() if settings.compress else ("--no-compress",)),
        ]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._again = self._closed = False

    def start(self) -> None:
        """See to the closed segments soon; while a run is under way, once more after it."""
        with self._lock:
            self._again = True
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="audit-housekeeping", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._closed or not self._again:
                    self._thread = None
                    return
                self._again = False
                self._process = process = _spawn(self._command)
            if process is not None and process.wait() > 0:
                _log.warning("housekeeping of the decision log failed; it is repeated at the next rotation")

    def close(self) -> None:
        """End a run that is under way: it is repeated at the next start."""
        with self._lock:
            self._closed = True
            thread, process = self._thread, self._process
        if process is not None and process.poll() is None:
            process.terminate()
        if thread is not None:
            thread.join()


def _spawn(command: list[str]) -> "subprocess.Popen[bytes] | None":
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=True)  # noqa: S603  our own module
    except OSError as error:
        _log.warning("housekeeping of the decision log cannot be started: %s", error.strerror)
        return None


def _interpreter() -> str:
    """The Python to run; where Python is embedded in another program, that program is not it."""
    if Path(sys.executable).name.startswith("python"):
        return sys.executable
    return str(Path(sysconfig.get_path("scripts")) / "python3")
