"""Servers to test against, each version there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attributes.support import EXECUTABLES, Server, running


@pytest.fixture(params=sorted(EXECUTABLES))
def executable(request: pytest.FixtureRequest) -> str:
    """Each redis-server there is on this machine: 6.2 from the package, and the installed one."""
    return EXECUTABLES[request.param]


@pytest.fixture
def server(executable: str) -> Iterator[Server]:
    with running(executable) as one:
        yield one
