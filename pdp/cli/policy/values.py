"""How attribute values look at the terminal."""

from __future__ import annotations

from typing import Final

from pdp.core.schema import Kind, Value

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"))


def shown(value: Value, kind: Kind, now: float) -> str:
    """Write a value as an attributes file has it; a time relative to ``now``."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(value) + "]"
    if kind is Kind.TIME and isinstance(value, int) and value:
        return _relative(value - int(now))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _relative(seconds: int) -> str:
    if not seconds:
        return "now"
    for unit, name in _UNITS:
        if seconds % unit == 0:
            return f"{seconds // unit:+}{name}"
    return f"{seconds:+}s"
