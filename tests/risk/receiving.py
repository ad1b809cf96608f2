"""A receiver of security event tokens to push to: real HTTP on loopback, and the ways in which one fails."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from joserfc import jws
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry


class Receiver:
    """Takes pushes.

    Attributes:
        url: where to push.
        answers: statuses and bodies to answer with, first those; then 202.
        pushed: headers and body of every push.
    """

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.pushed: list[tuple[dict[str, str], bytes]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/events"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def tokens(self, key_set: bytes) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Verify every token that came under a JWK Set; give header and claims of each."""
        keys = KeySet.import_key_set(json.loads(key_set))
        registry = JWSRegistry(algorithms=["ES256", "RS256", "EdDSA"], strict_check_header=False)
        found = [jws.deserialize_compact(body, keys, registry=registry) for _, body in self.pushed]
        return [(dict(it.headers()), json.loads(it.payload)) for it in found]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                owner.pushed.append((headers, body))
                status, said = owner.answers.pop(0) if owner.answers else (202, b"")
                self.send_response(status)
                self.send_header("content-length", str(len(said)))
                self.send_header("location", "/elsewhere")
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
