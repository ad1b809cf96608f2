"""Casbin's pattern functions with the pattern known ahead: each becomes a test of one text.

Every test gives what pycasbin 2.8's ``builtin_operators`` gives for two texts. A pattern that pycasbin fails
on only when it is reached fails here when it is prepared.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable
from typing import Final

from casbin.util import builtin_operators as builtin
from wcmatch import glob

from pdp.engine.compiled.errors import NotCompilableError

Test = Callable[[str], bool]
_LITERAL: Final = re.compile(r"[^.^$*+?{}\[\]\\|()]*")
_GLOB_LITERAL: Final = re.compile(r"[^*?\[\]{}\\]*")
_SLASHES: Final = re.compile(r"/{2,}")


def _regex(source: str) -> Test:
    match = re.compile(source).match
    return lambda text: match(text) is not None


def _key_match(pattern: str) -> Test:
    star = pattern.find("*")
    if star == -1:
        return lambda text: text == pattern
    prefix = pattern[:star]
    return lambda text: text.startswith(prefix)


def key_match2_source(pattern: str) -> str:
    """The regular expression that keyMatch2 makes of a pattern."""
    source: str = builtin.KEY_MATCH2_PATTERN.sub(r"\g<1>[^\/]+\g<2>", pattern.replace("/*", "/.*"), 0)
    return "^" + ("(.*)" if source == "*" else source) + "$"


def key_match3_source(pattern: str) -> str:
    """The regular expression that keyMatch3 makes of a pattern."""
    source: str = builtin.KEY_MATCH3_PATTERN.sub(r"\g<1>[^\/]+\g<2>", pattern.replace("/*", "/.*"), 0)
    return f"^{source}$"


def key_match5_source(pattern: str) -> str:
    """The regular expression that keyMatch5 makes of a pattern."""
    source: str = builtin.KEY_MATCH5_PATTERN.sub(r"[^/]+", pattern.replace("/*", "/.*"), 0)
    return f"^{source}$"


def key_match4_source(pattern: str) -> str:
    """The regular expression that keyMatch4 makes of a pattern."""
    source: str = builtin.KEY_MATCH4_PATTERN.sub("([^/]+)", pattern.replace("/*", "/.*"))
    return f"^{source}$"


def _key_match4(pattern: str) -> Test:
    names = builtin.KEY_MATCH4_PATTERN.findall(pattern.replace("/*", "/.*"))
    compiled = re.compile(key_match4_source(pattern))
    if compiled.groups != len(names):
        raise NotCompilableError("keyMatch4 pattern has groups of its own")

    def test(text: str) -> bool:
        found = compiled.match(text)
        if found is None:
            return False
        first: dict[str, str] = {}
        return all(first.setdefault(name, value) == value for name, value in zip(names, found.groups(), strict=True))

    return test


def _key_match5(pattern: str) -> Test:
    match = re.compile(key_match5_source(pattern)).match
    return lambda text: match(text.partition("?")[0]) is not None


@functools.lru_cache(maxsize=4096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(text)


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address of a text, None if it is none."""
    try:
        return _address(text)
    except ValueError:
        return None


def network_of(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network that ``ipMatch`` makes of a pattern, None if it is none."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _ip_match(pattern: str) -> Test:
    network = network_of(pattern)
    if network is None:
        # pycasbin compares the parsed address with the pattern's text then, which never holds.
        return lambda text: _address(text) == pattern
    return lambda text: _address(text) in network


def _glob_match(pattern: str) -> Test:
    matcher = glob.compile(_glob_source(_from_slash(pattern)), flags=glob.GLOBSTAR | glob.BRACE)
    return lambda text: bool(matcher.match(text))


def _from_slash(pattern: str) -> str:
    # globMatch drops a leading star before a slash, again and again.
    while pattern.startswith("*/"):
        pattern = pattern[1:]
    return pattern


def _glob_source(pattern: str) -> str:
    parts = [part if part == "**" else re.sub(r"\*{2,}", "*", part) for part in pattern.split("/")]
    source = "/".join(parts)
    return f"{{{source[:-3]},{source}}}" if source.endswith("/**") else source


_PREPARE: Final[dict[str, Callable[[str], Test]]] = {
    "keyMatch": _key_match,
    "keyMatch2": lambda pattern: _regex(key_match2_source(pattern)),
    "keyMatch3": lambda pattern: _regex(key_match3_source(pattern)),
    "keyMatch4": _key_match4,
    "keyMatch5": _key_match5,
    "regexMatch": _regex,
    "ipMatch": _ip_match,
    "globMatch": _glob_match,
}
_SOURCES: Final[dict[str, Callable[[str], str]]] = {
    "keyMatch2": key_match2_source,
    "keyMatch3": key_match3_source,
    "keyMatch4": key_match4_source,
    "regexMatch": lambda pattern: pattern,
}
NAMES: Final = frozenset(_PREPARE)
REGEX_NAMES: Final = frozenset(_SOURCES) | {"keyMatch5"}
PREFIX_NAMES: Final = REGEX_NAMES | {"keyMatch", "globMatch"}
FAILING_NAMES: Final = frozenset({"ipMatch"})
"""The functions that raise on some texts, whatever the pattern."""
INDEXED_NAMES: Final = PREFIX_NAMES | FAILING_NAMES
PATH_NAMES: Final = frozenset({"keyMatch", "keyMatch2", "keyMatch3", "keyMatch4", "keyMatch5"})


def prepare(name: str, pattern: str) -> Test:
    """The test that function ``name`` makes of ``pattern``.

    Raises:
        NotCompilableError: pycasbin would raise whenever it reaches this pattern.
    """
    try:
        return _PREPARE[name](pattern)
    except NotCompilableError:
        raise
    except Exception as error:  # noqa: BLE001 - pycasbin raises the same whenever it reaches the pattern
        raise NotCompilableError(f"{name} pattern: {type(error).__name__}") from None


def regex_source(name: str, pattern: str) -> str | None:
    """The regular expression behind a pattern, None for a function that is not made of one."""
    if name == "keyMatch5":
        return key_match5_source(pattern)
    source = _SOURCES.get(name)
    return None if source is None else source(pattern)


def literal_prefix(name: str, pattern: str) -> str:
    """A text that everything the pattern matches starts with; it may be shorter than possible.

    Sound because it is read from the start of a regular expression without alternation, up to the first
    special character, less the last character, to which a quantifier may belong. What keyMatch5 cuts off a text is
    its end. Of a glob it is the segments before the first special character, less the last, which ``/**`` makes
    optional; there one slash stands for several, see :func:`plain_slashes`.
    """
    if name == "keyMatch":
        return pattern.partition("*")[0]
    if name == "globMatch":
        found = _GLOB_LITERAL.match(_from_slash(pattern))
        return plain_slashes(found.group() if found else "").rpartition("/")[0]
    text = regex_source(name, pattern) or ""
    if "|" in text:
        return ""
    text = text.removeprefix("^")
    found = _LITERAL.match(text)
    literal = "" if found is None else found.group()
    return literal if len(literal) == len(text) else literal[:-1]


def plain_slashes(text: str) -> str:
    """The text with one slash in place of several in a row, which globMatch takes for one."""
    return _SLASHES.sub("/", text) if "//" in text else text
