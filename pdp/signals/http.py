"""Requests to transmitters: bounded in time and size, never redirected, and JSON in every answer."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpx

from pdp.signals.errors import TransmitterError
from pdp.signals.settings import SignalSettings

_ANSWER_LIMIT: Final = 16 << 20
_NO_CONTENT: Final = frozenset({202, 204})


class TransmitterHttp:
    """A client of transmitters. ``close`` it on the event loop that used it."""

    def __init__(self, settings: SignalSettings) -> None:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        # The environment's proxies are not ours to trust with who is believed.
        self._client = httpx.AsyncClient(
            verify=context, timeout=settings.request_timeout, follow_redirects=False, trust_env=False
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def call(
        self,
        method: str,
        url: str,
        *,
        body: Mapping[str, Any] | None = None,
        authorization: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 - the client bounds each step by it
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request, and give the JSON of its answer; None where it has no content.

        Raises:
            TransmitterError: no answer in time, one that is no success, too large, or no JSON.
        """
        headers = {"accept": "application/json", **({"authorization": authorization} if authorization else {})}
        request = self._client.build_request(
            method, url, json=body, headers=headers, params=params, timeout=timeout or httpx.USE_CLIENT_DEFAULT
        )
        try:
            answer = await self._client.send(request, stream=True)
            try:
                content = await _bounded(answer)
            finally:
                await answer.aclose()
        except httpx.HTTPError as error:
            raise TransmitterError(f"{request.url.host}: {type(error).__name__}") from None
        if not answer.is_success:
            raise TransmitterError(f"{request.url.host} answered {answer.status_code}")
        if not content and answer.status_code in _NO_CONTENT:
            return None
        return _parsed(content, request.url.host)


async def _bounded(answer: httpx.Response) -> bytes:
    found = bytearray()
    async for piece in answer.aiter_bytes():
        found += piece
        if len(found) > _ANSWER_LIMIT:
            raise TransmitterError("the answer is too large")
    return bytes(found)


def _parsed(content: bytes, host: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise TransmitterError(f"{host} did not answer with JSON") from None
