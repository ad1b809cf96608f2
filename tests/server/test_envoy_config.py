"""Envoy's configuration: what we render is what Envoy accepts and what deploy/envoy shows."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pdp.server.application import Address, ServerSettings
from pdp.server.envoy import config, process
from pdp.server.rpc import Limits, Tls
from tests.server.pki import Authority
from tests.server.render_examples import EXAMPLES, examples

needs_envoy = pytest.mark.skipif(process.unavailable() is not None, reason=str(process.unavailable()))


def local(limits: Limits | None = None, tls: Tls | None = None) -> ServerSettings:
    return ServerSettings("x:y", {}, Address("127.0.0.1", 50051), None, limits or Limits(), tls)


def parsed(settings: ServerSettings) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(config.render(settings, Path("/run/pdp"), "/module.so"))
    return document


def manager(settings: ServerSettings) -> dict[str, Any]:
    listener = parsed(settings)["static_resources"]["listeners"][0]
    found: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return found


def test_deploy_shows_what_is_rendered() -> None:
    shown = {path.name: path.read_text() for path in EXAMPLES.glob("*.yaml")}
    assert shown == examples(), "run: python -m tests.server.render_examples"


@pytest.mark.parametrize("name", ["mtls.yaml", "plaintext.yaml"])
def test_the_admin_interface_is_a_private_socket(name: str) -> None:
    document = yaml.safe_load(examples()[name])
    assert document["admin"] == {"address": {"pipe": {"path": "/run/pdp/worker-0/admin.sock", "mode": 0o600}}}


def test_limits_reach_envoy() -> None:
    limits = Limits(concurrent_streams=7, header_bytes=5000, connection_age=12.5, connections=33)
    found = manager(local(limits))
    assert found["http2_protocol_options"]["max_concurrent_streams"] == 7
    assert found["max_request_headers_kb"] == 5
    assert found["common_http_protocol_options"]["max_connection_duration"] == "12.5s"
    monitors = parsed(local(limits))["overload_manager"]["resource_monitors"]
    assert monitors[1]["typed_config"]["max_active_downstream_connections"] == 33


def test_a_buffer_holds_more_than_a_message() -> None:
    limits = Limits(message_bytes=3 << 20)
    listener = parsed(local(limits))["static_resources"]["listeners"][0]
    assert listener["per_connection_buffer_limit_bytes"] > limits.message_bytes


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        (None, "SANITIZE"),
        (Tls("/c", "/k"), "SANITIZE"),
        (Tls("/c", "/k", "/ca"), "SANITIZE_SET"),
    ],
)
def test_a_certificate_header_is_never_taken_from_a_client(tls: Tls | None, expected: str) -> None:
    assert manager(local(tls=tls))["forward_client_cert_details"] == expected


def test_no_access_is_logged() -> None:
    assert "access_log" not in config.render(local(), Path("/run"), "/module.so")


@needs_envoy
@pytest.mark.parametrize("kind", ["plaintext", "tls", "mtls"])
def test_envoy_accepts_what_is_rendered(kind: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    pair = authority.issue("server")
    client_ca = str(authority.path) if kind == "mtls" else None
    tls = None if kind == "plaintext" else Tls(str(pair.certificate), str(pair.key), client_ca)
    command = process.command(local(tls=tls), tmp_path)
    path = tmp_path / "envoy.yaml"
    # Validation loads the application; one that is always there stands in for the worker.
    path.write_text(
        path.read_text()
        .replace("pdp.server.envoy.worker:app", "tests.server.asgi_stub:app")
        .replace('"lifespan": true', '"lifespan": false')
    )
    root = str(Path(__file__).parents[2])
    environment = process.environment()
    environment["PYTHONPATH"] = f"{root}:{environment['PYTHONPATH']}"
    done = subprocess.run(
        [*command, "--mode", "validate"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()
