"""Settings of the signal receiver, each with its unit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pdp.core.errors import PdpError

_SECRET_LIMIT: Final = 8192
_LARGEST: Final = 1 << 20
_MOST: Final = 10_000
_HEADER: Final = re.compile(r"[!-~]+(?: [!-~]+)*", re.ASCII)


class SecretError(PdpError):
    """A secret that signals.yaml names is not to be had; says which, never what."""


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """Settings of the signal receiver. Times are in seconds.

    Attributes:
        path: the URL path at which transmitters push; empty takes no pushes.
        secrets: the folder with a file for each secret that signals.yaml names; the file's one line is an
            Authorization header such as ``Bearer ...``. Read again whenever it is needed.
        ca_file: PEM file of the authorities that may vouch for transmitters; the system's where empty.
        request_timeout: bound on one request to a transmitter, but for a long poll.
        poll_timeout: the longest that a poll may take to answer.
        poll_events: the most events asked for at once.
        retry_delay: the longest pause after a poll that failed; the first is a twentieth of it.
        keys_age: how long fetched keys are used before they are fetched anew.
        keys_grace: how much longer they are used while that fails.
        keys_interval: the least time between two fetches of the same keys, whoever asks for an unknown one.
        token_bytes: the largest token.
        clock_skew: by how much a time in a token may lie ahead of our clock.
        store_timeout: bound on one write of a signal or a feed; nobody's decision waits for it.
        redis_username: ACL user that writes; that of ``redis`` where empty.
        redis_password: its password.
    """

    path: str = "/signals/push"
    secrets: Path = Path("var/secrets")
    ca_file: str = ""
    request_timeout: float = 5.0
    poll_timeout: float = 60.0
    poll_events: int = 100
    retry_delay: float = 30.0
    keys_age: float = 3600.0
    keys_grace: float = 86400.0
    keys_interval: float = 10.0
    token_bytes: int = 65536
    clock_skew: float = 30.0
    store_timeout: float = 1.0
    redis_username: str = ""
    redis_password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ValueError: names the setting and what is allowed.
        """
        if self.path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", self.path, re.ASCII):
            raise ValueError("path: must be a plain URL path such as /signals/push, or empty")
        for name in ("request_timeout", "poll_timeout", "retry_delay", "keys_age", "store_timeout"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be above 0")
        for name in ("keys_grace", "keys_interval", "clock_skew"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: must not be below 0")
        if not 1 <= self.token_bytes <= _LARGEST or not 1 <= self.poll_events <= _MOST:
            raise ValueError("token_bytes, poll_events: must be from 1 to 1048576 and from 1 to 10000")

    def secret(self, name: str) -> str:
        """Read a secret.

        Raises:
            SecretError: there is no such file, or it does not hold one line that a header can carry.
        """
        try:
            text = (self.secrets / name).read_bytes()[: _SECRET_LIMIT + 1].decode("ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise SecretError(f"the secret {name!r} cannot be read from {self.secrets}") from None
        if len(text) > _SECRET_LIMIT or not _HEADER.fullmatch(text):
            raise SecretError(f"the secret {name!r} is not one line that a header can carry")
        return text
