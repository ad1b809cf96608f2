"""One service for all tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.live import Live, alive


@pytest.fixture(scope="session")
def live() -> Iterator[Live]:
    with alive() as running:
        yield running
