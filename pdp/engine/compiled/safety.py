"""Which request values exact mode may handle itself.

simpleeval inspects the result of every node it evaluates, and refuses modules and a list of functions, also
inside containers. Compiled code does not: so it accepts only values for which that inspection must pass, and
leaves every other request to the reference enforcer by raising :class:`UnsureError`.

All it relies on is that attributes are deterministic: reading one twice gives the same value.
"""

from __future__ import annotations

import types
from typing import Final

from simpleeval import ModuleWrapper

from pdp.engine.compiled.errors import UnsureError

PRIMITIVES: Final = frozenset({int, float, str, bool, type(None), bytes, complex})
CONTAINERS: Final = frozenset({list, tuple, set, frozenset})
_SPECIAL: Final = (list, tuple, set, frozenset, dict, str, bytes, int, float, complex, type)
_MAX_DEPTH: Final = 16
_MAX_KNOWN: Final = 4096
_known: set[type] = set()


def _is_plain_class(cls: type) -> bool:
    # ``isinstance`` asks an instance for ``__class__``, ``callable`` its class for ``__call__``: both have to
    # be the ones that object itself has, or the inspection could run foreign code.
    if issubclass(cls, (*_SPECIAL, types.ModuleType, ModuleWrapper)):
        return False
    if cls.__getattribute__ is not object.__getattribute__:
        return False
    bases = [vars(base) for base in cls.__mro__ if base is not object]
    return not any("__class__" in members or "__call__" in members for members in bases)


def check_base(value: object) -> object:
    """Return a value that attributes are read from, if simpleeval's inspection of it must pass.

    Raises:
        UnsureError: it might not.
    """
    cls = type(value)
    if cls in _known or cls in PRIMITIVES:
        return value
    if cls is dict or cls in CONTAINERS:
        _check_inside(value, _MAX_DEPTH)
        return value
    if type(cls) is type and _is_plain_class(cls):
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        _known.add(cls)
        return value
    raise UnsureError


def check_operand(value: object) -> object:
    """Return a value used as an operand, if it is built from primitives and plain containers alone.

    Raises:
        UnsureError: it is not, so that comparing it could run foreign code.
    """
    if type(value) not in PRIMITIVES:
        _check_inside(value, _MAX_DEPTH)
    return value


def _check_inside(value: object, depth: int) -> None:
    cls = type(value)
    if cls is dict:
        members = list(value.values())  # type: ignore[attr-defined]
    elif cls in CONTAINERS:
        members = list(value)  # type: ignore[call-overload]
    else:
        raise UnsureError
    if depth == 0:
        raise UnsureError
    if not PRIMITIVES.issuperset(map(type, members)):
        for member in members:
            if type(member) not in PRIMITIVES:
                _check_inside(member, depth - 1)


def unsure(*_: object) -> bool:
    """Leave the request to the reference enforcer."""
    raise UnsureError
