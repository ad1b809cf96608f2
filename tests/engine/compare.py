"""Outcomes of enforcers, in a form that can be compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import casbin

Outcome = tuple[Any, ...]


def outcome(function: Callable[..., Any], *arguments: Any) -> Outcome:
    """What a call returned, or the class of what it raised."""
    try:
        found = function(*arguments)
    except Exception as error:  # noqa: BLE001 - the class is what is compared
        return ("raised", type(error))
    return ("returned", found)


def explained(function: Callable[..., tuple[bool, list[str]]], *request: Any) -> Outcome:
    """The outcome of ``enforce_ex``; the result must be a bool and the explanation a list."""
    kind, found = outcome(function, *request)
    if kind == "raised":
        return (kind, found)
    allowed, rule = found
    return (kind, type(allowed), allowed, type(rule), list(rule))


def model_of(text: str) -> casbin.Model:
    model = casbin.Model()
    model.load_model_from_text(text)
    return model
