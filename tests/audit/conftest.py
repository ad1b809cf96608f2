"""Fixtures of the decision log's tests."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pdp.audit import AuditKeys
from tests.audit.support import make_keys

VECTORS = Path(__file__).resolve().parents[3] / "shared" / "vectors"


@pytest.fixture
def keys() -> AuditKeys:
    return make_keys()


@pytest.fixture
def sealed_keys() -> AuditKeys:
    return make_keys(sealed=True)


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: thousands of small files are synced there in no time."""
    shared = Path("/dev/shm")  # noqa: S108  the folder made in it is private
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared, prefix="pdp-audit-") as folder:
        yield Path(folder)


def load_vectors(name: str) -> Any:
    """Published test vectors; the test is skipped where they are not at hand."""
    path = VECTORS / name
    if not path.exists():
        pytest.skip(f"the vectors {name} are not beside this repository")
    return json.loads(path.read_text("utf-8"))
