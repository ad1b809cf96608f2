"""Push delivery of security event tokens (RFC 8935): one POST, one token, 202 or an error that says what to mend.

A refusal is 400 with ``err`` and ``description``, and the transmitter does not repeat it. What is not the token's
fault (no store, no keys, no policy) is 503: it is to be sent again.
"""

from __future__ import annotations

import json
from typing import Final

from pdp.server.rpc import HttpHandler, HttpRequest, HttpResponse
from pdp.signals.errors import SetError, SetErrorCode
from pdp.signals.receiver import SignalReceiver

_MEDIA_TYPE: Final = "application/secevent+jwt"
_RETRY_AFTER: Final = "2"
_HEADERS: Final = {"content-type": "application/json", "content-language": "en", "cache-control": "no-store"}


class SignalPush:
    """Takes pushes.

    Args:
        receiver: verifies and applies.
        path: where.
    """

    def __init__(self, receiver: SignalReceiver, path: str) -> None:
        self._receiver = receiver
        self._path = path

    def handlers(self) -> dict[tuple[str, str], HttpHandler]:
        """Give the handlers by method and path; none where no path is set."""
        return {("POST", self._path): self._push} if self._path else {}

    async def _push(self, request: HttpRequest) -> HttpResponse:
        try:
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _MEDIA_TYPE:
                return _refused(SetError(SetErrorCode.INVALID_REQUEST, f"the content type is not {_MEDIA_TYPE}"))
            await self._receiver.receive(request.body.strip(), request.headers.get("authorization", ""))
        except SetError as error:
            return _refused(error)
        return HttpResponse(202)


def _refused(error: SetError) -> HttpResponse:
    body = json.dumps({"err": error.code, "description": error.description}).encode()
    if error.transient:
        return HttpResponse(503, body, {**_HEADERS, "retry-after": _RETRY_AFTER})
    return HttpResponse(400, body, _HEADERS)
