"""Settings of the watch on behaviour, each with its unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ISSUER: Final = re.compile(r"[!-~]{1,200}", re.ASCII)
_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+", re.ASCII)
_DAY: Final = 86400.0
_MOST: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class RiskSettings:
    """Settings of the watch on behaviour, which limits.yaml turns on. Times are in seconds.

    Attributes:
        enabled: whether behaviour is watched at all, where the policy folder has a limits.yaml.
        queue: the most decisions that wait to be counted; beyond them some are not counted, and that is told.
        batch: the most decisions that are counted at once.
        pause: the least time between two batches.
        timeout: bound on one step of the store.
        sweep: how often it is looked whose level has to fall.
        retention: how long a subject that is not seen any more is remembered.
        issuer: the ``iss`` of our tokens, and who is named as the source of what is set.
        signing_key: PEM file of the private key that signs tokens: EC (P-256), RSA or Ed25519. None sends no tokens.
        jwks_path: the URL path of the public key, for receivers; empty for none.
        ca_file: PEM file of the authorities that may vouch for receivers; the system's where empty.
        request_timeout: bound on one push to a receiver.
        attempts: how often a push is tried before it is given up.
        retry_delay: the longest pause between attempts; the first is a twentieth of it.
        outbox: the most tokens on their way, to all receivers together.
    """

    enabled: bool = True
    queue: int = 10_000
    batch: int = 200
    pause: float = 0.01
    timeout: float = 1.0
    sweep: float = 5.0
    retention: float = 60 * _DAY
    issuer: str = "urn:pdp:risk"
    signing_key: Path | None = None
    jwks_path: str = "/risk/jwks.json"
    ca_file: str = ""
    request_timeout: float = 5.0
    attempts: int = 10
    retry_delay: float = 60.0
    outbox: int = 1000

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ValueError: names the setting and what is allowed.
        """
        for name in ("queue", "batch", "attempts", "outbox"):
            if not 1 <= getattr(self, name) <= _MOST:
                raise ValueError(f"{name}: must be from 1 to {_MOST}")
        for name in ("timeout", "sweep", "request_timeout", "retry_delay"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be above 0")
        if not 0 <= self.pause <= 1:
            raise ValueError("pause: must be from 0 to 1")
        if self.retention < 8 * _DAY:
            raise ValueError("retention: must be at least 8 days, longer than any window")
        if not _ISSUER.fullmatch(self.issuer):
            raise ValueError("issuer: must be a URI of at most 200 characters")
        if self.jwks_path and not _PATH.fullmatch(self.jwks_path):
            raise ValueError("jwks_path: must be a plain URL path such as /risk/jwks.json, or empty")
