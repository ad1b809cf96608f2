"""Which origin a setting names."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pdp.core.errors import PdpError
from pdp.policy.bundle import Trust
from pdp.policy.origins.file import FileOrigin
from pdp.policy.origins.folder import FolderOrigin
from pdp.policy.origins.git import GitOrigin
from pdp.policy.origins.http import HttpOrigin
from pdp.policy.origins.origin import Origin

_GIT: Final = "git+"
_NOBODY: Final = Trust()


class SourceError(PdpError):
    """The setting names no place that a policy can safely come from."""


@dataclass(frozen=True, slots=True)
class Approach:
    """How to come by a policy.

    Attributes:
        trust: whose signatures are needed.
        watch: seconds between two looks at files.
        poll: seconds between two questions to a server.
        companions: whether the files by which a policy is checked are wanted as well.
        headers: what to send to an HTTP server.
        ca: PEM file of the authorities that may vouch for an HTTPS server; None means the system's.
    """

    trust: Trust = _NOBODY
    watch: float = 0.25
    poll: float = 10.0
    companions: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca: Path | None = None


def open_origin(source: str, approach: Approach) -> Origin:
    """Make the origin that a setting names; nothing is asked or read yet.

    Args:
        source: a folder, a bundle file, ``https://...``, or ``git+URL#REF:PATH``.
        approach: how to come by it.

    Raises:
        SourceError: nothing can be read there, or nothing that would be signed as it must be.
    """
    trust = approach.trust
    if trust.needed > len({key.name for key in trust.keys}):
        raise SourceError(f"policy.signatures: {trust.needed} signers are needed and fewer have keys in bundle_keys")
    if source.startswith(_GIT):
        address, _, place = source.removeprefix(_GIT).partition("#")
        ref, _, path = place.partition(":")
        try:
            return GitOrigin(address, ref, path.strip("/"), trust, interval=approach.poll)
        except ValueError as error:
            raise SourceError(f"policy.source: {error}") from None
    if source.startswith(("http://", "https://")):
        _require_integrity(source, trust)
        return HttpOrigin(source, trust, interval=approach.poll, headers=approach.headers, ca=approach.ca)
    file = Path(source)
    if file.suffix == ".bundle":
        return FileOrigin(file, trust, interval=approach.watch)
    if trust.needed:
        raise SourceError(f"policy.source: {source} is a folder, which carries no signatures; sign a bundle")
    return FolderOrigin(file, interval=approach.watch, companions=approach.companions)


def _require_integrity(url: str, trust: Trust) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or trust.needed or _is_loopback(parts.hostname or ""):
        return
    raise SourceError("policy.source: over http anybody on the way can change it; demand signatures, or use https")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
