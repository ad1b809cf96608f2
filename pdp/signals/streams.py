"""The receiver's side of stream management (OpenID Shared Signals Framework 1.0, section 8): one client, one stream.

What a transmitter answers is given as it is; it is for a person to read, and nothing here decides by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from pdp.core.signals.events import uri_of
from pdp.core.signals.rules import Transmitter
from pdp.signals.errors import TransmitterError
from pdp.signals.http import TransmitterHttp
from pdp.signals.settings import SignalSettings

PUSH: Final = "urn:ietf:rfc:8935"
POLL: Final = "urn:ietf:rfc:8936"
_WELL_KNOWN: Final = "/.well-known/ssf-configuration"
_STATUSES: Final = ("enabled", "paused", "disabled")


class StreamClient:
    """Manages streams at one transmitter.

    Args:
        transmitter: as configured.
        http: a client.
        settings: where the secret is.
    """

    def __init__(self, transmitter: Transmitter, http: TransmitterHttp, settings: SignalSettings) -> None:
        self._transmitter = transmitter
        self._http = http
        self._settings = settings
        self._found: Mapping[str, Any] | None = None

    async def metadata(self) -> Mapping[str, Any]:
        """Give the transmitter's metadata.

        Raises:
            TransmitterError: it cannot be had, or is another issuer's.
        """
        if self._found is None:
            found = await self._http.call("GET", self._transmitter.configuration_uri or self._well_known())
            if not isinstance(found, dict) or found.get("issuer") != self._transmitter.issuer:
                raise TransmitterError("the metadata is not that of the issuer in signals.yaml")
            self._found = found
        return self._found

    async def create(self, endpoint: str, description: str = "") -> Any:
        """Make a stream for the events that signals.yaml lets the transmitter send.

        Args:
            endpoint: the URL of our push interface; empty where the transmitter is polled.
            description: for the transmitter's people.

        Raises:
            TransmitterError: as for every method here.
        """
        return await self._call("configuration_endpoint", "POST", body=self._wanted(endpoint, description))

    async def read(self, stream: str = "") -> Any:
        """Give a stream's configuration; of all of our streams without ``stream``."""
        return await self._call("configuration_endpoint", "GET", params={"stream_id": stream} if stream else None)

    async def update(self, stream: str, endpoint: str, description: str = "") -> Any:
        """Bring a stream in line with signals.yaml; what is not given stays as it is."""
        body = {**self._wanted(endpoint, description), "stream_id": stream}
        if not endpoint:
            del body["delivery"]
        return await self._call("configuration_endpoint", "PATCH", body=body)

    async def delete(self, stream: str) -> None:
        """Delete a stream."""
        await self._call("configuration_endpoint", "DELETE", params={"stream_id": stream})

    async def status(self, stream: str) -> Any:
        """Give a stream's status."""
        return await self._call("status_endpoint", "GET", params={"stream_id": stream})

    async def set_status(self, stream: str, status: str, reason: str = "") -> Any:
        """Enable, pause or disable a stream.

        Raises:
            ValueError: there is no such status.
        """
        if status not in _STATUSES:
            raise ValueError(f"status: must be one of {', '.join(_STATUSES)}")
        body = {"stream_id": stream, "status": status, **({"reason": reason} if reason else {})}
        return await self._call("status_endpoint", "POST", body=body)

    async def verify(self, stream: str, state: str) -> None:
        """Ask for a verification event with this state; it comes as any event of the stream does."""
        await self._call("verification_endpoint", "POST", body={"stream_id": stream, "state": state})

    def _wanted(self, endpoint: str, description: str) -> dict[str, Any]:
        transmitter = self._transmitter
        delivery: dict[str, str] = (
            {"method": POLL} if transmitter.poll_uri else {"method": PUSH, "endpoint_url": endpoint}
        )
        if transmitter.authorization and not transmitter.poll_uri:
            delivery["authorization_header"] = self._settings.secret(transmitter.authorization)
        return {
            "events_requested": sorted(uri_of(name) for name in transmitter.events),
            "delivery": delivery,
            **({"description": description} if description else {}),
        }

    async def _call(
        self,
        endpoint: str,
        method: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        url = (await self.metadata()).get(endpoint)
        if not isinstance(url, str) or not self._trusted(url):
            raise TransmitterError(f"the metadata has no {endpoint} that a secret may be sent to")
        secret = self._settings.secret(self._transmitter.secret) if self._transmitter.secret else ""
        return await self._http.call(method, url, body=body, params=params, authorization=secret)

    def _trusted(self, url: str) -> bool:
        """Say whether a URL of the metadata may be sent our secret: over TLS, or where the metadata itself is."""
        issuer = urlsplit(self._transmitter.configuration_uri or self._transmitter.issuer)
        parts = urlsplit(url)
        return parts.scheme == "https" or (parts.scheme, parts.netloc) == (issuer.scheme, issuer.netloc)

    def _well_known(self) -> str:
        """Give the metadata's usual place: the issuer's path follows the well-known one (SSF 1.0, section 7.2)."""
        parts = urlsplit(self._transmitter.issuer)
        return f"{parts.scheme}://{parts.netloc}{_WELL_KNOWN}{parts.path.rstrip('/')}"
