"""A plain Casbin model, as far as it can be carried over: who, what and how are compared, and what else is asked.

Understood are matchers over subject, object and action that compare each by ``==``, the subject also by ``g``, with
further conditions on the request and ``eval`` of one column of the policy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pdp.core.errors import PdpError

_SETTING: Final = re.compile(r"\s*([A-Za-z0-9_]+)\s*=\s*(.*)")
_SECTION: Final = re.compile(r"\s*\[([^\]]*)\]\s*")
_ALLOW: Final = "some(where(p.eft==allow))"
_ALLOW_UNLESS_DENIED: Final = "some(where(p.eft==allow))&&!some(where(p.eft==deny))"
_ROLE: Final = re.compile(r"g\(r\.(\w+),p\.(\w+)\)")
_EVAL: Final = re.compile(r"eval\(p\.(\w+)\)")
_EQUAL: Final = re.compile(r"(?:r\.(\w+)==p\.(\w+)|p\.(\w+)==r\.(\w+))")
_COLUMNS: Final = 3


class ModelError(PdpError):
    """A model that cannot be carried over at all."""


@dataclass(frozen=True)
class CasbinModel:
    """What a model says.

    Attributes:
        request: names of the subject, the object and the action in a request.
        columns: names of the policy's columns.
        compared: the column that each name of the request is compared with; a name that is missing is not compared.
        evaluated: the column whose condition is evaluated; empty for none.
        conditions: further conditions on the request that every rule asks for, as written.
        shortcuts: conditions on the request that allow without any rule, as written.
        denies: whether a row with the effect deny counts.
    """

    request: tuple[str, str, str]
    columns: tuple[str, ...]
    compared: dict[str, str]
    evaluated: str
    conditions: tuple[str, ...]
    shortcuts: tuple[str, ...]
    denies: bool


def read_model(text: str) -> CasbinModel:
    """Read a model.conf.

    Raises:
        ModelError: says what in it has no counterpart.
    """
    settings = _settings(text)
    request = _names(settings, "request_definition", "r")
    if len(request) != _COLUMNS:
        raise ModelError(
            f"a request of {', '.join(request)}: only subject, object and action can be carried over; write domains "
            "and other parts as attributes of the subject or the resource"
        )
    first, *others = _split(_setting(settings, "matchers", "m"), "||")
    compared, evaluated, conditions = _conjuncts(first)
    for other in others:
        if "p." in other or "g(" in other:
            raise ModelError(f"a matcher with several ways to match a rule: {other}")
    return CasbinModel(
        request=(request[0], request[1], request[2]),
        columns=_names(settings, "policy_definition", "p"),
        compared=compared,
        evaluated=evaluated,
        conditions=conditions,
        shortcuts=tuple(others),
        denies=_denies(_setting(settings, "policy_effect", "e")),
    )


def _settings(text: str) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    section = ""
    for line in re.sub(r"\\[ \t]*\r?\n", " ", text).splitlines():
        if heading := _SECTION.fullmatch(line):
            section = heading[1]
        elif not line.lstrip().startswith("#") and (setting := _SETTING.fullmatch(line)):
            found[section, setting[1]] = setting[2].strip()
    return found


def _setting(settings: dict[tuple[str, str], str], section: str, key: str) -> str:
    if (section, key) not in settings:
        raise ModelError(f"the model has no {key} in [{section}]")
    return settings[section, key]


def _names(settings: dict[tuple[str, str], str], section: str, key: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in _setting(settings, section, key).split(","))


def _denies(effect: str) -> bool:
    plain = re.sub(r"\s", "", effect)
    if plain == _ALLOW:
        return False
    if plain == _ALLOW_UNLESS_DENIED:
        return True
    raise ModelError(
        f"the effect {effect!r}: only allows, with or without denies that win, can be carried over; "
        "what is not allowed is denied here, and no rule has a priority"
    )


def _conjuncts(matcher: str) -> tuple[dict[str, str], str, tuple[str, ...]]:
    compared: dict[str, str] = {}
    evaluated = ""
    conditions: list[str] = []
    for part in _split(matcher, "&&"):
        plain = re.sub(r"\s", "", part)
        if found := _ROLE.fullmatch(plain) or _EQUAL.fullmatch(plain):
            names = [name for name in found.groups() if name]
            mine, theirs = names if not plain.startswith("p.") else names[::-1]
            compared[mine] = theirs
        elif found := _EVAL.fullmatch(plain):
            evaluated = found[1]
        elif "p." in plain:
            raise ModelError(f"a comparison with a rule's column that has no counterpart here: {part}")
        else:
            conditions.append(part)
    return compared, evaluated, tuple(conditions)


def _split(text: str, symbol: str) -> list[str]:
    """Split at an operator outside of parentheses, and take off parentheses around a whole part."""
    parts, depth, start, at = [], 0, 0, 0
    while at < len(text):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0 and text.startswith(symbol, at):
            parts.append(text[start:at])
            at += len(symbol)
            start = at
        else:
            at += 1
    return [_bare(part) for part in (*parts, text[start:])]


def _bare(text: str) -> str:
    text = text.strip()
    while text.startswith("(") and _closes_at_end(text):
        text = text[1:-1].strip()
    return text


def _closes_at_end(text: str) -> bool:
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return at == len(text) - 1
    return False
