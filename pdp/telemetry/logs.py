"""Structured logs: one JSON object a line, or a readable line where a person looks on.

A module logs with the standard library alone: ``log.warning("policy refused", extra={"event": "policy.refused"})``.
Extras become fields. What may hold personal data is kept out by its type: text and numbers stand as given, and their
writer answers for them; any other object, such as a request, shows as its type's name. So does an exception, unless
it is known to speak of files and settings only.
"""

from __future__ import annotations

import json as json_
import logging
import os
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import Enum
from math import isfinite
from pathlib import PurePath
from typing import Final, TextIO

from pdp.core.errors import PdpError
from pdp.telemetry.log_output import LogOutput
from pdp.telemetry.settings import LogFormat, LogLevel

_TRACE_ID: ContextVar[str] = ContextVar("trace_id", default="")
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SPEAKING: Final = PdpError | OSError | ImportError
_CHAIN_LIMIT: Final = 5
# Libraries that log requests, addresses or one line a failure. What matters of theirs, this project logs itself.
_TAMED: Final = {
    "asyncio": logging.WARNING,
    "casbin": logging.CRITICAL,
    "grpc": logging.WARNING,
    "opentelemetry": logging.CRITICAL,
    "requests": logging.WARNING,
    "urllib3": logging.ERROR,
    "uvicorn": logging.WARNING,
    "uvicorn.access": logging.CRITICAL,
}
_COLOURS: Final = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


@contextmanager
def trace_context(trace_id: str) -> Iterator[None]:
    """Give log lines written inside a trace id."""
    token = _TRACE_ID.set(trace_id)
    try:
        yield
    finally:
        _TRACE_ID.reset(token)


def configure(level: LogLevel, form: LogFormat, stream: TextIO) -> LogOutput:
    """Send all logs of the process to a stream, by a thread of its own.

    Args:
        level: the least severe level that is written.
        form: JSON or text. On a terminal text is coloured, unless the environment has ``NO_COLOR`` (no-color.org).
        stream: where to; it stays open.

    Returns:
        The output, to be closed at the end so that nothing is lost. Logging that was configured before ends.
    """
    root = logging.getLogger()
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    terminal = stream.isatty()
    json = form is LogFormat.JSON or (form is LogFormat.AUTO and not terminal)
    text = TextFormatter(colour=terminal and not os.environ.get("NO_COLOR"))
    output = LogOutput(JsonFormatter() if json else text, stream)
    root.addHandler(output)
    root.setLevel(level.upper())
    for name, least in _TAMED.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    return output


class JsonFormatter(logging.Formatter):
    """A record as a JSON object: ``time`` (RFC 3339, UTC), ``level``, ``logger``, ``message``, then what it has."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line of ASCII."""
        return json_.dumps(_fields(record))


class TextFormatter(logging.Formatter):
    """A record as a line for a person: time, level, message, then its fields."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Give one line, whatever the message holds; control characters are escaped."""
        fields = _fields(record)
        time, level, message = str(fields.pop("time"))[11:23], str(fields.pop("level")), str(fields.pop("message"))
        del fields["logger"]
        rest = "".join(f"  {name}={_shown(value)}" for name, value in fields.items())
        head = f"{level:<8}"
        if self._colour:
            head = f"\x1b[{_COLOURS.get(level.upper(), '0')}m{head}\x1b[0m"
        return f"{time} {head} {_printable(message)}{_printable(rest)}"


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": _message(record),
    }
    if trace_id := _TRACE_ID.get():
        fields["trace_id"] = trace_id
    extras = {name: _safe(value) for name, value in vars(record).items() if name not in _STANDARD}
    fields |= {name: value for name, value in extras.items() if name not in ("time", "level", "logger")}
    if record.exc_info and record.exc_info[1]:
        fields["exception"] = list(_chain(record.exc_info[1]))
    return fields


def _message(record: logging.LogRecord) -> str:
    args = record.args
    if not args:
        return str(_safe(record.msg))
    safe = {k: _safe(v) for k, v in args.items()} if isinstance(args, Mapping) else tuple(map(_safe, args))
    try:
        return str(_safe(record.msg)) % safe
    except (TypeError, ValueError, KeyError):
        return f"{_safe(record.msg)} (its arguments do not fit)"


def _safe(value: object) -> object:
    """Give what may be written of a value."""
    if isinstance(value, float) and not isfinite(value):
        return str(value)  # JSON has no such number
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Enum | PurePath | _SPEAKING | str):
        return str(value.value if isinstance(value, Enum) else value)
    # A request is a tuple as well, and is not to be taken apart.
    if isinstance(value, list | tuple | set | frozenset) and not hasattr(value, "_fields"):
        return [_safe(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _safe(item) for name, item in value.items()}
    return f"<{type(value).__name__}>"


def _chain(error: BaseException) -> Iterator[dict[str, object]]:
    """Tell of an exception and what caused it: types and places, and texts where they cannot hold request data."""
    following: BaseException | None = error
    for _ in range(_CHAIN_LIMIT):
        if following is None:
            return
        frames = traceback.walk_tb(following.__traceback__)  # unlike extract_tb, it reads no source files
        places = [f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}" for frame, line in frames]
        told: dict[str, object] = {"type": type(following).__name__, "stack": places}
        if isinstance(following, _SPEAKING):
            told["message"] = str(following)
        yield told
        following = following.__cause__ or following.__context__


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json_.dumps(value)


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
