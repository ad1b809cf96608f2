"""What several of these tests stand on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.telemetry.collectors import Collector, collecting


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep proxies and OpenTelemetry settings of the machine out."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith("OTEL_"):
            monkeypatch.delenv(name)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running
