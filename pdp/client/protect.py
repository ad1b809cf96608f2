"""An enforcement point around a function."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from pdp.client.aio import AsyncClient
from pdp.client.blocking import Client
from pdp.client.question import Question

_P = ParamSpec("_P")
_R = TypeVar("_R")


def protect(
    client: AsyncClient, question_of: Callable[_P, Question]
) -> Callable[[Callable[_P, Awaitable[_R]]], Callable[_P, Awaitable[_R]]]:
    """Let a coroutine function run on an allow alone, and give its result as the decision lets it be shown.

    Args:
        client: asks.
        question_of: gives the question that a call stands for, from the call's own arguments.

    The decorated function raises ``AccessDeniedError``, ``ObligationFailedError`` or ``UnansweredError`` besides
    what the function itself raises.
    """

    def decorate(function: Callable[_P, Awaitable[_R]]) -> Callable[_P, Awaitable[_R]]:
        @functools.wraps(function)
        async def protected(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            grant = await client.authorize(question_of(*args, **kwargs))
            return grant.show(await function(*args, **kwargs))

        return protected

    return decorate


def protect_blocking(
    client: Client, question_of: Callable[_P, Question]
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Do for a plain function what ``protect`` does for a coroutine function."""

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(function)
        def protected(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            grant = client.authorize(question_of(*args, **kwargs))
            return grant.show(function(*args, **kwargs))

        return protected

    return decorate
