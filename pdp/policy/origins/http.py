"""A bundle at an HTTP or HTTPS address, asked for with its entity tag (RFC 9110, section 8.8.3)."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Final

import httpx

from pdp.policy.archive import ARCHIVE_LIMIT
from pdp.policy.bundle import Trust, verify
from pdp.policy.origins.origin import Contents, PolicyUnavailableError

_NOT_MODIFIED: Final = 304
_OK: Final = 200


class HttpOrigin:
    """Implements ``Origin`` on a web address. A redirect is not followed: the address is where the trust is."""

    settles = False

    def __init__(
        self,
        url: str,
        trust: Trust,
        *,
        interval: float = 10.0,
        timeout: float = 30.0,
        headers: Mapping[str, str] | None = None,
        ca: Path | None = None,
    ) -> None:
        """Take note of the address; nothing is asked yet.

        Args:
            url: the address; what of it may be secret, its query, is never shown.
            trust: whose signatures the bundle needs.
            interval: seconds between two questions.
            timeout: seconds that an answer may take from the first byte of the question to its own last one.
            headers: what to send along, such as an authorization.
            ca: PEM file of the authorities that may vouch for the server; None means the system's.
        """
        parts = httpx.URL(url)
        self.name = str(parts.copy_with(query=None, username=None, password=None, fragment=None))
        self.interval = interval
        self._url = parts
        self._trust = trust
        self._timeout = timeout
        self._headers = dict(headers or {})
        self._tls = ssl.create_default_context(cafile=ca)
        self._tag = ""
        self._body = b""
        self._digest = ""

    def probe(self) -> Hashable:
        """Ask for the bundle, which is sent where it is not the one that is held already; give its digest."""
        asyncio.run(self._ask())
        return self._digest

    def read(self) -> Contents:
        """Verify what the last answer brought."""
        if not self._digest:
            self.probe()
        return Contents.of(verify(self._body, self._trust), self._body)

    async def _ask(self) -> None:
        known = {"if-none-match": self._tag} if self._tag else {}
        try:
            async with (
                asyncio.timeout(self._timeout),
                httpx.AsyncClient(verify=self._tls, timeout=self._timeout) as client,
                client.stream("GET", self._url, headers={**self._headers, **known}) as answer,
            ):
                await self._take(answer)
        except (TimeoutError, httpx.TimeoutException):
            raise self._unavailable(f"no whole answer within {self._timeout:g} s") from None
        except httpx.RemoteProtocolError:
            raise self._unavailable("the answer was cut short, or is not HTTP") from None
        except httpx.HTTPError as error:
            raise self._unavailable(f"cannot be asked ({type(error).__name__})") from None

    async def _take(self, answer: httpx.Response) -> None:
        if answer.status_code == _NOT_MODIFIED and self._digest:
            return
        if answer.status_code != _OK:
            raise self._unavailable(f"answered with status {answer.status_code}")
        body = bytearray()
        async for piece in answer.aiter_raw():
            body += piece
            if len(body) > ARCHIVE_LIMIT:
                raise self._unavailable(f"the answer is larger than {ARCHIVE_LIMIT} bytes")
        self._body, self._tag = bytes(body), answer.headers.get("etag", "")
        self._digest = hashlib.sha256(self._body).hexdigest()

    def _unavailable(self, problem: str) -> PolicyUnavailableError:
        return PolicyUnavailableError(self.name, problem)
