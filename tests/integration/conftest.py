"""One service with the sample policy and attributes for all tests that only ask it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.running import Service, serving


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    with serving("--sample") as running:
        yield running
