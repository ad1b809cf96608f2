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
PLAIN_CLASSES: Final[set[type]] = set()
"""Classes already found plain. Only ever grows or is cleared, so looking in without a lock is safe."""


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
    if cls is dict or cls in CONTAINERS:
        _check_inside(value, _MAX_DEPTH)
    elif cls not in PRIMITIVES and not is_plain(cls):
        raise UnsureError
    return value


def is_plain(cls: type) -> bool:
    """Whether attributes of a class's instances may be read: no instance can pass for something else."""
    if cls in PLAIN_CLASSES:
        return True
    if type(cls) is not type or not _is_plain_class(cls):
        return False
    if len(PLAIN_CLASSES) >= _MAX_KNOWN:
        PLAIN_CLASSES.clear()
    PLAIN_CLASSES.add(cls)
    return True


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
