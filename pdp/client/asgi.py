"""An enforcement point in an ASGI application.

Source: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from pdp.client.aio import AsyncClient, Grant
from pdp.client.decision import Decision
from pdp.client.errors import AccessDeniedError, ObligationFailedError, UnansweredError
from pdp.client.question import Question

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
QuestionOf = Callable[[Scope], Question | None]

_LARGEST_BODY: Final = 8 << 20
_POLICY_VIOLATION: Final = 1008
_TRY_AGAIN_LATER: Final = 1013


class AuthorizationMiddleware:
    """Lets a request through on an allow alone, and its answer only as the decision lets it be shown.

    A deny is 403 (401 with a ``WWW-Authenticate`` challenge of RFC 9470 where other authentication would help), no
    decision is 503; both are ``application/problem+json`` (RFC 9457). Where the decision has obligations on the
    data, the answer is held back, must be JSON, and is sent as changed; otherwise it passes piece by piece, each
    asked about again. A WebSocket is asked about before it opens and before each message to it.

    Args:
        application: what is protected.
        client: asks; started and closed by its owner.
        question_of: gives the question that a connection stands for; None, or any error, is a deny.
        exempt: paths that are let through unasked.
        realm: named in challenges.
    """

    def __init__(
        self,
        application: Application,
        client: AsyncClient,
        question_of: QuestionOf,
        exempt: frozenset[str] = frozenset(),
        realm: str = "pdp",
    ) -> None:
        self._application = application
        self._client = client
        self._question_of = question_of
        self._exempt = exempt
        self._realm = realm

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in self._exempt:
            await self._application(scope, receive, send)
            return
        try:
            question = self._question_of(scope)
        except Exception:  # noqa: BLE001 - whoever cannot be asked about is not let through
            question = None
        refuse = self._refuse_http if scope["type"] == "http" else _refuse_websocket
        if question is None:
            await refuse(send, 403, None)
            return
        try:
            grant = await self._client.authorize(question)
        except AccessDeniedError as denied:
            await refuse(send, 403, denied.decision)
        except (UnansweredError, ObligationFailedError):
            await refuse(send, 503, None)
        else:
            await self._serve(scope, receive, send, question, grant)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, question: Question, grant: Grant) -> None:
        if scope["type"] == "http" and grant.decision.obligations:
            body = _Body()
            await self._application(scope, receive, body.take)
            await self._send_shown(send, body, grant)
            return
        watched = _Watched(self._client, question, grant, send)
        try:
            await self._application(scope, receive, watched.send)
        except (AccessDeniedError, UnansweredError, ObligationFailedError):
            # Access was taken back. An answer that has begun can only be broken off, which the server does for us.
            if scope["type"] == "http":
                raise
            await _refuse_websocket(send, 403, None)

    async def _send_shown(self, send: Send, body: _Body, grant: Grant) -> None:
        """Send an answer as its decision lets it be shown."""
        if body.start is None or body.too_large:
            await self._refuse_http(send, 503, None)
            return
        try:
            content = json.dumps(grant.show(json.loads(bytes(body.content)))).encode() if body.content else b""
        except (ObligationFailedError, ValueError):
            await self._refuse_http(send, 503, None)
            return
        kept = [pair for pair in body.start.get("headers", ()) if bytes(pair[0]).lower() not in _OF_THE_BODY]
        length = (b"content-length", str(len(content)).encode())
        await send({**body.start, "headers": [*kept, length, (b"cache-control", b"no-store")]})
        await send({"type": "http.response.body", "body": content})

    async def _refuse_http(self, send: Send, status: int, decision: Decision | None) -> None:
        challenge = _challenge(self._realm, decision)
        status = 401 if challenge else status
        problem = {"title": "access denied" if status != 503 else "access cannot be decided now", "status": status}  # noqa: PLR2004
        if decision:
            problem["decision_id"] = decision.id
        content = json.dumps(problem).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(content)).encode()),
            (b"cache-control", b"no-store"),
            *([(b"www-authenticate", challenge.encode())] if challenge else []),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


# Of an answer that is changed, these are not true any more.
_OF_THE_BODY: Final = frozenset({b"content-length", b"etag", b"content-md5", b"digest", b"cache-control"})


class _Body:
    """An answer that is held back."""

    def __init__(self) -> None:
        self.start: Message | None = None
        self.content = bytearray()
        self.too_large = False

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        elif message["type"] == "http.response.body":
            self.content += message.get("body", b"")
            self.too_large = self.too_large or len(self.content) > _LARGEST_BODY
            if self.too_large:
                self.content.clear()


class _Watched:
    """Sends on as long as the decision stands."""

    def __init__(self, client: AsyncClient, question: Question, grant: Grant, send: Send) -> None:
        self._client = client
        self._question = question
        self._grant = grant
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.body", "websocket.send"):
            await self._check(message)
            if message["type"] == "websocket.send" and self._grant.decision.obligations:
                message = self._shown(message)
        await self._send(message)

    async def _check(self, message: Message) -> None:
        held = self._client.held(self._question)
        if held and held.id == self._grant.decision.id:
            return
        self._grant = await self._client.authorize(self._question)
        if message["type"] == "http.response.body" and self._grant.decision.obligations:
            raise ObligationFailedError(self._grant.decision.obligations[0].id, "came when the answer had begun")

    def _shown(self, message: Message) -> Message:
        return {"type": "websocket.send", "text": json.dumps(self._grant.show(json.loads(message.get("text") or "")))}


async def _refuse_websocket(send: Send, status: int, decision: Decision | None) -> None:  # noqa: ARG001 - no room for it
    code = _POLICY_VIOLATION if status == 403 else _TRY_AGAIN_LATER  # noqa: PLR2004
    await send({"type": "websocket.close", "code": code, "reason": "access denied"})


def _challenge(realm: str, decision: Decision | None) -> str:
    """Give the challenge of RFC 9470, section 3."""
    if decision is None or decision.step_up is None:
        return ""
    parts = [f'Bearer realm="{realm}"', 'error="insufficient_user_authentication"']
    if decision.step_up.acr_values:
        parts.append(f'acr_values="{" ".join(decision.step_up.acr_values)}"')
    if decision.step_up.max_age is not None:
        parts.append(f'max_age="{decision.step_up.max_age}"')
    return ", ".join(parts)
