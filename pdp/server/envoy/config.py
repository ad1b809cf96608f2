"""Envoy's configuration: our own templates with the settings filled in."""

from __future__ import annotations

import importlib.util
import json
import math
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pdp.server.application import Address, ServerSettings
    from pdp.server.rpc import Tls

_MIN_BUFFER = 4 << 20
_HEAP = 1 << 30
"""Bytes of heap at which Envoy sheds load."""


def admin_socket(directory: Path) -> Path:
    """The admin interface's socket of the worker that lives in ``directory``."""
    return directory / "admin.sock"


def watched(directory: Path) -> Path:
    """The directory into which a rename makes Envoy read the certificate files again."""
    return directory / "watched"


def module_path() -> str:
    """The file of pyvoy's dynamic module.

    Raises:
        RuntimeError: when pyvoy is not installed.
    """
    spec = importlib.util.find_spec("pyvoy._pyvoy")
    if spec is None or spec.origin is None:
        raise RuntimeError("pyvoy is not installed; serve by grpcio")
    return spec.origin


def write(settings: ServerSettings, directory: Path) -> Path:
    """Write a worker's configuration files into its private ``directory``; the main one's path."""
    watched(directory).mkdir(exist_ok=True)
    if settings.tls is not None:
        for name, text in secrets(settings.tls, watched(directory)).items():
            (directory / name).write_text(text)
    path = directory / "envoy.yaml"
    path.write_text(render(settings, directory, module_path()))
    return path


def render(settings: ServerSettings, directory: Path, module: str) -> str:
    """The main configuration file of a worker that lives in ``directory``."""
    limits, tls = settings.limits, settings.tls
    mutual = tls is not None and tls.client_ca is not None
    return _fill(
        "server.yaml.in",
        admin_socket=admin_socket(directory),
        host=settings.listen.host,
        port=settings.listen.port,
        additional_addresses=_additional(settings.http),
        buffer_bytes=max(_MIN_BUFFER, 4 * limits.message_bytes),
        transport_socket=_indent(_transport_socket(tls, directory), 6),
        forward_client_cert="SANITIZE_SET" if mutual else "SANITIZE",
        connection_age=f"{limits.connection_age:g}s",
        header_kib=math.ceil(limits.header_bytes / 1024),
        concurrent_streams=limits.concurrent_streams,
        requests_per_second=limits.requests_per_second,
        connections=limits.connections,
        heap_bytes=_HEAP,
        module=module,
    )


def secrets(tls: Tls, watched_directory: Path) -> dict[str, str]:
    """The secret files by name: where the certificates are, not what is in them."""
    files = {
        "certificate.yaml": _fill(
            "certificate.yaml.in",
            certificate=Path(tls.certificate).absolute(),
            private_key=Path(tls.private_key).absolute(),
            watched=watched_directory,
        )
    }
    if tls.client_ca is not None:
        client_ca = Path(tls.client_ca).absolute()
        files["client_ca.yaml"] = _fill("client_ca.yaml.in", client_ca=client_ca, watched=watched_directory)
    return files


def _transport_socket(tls: Tls | None, directory: Path) -> str:
    if tls is None:
        return "# No TLS: plaintext, for loopback only."
    validation = "# No client certificates."
    if tls.client_ca is not None:
        validation = _fill("validation.yaml.in", secret=directory / "client_ca.yaml").rstrip()
    return _fill(
        "tls.yaml.in",
        require_client_certificate=json.dumps(tls.client_ca is not None),
        secret=directory / "certificate.yaml",
        validation=_indent(validation, 6),
    ).rstrip()


def _additional(address: Address | None) -> str:
    if address is None:
        return "[]"
    socket_address = {"address": address.host, "port_value": address.port}
    return json.dumps([{"address": {"socket_address": socket_address}}])


def _fill(template: str, **values: object) -> str:
    text = resources.files(__package__).joinpath(template).read_text()
    return Template(text).substitute(values)


def _indent(text: str, width: int) -> str:
    """All lines but the first, which stands where the placeholder was, moved right."""
    return text.replace("\n", "\n" + " " * width)
