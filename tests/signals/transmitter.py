"""A small Shared Signals transmitter to test against: real HTTP on loopback, real keys, and every way to misbehave.

``with Transmitter() as transmitter:`` serves its metadata, keys, poll endpoint and stream management. It can rotate
its keys, be slow and be down; and it makes tokens, right ones and wrong ones.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
RISC = "https://schemas.openid.net/secevent/risc/event-type/"
SSF = "https://schemas.openid.net/secevent/ssf/event-type/"
AUDIENCE = "https://pdp.example.com/signals"
_ALGORITHMS = {ECKey: "ES256", RSAKey: "RS256", OKPKey: "EdDSA"}


def new_key(kind: str = "EC", size: str | int | None = None, kid: str | None = None) -> Key:
    """Make a signing key: EC (P-256), RSA (2048) or OKP (Ed25519)."""
    make = {"EC": (ECKey, "P-256"), "RSA": (RSAKey, 2048), "OKP": (OKPKey, "Ed25519")}[kind]
    return make[0].generate_key(size or make[1], {"kid": kid or secrets.token_hex(4), "use": "sig"})


def sign(claims: Mapping[str, Any] | bytes, key: Key, **header: Any) -> bytes:
    """Sign a payload as a security event token; ``header`` replaces parts of the header, None takes one away."""
    whole = {"typ": "secevent+jwt", "alg": _ALGORITHMS[type(key)], "kid": key.kid, **header}
    protected = {name: value for name, value in whole.items() if value is not None}
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    registry = JWSRegistry(algorithms=[protected["alg"]], strict_check_header=False)
    registry.check_header = lambda _: None  # what is wrong with a header is for the receiver to find
    return jws.serialize_compact(protected, payload, key, [protected["alg"]], registry).encode()


class Transmitter:
    """A transmitter.

    Attributes:
        url: where it listens; also its issuer.
        key: the key it signs with.
        published: the keys its ``jwks_uri`` gives out.
        answer_keys: what is given out in the place of those keys, if anything.
        answer_jwks: what is given out in the place of the whole key set, if anything.
        answer_poll: what a poll is answered, if anything but tokens.
        metadata_changes: parts of its metadata that are other than they should be.
        delay: seconds before every answer.
        down: whether it answers 503 to everything.
        secret: the Authorization header it asks for, but for metadata and keys.
        requests: every request: method, path and body.
        pending: tokens to be polled, by jti.
        acknowledged: what pollers acknowledged.
        refused: what pollers reported, by jti.
        streams: stream configurations by id.
    """

    def __init__(self, kind: str = "EC", secret: str = "") -> None:
        self.key = new_key(kind)
        self.published = [self.key]
        self.answer_keys: list[Any] = []
        self.answer_jwks: Any = None
        self.answer_poll: Any = None
        self.metadata_changes: dict[str, Any] = {}
        self.delay = 0.0
        self.down = False
        self.secret = secret
        self.requests: list[tuple[str, str, Any]] = []
        self.pending: dict[str, str] = {}
        self.acknowledged: list[str] = []
        self.refused: dict[str, Any] = {}
        self.streams: dict[str, dict[str, Any]] = {}
        self.verifications: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._stopped = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._news:
            self._stopped = True
            self._news.notify_all()
        self._server.shutdown()
        self._server.server_close()

    @property
    def issuer(self) -> str:
        return self.url

    @property
    def jwks_uri(self) -> str:
        return f"{self.url}/jwks.json"

    @property
    def keys_fetched(self) -> int:
        return sum(path == "/jwks.json" for _, path, _ in self.requests)

    def rotate(self, kind: str = "EC", *, keep: bool = False) -> None:
        """Sign with a new key, and publish it, beside the old ones with ``keep``."""
        self.key = new_key(kind)
        self.published = [*self.published, self.key] if keep else [self.key]

    def claims(
        self, event: str, subject: Any, body: Mapping[str, Any] | None = None, **changes: Any
    ) -> dict[str, Any]:
        """Make the claims of a right token; ``changes`` replace some, None takes one away."""
        now = int(time.time())
        whole = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "iat": now,
            "jti": secrets.token_hex(12),
            "sub_id": subject,
            "events": {event: {"event_timestamp": now, **(body or {})}},
            **changes,
        }
        return {name: value for name, value in whole.items() if value is not None}

    def token(self, event: str, subject: Any, body: Mapping[str, Any] | None = None, **changes: Any) -> bytes:
        """Make a right token."""
        return sign(self.claims(event, subject, body, **changes), self.key)

    def enqueue(self, token: bytes, jti: str = "") -> str:
        """Let pollers have a token."""
        jti = jti or secrets.token_hex(8)
        with self._news:
            self.pending[jti] = token.decode()
            self._news.notify_all()
        return jti

    def enqueue_event(self, event: str, subject: Any, body: Mapping[str, Any] | None = None) -> str:
        """Let pollers have a right token."""
        claims = self.claims(event, subject, body)
        return self.enqueue(sign(claims, self.key), claims["jti"])

    def answer(self, method: str, target: str, body: Any, authorization: str) -> tuple[int, Any]:
        """Answer a request with a status and JSON, or None for no content."""
        parts = urlsplit(target)
        self.requests.append((method, parts.path, body))
        time.sleep(self.delay)
        if self.down:
            return 503, {}
        if parts.path == "/jwks.json":
            return 200, self.answer_jwks or {"keys": self.answer_keys or self._keys()}
        if parts.path == "/.well-known/ssf-configuration":
            return 200, self._metadata()
        if authorization != self.secret:
            return 401, {}
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        route = {"/poll": self._poll, "/stream": self._stream, "/status": self._status, "/verify": self._verify}
        return route[parts.path](method, body, query) if parts.path in route else (404, {})

    def _keys(self) -> list[Any]:
        return [key.as_dict(private=False) for key in self.published]

    def _metadata(self) -> dict[str, Any]:
        return {
            "spec_version": "1_0",
            "issuer": self.issuer,
            "jwks_uri": self.jwks_uri,
            "delivery_methods_supported": ["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"],
            "configuration_endpoint": f"{self.url}/stream",
            "status_endpoint": f"{self.url}/status",
            "verification_endpoint": f"{self.url}/verify",
            **self.metadata_changes,
        }

    def _poll(self, _: str, body: Any, __: Mapping[str, str]) -> tuple[int, Any]:
        if self.answer_poll is not None:
            return 200, self.answer_poll
        with self._news:
            for jti in body.get("ack", ()):
                self.acknowledged.append(jti)
                self.pending.pop(jti, None)
            for jti, error in body.get("setErrs", {}).items():
                self.refused[jti] = error
                self.pending.pop(jti, None)
            if not body.get("returnImmediately"):
                self._news.wait_for(lambda: self.pending or self._stopped or self.down, 10)
            most = body.get("maxEvents", 100)
            chosen = dict(list(self.pending.items())[:most])
            return 200, {"sets": chosen, "moreAvailable": len(self.pending) > most}

    def _stream(self, method: str, body: Any, query: Mapping[str, str]) -> tuple[int, Any]:
        if method == "POST":
            stream = {"stream_id": secrets.token_hex(4), "iss": self.issuer, "aud": AUDIENCE, "status": "enabled"}
            self.streams[stream["stream_id"]] = {**stream, **body, "events_delivered": body["events_requested"]}
            return 201, self.streams[stream["stream_id"]]
        name = query.get("stream_id") or (body or {}).get("stream_id", "")
        if method == "GET" and not name:
            return 200, list(self.streams.values())
        if name not in self.streams:
            return 404, {}
        if method == "DELETE":
            del self.streams[name]
            return 204, None
        if method == "PATCH":
            self.streams[name].update(body)
        return 200, self.streams[name]

    def _status(self, method: str, body: Any, query: Mapping[str, str]) -> tuple[int, Any]:
        name = query.get("stream_id") or body["stream_id"]
        if name not in self.streams:
            return 404, {}
        if method == "POST":
            self.streams[name]["status"] = body["status"]
        return 200, {"stream_id": name, "status": self.streams[name]["status"]}

    def _verify(self, _: str, body: Any, __: Mapping[str, str]) -> tuple[int, Any]:
        if body["stream_id"] not in self.streams:
            return 404, {}
        self.verifications.append(body)
        self.enqueue_event(
            SSF + "verification", {"format": "opaque", "id": body["stream_id"]}, {"state": body["state"]}
        )
        return 204, None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                status, found = outer.answer(self.command, self.path, body, self.headers.get("authorization", ""))
                content = b"" if found is None else json.dumps(found).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve  # noqa: N815 - the names that http.server calls

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
