"""Typed values out of a YAML document. What does not fit is reported where it stands, and reading goes on."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from pdp.policy.problems import Problems, did_you_mean
from pdp.policy.source import Source
from pdp.yaml_tree import Entry, Node, Scalar, Sequence, Table

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
DOTTED_NAME: Final = re.compile(r"[a-z][a-z0-9_.]{0,62}", re.ASCII)
_NAME_HELP: Final = "lower-case letters, digits and _, starting with a letter"
_PRINTABLE: Final = re.compile(r"[ -~]{1,512}", re.ASCII)
_DURATION: Final = re.compile(r"(0|[1-9][0-9]{0,5})([smhd])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Fields:
    """Reads one document. Each method gives None, and reports why, where the value is not what is asked for."""

    def __init__(self, source: Source, problems: Problems) -> None:
        self._source = source
        self._problems = problems

    def refuse(self, at: Node | Entry, problem: str, help_: str = "") -> None:
        """Report a problem with a value or a key."""
        self._problems.add(self._source.problem(at.offset, problem, help_))

    def document(self, node: Node, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Node]:
        """Read the top of a file: a mapping with ``version: 1`` and the given keys."""
        found = self.record(node, ("version", *required), optional)
        version = found.get("version")
        if version is not None and not (isinstance(version, Scalar) and version.value == 1 and version.text == "1"):
            self.refuse(version, "a version of the format that this service does not know", "write version: 1")
        return found

    def record(self, node: Node, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Node]:
        """Read a mapping whose keys are known beforehand."""
        found: dict[str, Node] = {}
        for entry in self.entries(node):
            if entry.key in required or entry.key in optional:
                found[entry.key] = entry.value
            else:
                comma = "put a text that holds a comma in quotes" if " " in entry.key else ""
                help_ = comma or did_you_mean(entry.key, {*required, *optional})
                self.refuse(entry, f"unknown key {entry.key!r}", help_)
        if isinstance(node, Table):
            for key in required:
                if key not in found:
                    self.refuse(node, f"the key {key!r} is missing")
        return found

    def entries(self, node: Node) -> tuple[Entry, ...]:
        """Read a mapping of any keys; none at all where it is no mapping."""
        if isinstance(node, Table):
            return node.entries
        self.refuse(node, "a mapping is expected here", "key: value, or {} for an empty one")
        return ()

    def named(self, node: Node, pattern: re.Pattern[str] = NAME, help_: str = _NAME_HELP) -> dict[str, Entry]:
        """Read a mapping whose keys are names."""
        found: dict[str, Entry] = {}
        for entry in self.entries(node):
            if pattern.fullmatch(entry.key):
                found[entry.key] = entry
            else:
                self.refuse(entry, f"{entry.key!r} is not a name", help_)
        return found

    def items(self, node: Node) -> tuple[Node, ...]:
        """Read a list."""
        if isinstance(node, Sequence):
            return node.items
        self.refuse(node, "a list is expected here", "[a, b], or [] for an empty one")
        return ()

    def text(self, node: Node) -> str | None:
        """Read a text of printable ASCII, at most 512 characters."""
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            self.refuse(node, "a text is expected here", "put it in quotes")
        elif not _PRINTABLE.fullmatch(node.value):
            self.refuse(node, "a text that is empty, too long, or has characters other than printable ASCII")
        else:
            return node.value
        return None

    def prose(self, node: Node) -> None:
        """Read words for people, of which nothing is kept."""
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            self.refuse(node, "a text is expected here", "put it in quotes")

    def name(self, node: Node, pattern: re.Pattern[str] = NAME, help_: str = _NAME_HELP) -> str | None:
        """Read a name."""
        if not isinstance(node, Scalar) or not isinstance(node.value, str) or not pattern.fullmatch(node.value):
            self.refuse(node, "a name is expected here", help_)
            return None
        return node.value

    def names(self, node: Node, pattern: re.Pattern[str] = NAME, help_: str = _NAME_HELP) -> tuple[str, ...]:
        """Read a list of at least one name, each once."""
        found: dict[str, None] = {}
        items = self.items(node)
        for item in items:
            name = self.name(item, pattern, help_)
            if name in found:
                self.refuse(item, f"{name!r} stands twice in the list")
            elif name is not None:
                found[name] = None
        if isinstance(node, Sequence) and not items:
            self.refuse(node, "the list is empty")
        return tuple(found)

    def choice(self, node: Node, options: Collection[str], what: str) -> str | None:
        """Read one of several words; ``what`` says, with its article, what they are."""
        text = node.text if isinstance(node, Scalar) else ""
        if text in options:
            return text
        problem = f"{text!r} is not {what}" if text else f"{what} is expected here"
        self.refuse(node, problem, did_you_mean(text, options))
        return None

    def boolean(self, node: Node) -> bool | None:
        """Read ``true`` or ``false``."""
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return node.value
        self.refuse(node, "true or false is expected here")
        return None

    def number(self, node: Node, *, whole: bool = False) -> float | None:
        """Read a number."""
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            self.refuse(node, "a whole number is expected here" if whole else "a number is expected here")
            return None
        return value

    def whole(self, node: Node) -> int | None:
        """Read a whole number."""
        value = self.number(node, whole=True)
        return None if value is None else int(value)

    def duration(self, node: Node, longest: float) -> float | None:
        """Read a duration such as ``90s``, ``15m``, ``24h`` or ``7d``; gives seconds."""
        found = _DURATION.fullmatch(node.text) if isinstance(node, Scalar) else None
        if not found:
            self.refuse(node, "a duration is expected here", "a whole number and s, m, h or d, such as 15m")
            return None
        seconds = int(found[1]) * _SECONDS[found[2]]
        if seconds > longest:
            self.refuse(node, "a duration that is too long", f"{longest:.0f}s at most")
            return None
        return float(seconds)

    def texts(self, node: Node) -> Mapping[str, str]:
        """Read a mapping of text to text."""
        found = {}
        for key, entry in self.named(node, re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", re.ASCII)).items():
            if (text := self.text(entry.value)) is not None:
                found[key] = text
        return found
