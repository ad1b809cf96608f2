"""model.conf: accepted only where it says what this service does, so that nobody edits it in vain.

Casbin's model language can express far more than is safe (matchers that allow everyone, effects that ignore denies),
so exactly one model is understood. White space and comments are free.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pdp.policy.problems import Problems, did_you_mean
from pdp.policy.source import Source

_SECTIONS: Final = {
    "request_definition": {"r": "role, action, subject, device, session, resource, context"},
    "policy_definition": {"p": "id, role, action, resource, condition, eft, obligations, basis"},
    "role_definition": {"g": "_, _", "g2": "_, _", "g3": "_, _"},
    "policy_effect": {"e": "some(where (p.eft == allow)) && !some(where (p.eft == deny))"},
    "matchers": {
        "m": '(p.role == "*" || g(r.role, p.role)) && (p.action == "*" || g2(r.action, p.action)) && '
        '(p.resource == "*" || g3(r.resource.type, p.resource)) && eval(p.condition)'
    },
}
_SECTION: Final = re.compile(r"\s*\[([^\]\n]*)\]\s*")
_SETTING: Final = re.compile(r"\s*([A-Za-z0-9_]+)\s*=(.*)", re.DOTALL)
_SIZE_LIMIT: Final = 64 * 1024

# What engines are given: the model itself, free of anything that two readers of model.conf could take differently.
MODEL: Final = "".join(
    f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())
    for section, settings in _SECTIONS.items()
)


def check_model(source: Source, problems: Problems) -> None:
    """Report whatever in model.conf differs from the one model that is understood."""
    if len(source.text) > _SIZE_LIMIT:
        problems.add(source.problem(0, f"is larger than {_SIZE_LIMIT} characters"))
        return
    found: set[tuple[str, str]] = set()
    section = ""
    for start, line in _logical_lines(source.text):
        if heading := _SECTION.fullmatch(line):
            section = heading[1]
            if section not in _SECTIONS:
                help_ = did_you_mean(section, _SECTIONS)
                problems.add(source.problem(start + heading.start(1), f"unknown section {section!r}", help_))
        elif setting := _SETTING.fullmatch(line):
            key = (section, setting[1])
            if key in found:
                problems.add(source.problem(start + setting.start(1), f"{setting[1]} is set twice"))
            found.add(key)
            _check_setting(source, start, setting, section, problems)
        else:
            help_ = "a [section], a key = value, or a comment line that starts with #"
            problems.add(source.problem(start, "a line that is not understood", help_))
    _check_complete(source, found, problems)


def _check_setting(source: Source, start: int, setting: re.Match[str], section: str, problems: Problems) -> None:
    settings = _SECTIONS.get(section, {})
    expected = settings.get(setting[1])
    if section and expected is None:
        at = start + setting.start(1)
        problems.add(
            source.problem(at, f"[{section}] has no {setting[1]!r} here", did_you_mean(setting[1], settings))
        )
    elif not section:
        problems.add(source.problem(start + setting.start(1), "a setting outside any section"))
    elif expected is not None and (odd := _difference(setting[2], expected)) is not None:
        at = start + setting.start(2) + odd
        problem = "differs from the one model that this service implements"
        problems.add(source.problem(at, problem, f"expected: {setting[1]} = {expected}"))


def _check_complete(source: Source, found: set[tuple[str, str]], problems: Problems) -> None:
    for section, settings in _SECTIONS.items():
        for key, value in settings.items():
            if (section, key) not in found:
                at = len(source.text.rstrip())
                help_ = f"expected in [{section}]: {key} = {value}"
                problems.add(source.problem(at, f"[{section}] lacks {key}", help_))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give each line that says something, with its offset. A backslash at a line's end joins it with the next."""
    at = 0
    while at < len(text):
        found = re.compile(r"(?:[^\n]*\\[ \t\r]*\n)*[^\n]*").match(text, at)
        end = found.end() if found else len(text)
        line = text[at:end]
        if line.strip() and not line.lstrip().startswith("#"):
            yield at, re.sub(r"\\([ \t\r]*\n)", r" \1", line)
        elif line.lstrip().startswith("#"):
            end = text.find("\n", at) if "\n" in text[at:] else len(text)
        at = end + 1


def _difference(text: str, expected: str) -> int | None:
    """Give the offset in ``text`` of the first character, white space aside, that is not as expected."""
    wanted = iter(expected.replace(" ", ""))
    for index, character in enumerate(text):
        if not character.isspace() and character != next(wanted, None):
            return index
    return len(text.rstrip()) if next(wanted, None) else None
