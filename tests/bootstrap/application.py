"""What one worker runs, started and stopped in a test's own process, and what it put on record."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from pdp.audit.keys import generate_secret, generate_signing
from pdp.audit.scan import scan
from pdp.audit.search import Query
from pdp.bootstrap.application import DecisionApplication, build
from pdp.server.application import Place

ROOT = Path(__file__).parents[2]


def settings_in(folder: Path, **sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings of a service whose log, keys and state are in a folder; no attribute store answers it."""
    base: dict[str, dict[str, Any]] = {
        "audit": {"directory": str(folder / "audit"), "keys": str(folder / "keys"), "min_free_bytes": 0},
        "policy": {"folder": str(ROOT / "policies"), "state": str(folder / "state")},
        "redis": {"url": f"unix://{folder}/nobody"},
        "telemetry": {"log_level": "error"},
    }
    return {name: base.get(name, {}) | sections.get(name, {}) for name in {*base, *sections}}


def log_settings(folder: Path) -> dict[str, str]:
    """The environment of a command whose log and keys are in a folder."""
    return {"PDP_AUDIT__DIRECTORY": str(folder / "audit"), "PDP_AUDIT__KEYS": str(folder / "keys")}


def make_keys(folder: Path) -> None:
    """Make the keys of a log as ``pdp serve`` does."""
    generate_signing(folder / "keys", "pdp")
    generate_secret(folder / "keys", "pseudonym")


@contextlib.asynccontextmanager
async def started(folder: Path, **sections: dict[str, Any]) -> AsyncIterator[DecisionApplication]:
    """Start the application and stop it again."""
    with _logging_kept():
        if not (folder / "keys").exists():
            make_keys(folder)
        application = await build(settings_in(folder, **sections), Place())
        await application.start()
        try:
            yield application
        finally:
            application.drain()
            await application.stop()
            gc.unfreeze()


def records(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Every record of a kind that is in the log, oldest first."""
    return [record for _, record in scan(folder / "audit", Query(), None) if record["kind"] == kind]


@contextlib.contextmanager
def _logging_kept() -> Iterator[None]:
    """Undo what the application does to the logging of the process."""
    root = logging.getLogger()
    loggers = [root, *(it for it in root.manager.loggerDict.values() if isinstance(it, logging.Logger))]
    handlers, levels = root.handlers[:], [it.level for it in loggers]
    try:
        yield
    finally:
        root.handlers[:] = handlers
        for it, level in zip(loggers, levels, strict=True):
            it.setLevel(level)
