"""Where log lines go: a bounded queue and a thread that writes, so that a stuck reader of the logs stops no decision."""

from __future__ import annotations

import logging
import queue
import threading
from typing import Final, TextIO

_WAITING: Final = 10_000
_CLOSE_SECONDS: Final = 2.0


class LogOutput(logging.Handler):
    """Formats a record where it is logged and writes it on a thread of its own.

    Lines that find the queue full are dropped, and their number is written once there is room.

    Args:
        formatter: makes the line, without its end.
        stream: where lines go; it is flushed after each batch, and never closed.
    """

    def __init__(self, formatter: logging.Formatter, stream: TextIO) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log-output", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record's line. Never waits, never raises. Called under the handler's lock."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a line that cannot be made must not stop who logs it
            line = f"a log line could not be made: {type(error).__name__}"
        try:
            if self._dropped:
                self._lines.put_nowait(self._notice())
                self._dropped = 0
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what waits, for two seconds at most, and end the thread. Later records are lost."""
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            pass
        else:
            self._thread.join(_CLOSE_SECONDS)
        super().close()

    def _notice(self) -> str:
        text = f"{self._dropped} log lines were dropped: their reader is too slow"
        record = logging.LogRecord(__name__, logging.WARNING, "", 0, text, None, None)
        record.event = "logs.dropped"
        return self.format(record)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line + "\n")
                if self._lines.empty():
                    self._stream.flush()
            except (
                OSError,
                ValueError,
            ):  # the reader is gone, or the stream closed: go on, so that the queue empties
                continue
