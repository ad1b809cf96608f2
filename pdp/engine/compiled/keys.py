"""The keys of the index: what a rule is filed under, and where a request looks for it.

Every key class promises the same: a rule whose indexed conjunct holds for a request, or raises on it, is filed
under one of the keys that the request looks under.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from pdp.engine.compiled import patterns
from pdp.engine.compiled.plan import Dimension
from pdp.engine.compiled.roles import DomainRoles, Roles
from pdp.engine.compiled.writing import Fields

_ANY: Final = None


class EqualKeys:
    """Keys for ``path == field``, with or without a wildcard."""

    def __init__(self, dimension: Dimension) -> None:
        self._column = dimension.column
        self._wildcard = dimension.wildcard
        self.known: dict[str, str] = {}

    def of_row(self, row: Fields) -> object:
        """The key a row is filed under."""
        text = row[self._column]
        return _ANY if text == self._wildcard else self.known.setdefault(text, text)

    def of_request(self, value: str, _domain: str) -> Collection[object]:
        """The keys a request looks under."""
        return (value,) if self._wildcard is None else (value, _ANY)


class RoleKeys:
    """Keys for ``g(path, field)``: a request looks under every name it inherits."""

    def __init__(self, dimension: Dimension, roles: Roles | DomainRoles) -> None:
        self._column = dimension.column
        self._wildcard = dimension.wildcard
        self._reach = roles.reach
        names = roles.names() if isinstance(roles, Roles) and dimension.wildcard is not None else ()
        self.known: dict[str, str] = {name: name for name in names}

    def of_row(self, row: Fields) -> object:
        """The key a row is filed under."""
        text = row[self._column]
        if text == self._wildcard:
            return _ANY
        return self.known.setdefault(text, text)

    def of_request(self, value: str, domain: str) -> Collection[object]:
        """The keys a request looks under."""
        reached = self._reach(value, domain)
        return reached if self._wildcard is None else (*reached, _ANY)


class PrefixKeys:
    """Keys for a pattern function: the literal start of each pattern, which every matching text shares."""

    def __init__(self, dimension: Dimension) -> None:
        self._column = dimension.column
        self._name = dimension.function
        self._lengths: set[int] = set()

    def of_row(self, row: Fields) -> object:
        """The key a row is filed under."""
        prefix = patterns.literal_prefix(self._name, row[self._column])
        self._lengths.add(len(prefix))
        return prefix

    def of_request(self, value: str, _domain: str) -> Collection[object]:
        """The keys a request looks under."""
        text = patterns.plain_slashes(value) if self._name == "globMatch" else value
        size = len(text)
        return [text[:length] for length in self._lengths if length <= size]


class NetworkKeys:
    """Keys for ``ipMatch``: a request looks under the network that its address has at each length of mask."""

    def __init__(self, dimension: Dimension) -> None:
        self._column = dimension.column
        self._rows: dict[object, None] = {}
        self._masks: dict[int, dict[int, int]] = {}

    def of_row(self, row: Fields) -> object:
        """The key a row is filed under: no address lies in a text that is no network."""
        network = patterns.network_of(row[self._column])
        key = None if network is None else (network.version, network.prefixlen, int(network.network_address))
        self._rows[key] = None
        if network is not None:
            self._masks.setdefault(network.version, {})[network.prefixlen] = int(network.netmask)
        return key

    def of_request(self, value: str, _domain: str) -> Collection[object]:
        """The keys a request looks under: all of them for what is no address, so that each rule fails on it."""
        address = patterns.address_of(value)
        if address is None:
            return self._rows.keys()
        version, number = address.version, int(address)
        return [(version, length, number & mask) for length, mask in self._masks.get(version, {}).items()]


Keys = EqualKeys | RoleKeys | PrefixKeys | NetworkKeys


def make_keys(dimension: Dimension, roles: dict[str, Roles | DomainRoles]) -> Keys:
    """The keys of a dimension."""
    if dimension.function == "==":
        return EqualKeys(dimension)
    if dimension.function in roles:
        return RoleKeys(dimension, roles[dimension.function])
    if dimension.function == "ipMatch":
        return NetworkKeys(dimension)
    return PrefixKeys(dimension)
