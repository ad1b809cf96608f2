"""Device management that speaks CAEP: it publishes its key, and pushes signed security event tokens (RFC 8935)."""

from __future__ import annotations

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

import httpx
from joserfc import jws
from joserfc.jwk import ECKey

ISSUER: Final = "https://mdm.example.com/"
AUDIENCE: Final = "https://pdp.example.com/signals"
COMPLIANCE: Final = "https://schemas.openid.net/secevent/caep/event-type/device-compliance-change"
_SECRET: Final = "device-management-push"  # noqa: S105 - a secret's name


class DeviceManagement:
    """A transmitter on loopback. ``with DeviceManagement() as mdm``.

    Attributes:
        jwks_uri: where its public key is.
    """

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256", {"kid": secrets.token_hex(4), "use": "sig"})
        self._authorization = f"Bearer {secrets.token_urlsafe(24)}"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _keys_handler(self._key))
        self.jwks_uri = f"http://127.0.0.1:{self._server.server_port}/jwks.json"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def introduce(self, policies: Path, secrets_folder: Path) -> None:
        """Have a copy of the sample policy believe it: by its key, and by a header that only it knows."""
        file = policies / "signals.yaml"
        file.write_text(file.read_text().replace("https://mdm.example.com/jwks.json", self.jwks_uri))
        secrets_folder.mkdir(mode=0o700)
        (secrets_folder / _SECRET).write_text(self._authorization)

    def token(self, device: str, *, compliant: bool) -> bytes:
        """Say, signed, how a device is now."""
        status, before = ("compliant", "not-compliant") if compliant else ("not-compliant", "compliant")
        event = {"current_status": status, "previous_status": before, "event_timestamp": round(time.time(), 3)}
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": int(time.time()),
            "jti": secrets.token_hex(16),
            "sub_id": {"format": "opaque", "id": device},
            "events": {COMPLIANCE: event},
        }
        header = {"alg": "ES256", "typ": "secevent+jwt", "kid": self._key.kid}
        return jws.serialize_compact(header, json.dumps(claims), self._key).encode()

    async def push(self, client: httpx.AsyncClient, receiver: str, token: bytes) -> None:
        """Push a token.

        Raises:
            httpx.HTTPStatusError: it is not accepted.
        """
        headers = {"content-type": "application/secevent+jwt", "authorization": self._authorization}
        (await client.post(f"{receiver}/signals/push", content=token, headers=headers)).raise_for_status()


def _keys_handler(key: ECKey) -> type[BaseHTTPRequestHandler]:
    body = json.dumps({"keys": [key.as_dict(private=False)]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/jwk-set+json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
