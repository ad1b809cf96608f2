"""What an operator may set, and what is refused before a log is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pdp.audit import IdentifierPolicy, LogSettings, Treatment


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"worker": ""}, "worker"),
        ({"worker": "../w0"}, "worker"),
        ({"worker": ".hidden"}, "worker"),
        ({"worker": "w" * 65}, "worker"),
        ({"worker": "w 0"}, "worker"),
        ({"segment_bytes": 4095}, "segment"),
        ({"segment_seconds": 0.0}, "segment"),
        ({"checkpoint_records": 0}, "positive"),
        ({"checkpoint_records": 500_001}, "500000"),
        ({"checkpoint_seconds": 0.0}, "positive"),
        ({"max_pending": 0}, "positive"),
        ({"retention_days": -1}, "negative"),
        ({"min_free_bytes": -1}, "negative"),
    ],
)
def test_what_cannot_work_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LogSettings(**change)


@pytest.mark.parametrize("worker", ["w", "w0", "pod-7.eu_1", "W" * 64])
def test_a_workers_folder_lies_in_the_directory(worker: str) -> None:
    assert LogSettings(directory=Path("log"), worker=worker).folder == Path("log") / worker


def test_only_a_policy_with_pseudonyms_needs_a_key() -> None:
    clear = IdentifierPolicy(*[Treatment.CLEAR] * 5)
    assert IdentifierPolicy().needs_key()
    assert not clear.needs_key()
    assert not IdentifierPolicy(*[Treatment.OMIT] * 5).needs_key()
    assert IdentifierPolicy(*[Treatment.CLEAR] * 5, resource_types={"card": Treatment.PSEUDONYM}).needs_key()
