"""Where log lines go: a bounded queue and a thread that writes, so that a stuck reader of logs stops no decision."""

from __future__ import annotations

import logging
import queue
import threading
from contextlib import suppress
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
            line = self._own("logs.malformed", f"a log line could not be made: {type(error).__name__}")
        try:
            if self._dropped:
                dropped = f"{self._dropped} log lines were dropped: their reader is too slow"
                self._lines.put_nowait(self._own("logs.dropped", dropped))
                self._dropped = 0
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what waits, for a few seconds at most, and end the thread. Later records are lost."""
        with suppress(queue.Full):
            self._lines.put(None, timeout=_CLOSE_SECONDS)
            self._thread.join(_CLOSE_SECONDS)
        super().close()

    def _own(self, event: str, text: str) -> str:
        facts = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": text, "event": event}
        return self.format(logging.makeLogRecord(facts))

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            # The reader may be gone, or the stream closed; the queue is to empty all the same.
            with suppress(OSError, ValueError):
                self._stream.write(line + "\n")
                if self._lines.empty():
                    self._stream.flush()
