"""Request values that try to make compiled and interpreted evaluation differ. All are deterministic."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from simpleeval import EvalWithCompoundTypes


class Bag:
    """A plain object."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class Slotted:
    """An object whose attributes live in slots; those not given stay unset."""

    __slots__ = ("age", "boss", "dept", "level", "name", "owner", "tags", "type", "vip")

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, value)


class Items:
    """No attributes, only items: simpleeval's fallback."""

    def __init__(self, **values: Any) -> None:
        self._values = values

    def __getitem__(self, key: str) -> Any:
        return self._values[key]


class Lazy:
    """Attributes by ``__getattr__``."""

    def __init__(self, **values: Any) -> None:
        self.__dict__["_values"] = values

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(name) from None


class Raising:
    """Every property raises."""

    def __init__(self, **_values: Any) -> None:
        pass

    @property
    def age(self) -> int:
        raise ZeroDivisionError

    @property
    def dept(self) -> str:
        raise LookupError

    @property
    def type(self) -> str:
        raise OSError


class Caller:
    """An object with attributes that can also be called."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __call__(self) -> bool:
        return True

    __hash__ = None


class Liar:
    """Says it is of another class."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    @property
    def __class__(self) -> Any:
        return dict

    def values(self) -> Iterator[Any]:
        return iter((eval,))


class Text(str):
    """A subclass of text that is equal to everything."""

    __slots__ = ()

    def __eq__(self, _other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("alice")


class Shy(str):
    """A subclass of text that is equal to nothing."""

    __slots__ = ()

    def __eq__(self, _other: object) -> bool:
        return False

    __hash__ = str.__hash__


class EqualToAll:
    def __eq__(self, _other: object) -> bool:
        return True

    __hash__ = None


class EqualRaises:
    def __eq__(self, _other: object) -> bool:
        raise ArithmeticError

    def __hash__(self) -> int:
        raise BufferError


class EqualIsOdd:
    """Compares to something that is no bool."""

    def __eq__(self, _other: object) -> Any:
        return [1]

    def __lt__(self, _other: object) -> Any:
        return os

    def __gt__(self, _other: object) -> Any:
        return 1.5

    def __sub__(self, _other: object) -> Any:
        return 3

    __hash__ = object.__hash__


class NoTruth:
    def __bool__(self) -> bool:
        raise EOFError


class Number(int):
    def __gt__(self, _other: object) -> bool:
        return True


class Tags(list):
    def __contains__(self, _item: object) -> bool:
        return True


class Sizes(dict):
    def __missing__(self, key: str) -> str:
        return key


def _deep() -> list[Any]:
    value: list[Any] = ["bottom"]
    for _ in range(40):
        value = [value]
    return value


def _cyclic() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


STYLES = (Bag, Slotted, dict)
ODD_STYLES = (Items, Lazy, Raising, Caller, Liar, Sizes)
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, 1.0, -1, 0.0, 18, 19, float("nan"), float("inf"), 10**30, 1j,
    "", "a", "alice", "read", "18", b"read", (), (1, "a"), [], ["a", ["b"]], {}, {"a": 1}, {"a"}, frozenset({"x"}),
    Text("alice"), Shy("read"), EqualToAll(), EqualRaises(), EqualIsOdd(), NoTruth(), Number(20), Tags(["a"]),
    Sizes(a=1), eval, len, os, [eval], {"k": eval}, {"k": {"k": [os]}}, _deep(), _cyclic(), Bag(name="alice"),
    Caller(name="alice"), Liar(name="alice"), object, int, [EqualToAll()], [EqualRaises()], {EqualIsOdd(): 1},
    "alice\n", "\uff41dmin", "\x00", "x" * 200,
)  # fmt: skip


def _is_looked_through(value: object) -> bool:
    """Whether simpleeval's inspection of a value passes: in a dict it inspects what no condition reads, too."""
    try:
        EvalWithCompoundTypes()._check_disallowed_items(value)
    except Exception:  # noqa: BLE001 - a function, a module, a list that holds itself, a callable without a hash
        return False
    return True


DATA_VALUES = tuple(value for value in ODD_VALUES if _is_looked_through(value))
"""The odd values that a request may hold anywhere without pycasbin raising for that alone."""
