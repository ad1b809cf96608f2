"""Writes deploy/envoy: the configuration as a worker gets it. ``python -m tests.server.render_examples``."""

from __future__ import annotations

from pathlib import Path

from pdp.server.application import Address, ServerSettings
from pdp.server.envoy.config import render, secrets
from pdp.server.rpc import Tls

EXAMPLES = Path(__file__).parents[2] / "deploy" / "envoy"
_DIRECTORY = Path("/run/pdp/worker-0")
_MODULE = "/opt/pdp/lib/python3.13/site-packages/pyvoy/_pyvoy.abi3.so"
_TLS = Tls("/etc/pdp/tls/tls.crt", "/etc/pdp/tls/tls.key", "/etc/pdp/tls/ca.crt")


def examples() -> dict[str, str]:
    """The files by name."""
    factory = "pdp.bootstrap.application:build"
    mutual = ServerSettings(factory, {}, Address("0.0.0.0", 50051), tls=_TLS)  # noqa: S104 - an example
    local = ServerSettings(factory, {}, Address("127.0.0.1", 50051), Address("127.0.0.1", 8181))
    return {
        "mtls.yaml": render(mutual, _DIRECTORY, _MODULE),
        "plaintext.yaml": render(local, _DIRECTORY, _MODULE),
        **secrets(_TLS, _DIRECTORY / "watched"),
    }


if __name__ == "__main__":
    EXAMPLES.mkdir(parents=True, exist_ok=True)
    for name, text in examples().items():
        (EXAMPLES / name).write_text(text)
