"""An enforcement point in a grpc.aio server."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
import grpc.aio

from pdp.client.aio import AsyncClient, Grant
from pdp.client.errors import AccessDeniedError, ObligationFailedError, UnansweredError
from pdp.client.question import Question

# Given the full method name, the request message (None where it is a stream) and the call's context.
QuestionOf = Callable[[str, Any, grpc.aio.ServicerContext[Any, Any]], Question | None]
_Context = grpc.aio.ServicerContext[Any, Any]
_STEP_UP: Final = "pdp-step-up-acr"


class AuthorizationInterceptor(grpc.aio.ServerInterceptor):
    """Lets a call through on an allow alone, and its answers only as the decision lets them be shown.

    A stream of answers is asked about again before each of them, which costs microseconds while the decision is
    held: it ends as soon as the decision is taken back. A deny is PERMISSION_DENIED (UNAUTHENTICATED with the acr
    values that would suffice in ``pdp-step-up-acr``, where other authentication would help); no decision, or an
    obligation that fails, is UNAVAILABLE.

    Args:
        client: asks; started and closed by its owner.
        question_of: gives the question that a call stands for; None, or any error, is a deny.
        exempt: full names of methods, or of services with a ``*`` after the slash, that are let through unasked.
    """

    def __init__(self, client: AsyncClient, question_of: QuestionOf, exempt: frozenset[str] = frozenset()) -> None:
        self._client = client
        self._question_of = question_of
        self._exempt = exempt

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Put the check before a method's handler."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        service = method.rpartition("/")[0] + "/*"
        if handler is None or not self._exempt.isdisjoint((method, service)):
            return handler
        return self._guarded(method, handler)

    def _guarded(self, method: str, handler: Any) -> Any:
        one_request, one_response = not handler.request_streaming, not handler.response_streaming
        make = {
            (True, True): grpc.unary_unary_rpc_method_handler,
            (True, False): grpc.unary_stream_rpc_method_handler,
            (False, True): grpc.stream_unary_rpc_method_handler,
            (False, False): grpc.stream_stream_rpc_method_handler,
        }[one_request, one_response]
        behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        guard = self._one if one_response else self._many

        def serve(request: Any, context: _Context) -> Any:
            return guard(method, behaviour, request, context, request if one_request else None)

        return make(
            _as_coroutine(serve) if one_response else _as_generator(serve),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    async def _one(self, method: str, behaviour: Any, request: Any, context: _Context, message: Any) -> Any:
        grant = await self._authorize(method, message, context)
        response = behaviour(request, context)
        return await self._shown(grant, await response if inspect.isawaitable(response) else response, context)

    async def _many(
        self, method: str, behaviour: Any, request: Any, context: _Context, message: Any
    ) -> AsyncIterator[Any]:
        grant = await self._authorize(method, message, context)
        first = grant.decision.id
        async for response in behaviour(request, context):
            # What comes before the data was done for this decision; another one has its own.
            again = await self._authorize(method, message, context, since=first)
            grant, first = again or grant, (again or grant).decision.id
            yield await self._shown(grant, response, context)

    async def _authorize(self, method: str, message: Any, context: _Context, since: str = "") -> Any:
        """Give the grant; with ``since``, None where that decision still stands."""
        try:
            question = self._question_of(method, message, context)
        except Exception:  # noqa: BLE001 - whoever cannot be asked about is not let through
            question = None
        if question is None:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no access is defined for this call")
        try:
            if since and (held := self._client.held(question)) and held.allowed and held.id == since:
                return None
            return await self._client.authorize(question)
        except AccessDeniedError as denied:
            await _refuse(denied, context)
        except (UnansweredError, ObligationFailedError):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "access cannot be decided now")

    async def _shown(self, grant: Grant, response: Any, context: _Context) -> Any:
        try:
            return grant.show(response)
        except ObligationFailedError:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer cannot be shown as it must be")


async def _refuse(denied: AccessDeniedError, context: _Context) -> None:
    step_up = denied.decision.step_up
    trailers = (("pdp-decision-id", denied.decision.id),)
    if step_up is None:
        await context.abort(grpc.StatusCode.PERMISSION_DENIED, "access denied", trailers)
    else:
        acr = (_STEP_UP, " ".join(step_up.acr_values))
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "stronger authentication is required", (*trailers, acr))


def _as_coroutine(serve: Callable[[Any, _Context], Any]) -> Any:
    async def handle(request: Any, context: _Context) -> Any:
        return await serve(request, context)

    return handle


def _as_generator(serve: Callable[[Any, _Context], Any]) -> Any:
    async def handle(request: Any, context: _Context) -> AsyncIterator[Any]:
        async for response in serve(request, context):
            yield response

    return handle
