"""One service on each transport, with the sample policy and attributes, for all tests that only ask it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pdp.server.envoy import process
from tests.integration.running import Service, serving

_REASON = process.unavailable()


@pytest.fixture(
    scope="session",
    params=["grpcio", pytest.param("envoy", marks=pytest.mark.skipif(_REASON is not None, reason=str(_REASON)))],
)
def transport(request: pytest.FixtureRequest) -> str:
    """What carries the protocol: what a user sees is the same."""
    return str(request.param)


@pytest.fixture(scope="session")
def service(transport: str) -> Iterator[Service]:
    with serving("--sample", "--server", transport) as running:
        yield running
