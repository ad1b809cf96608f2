"""An origin that is looked at once: the first answers stand for good."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdp.core.errors import PolicyInvalidError
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import PolicyKeeper, StateFolder
from pdp.policy.origins.folder import FolderOrigin
from pdp.policy.origins.once import OnceOrigin
from pdp.policy.origins.origin import Contents, PolicyUnavailableError
from pdp.policy.store import Pin
from tests.policy.example import swap, write

STRICTER = swap("policy/rules.csv", "risk < 50", "risk < 40")


class Faulty:
    """Fails the first time, and would not the next."""

    name, interval, settles = "faulty", 0.1, True

    def __init__(self, error: Exception) -> None:
        self.errors = [error, error]

    def probe(self) -> object:
        return self._tell()

    def read(self) -> Contents:
        self._tell()
        return Contents({})

    def _tell(self) -> object:
        if self.errors:
            raise self.errors.pop()
        return "well"


def test_what_changes_later_is_not_seen(tmp_path: Path) -> None:
    origin = OnceOrigin(FolderOrigin(write(tmp_path)))
    mark, revision = origin.probe(), origin.read().revision
    write(tmp_path, STRICTER)
    assert (origin.probe(), origin.read().revision) == (mark, revision)
    assert FolderOrigin(tmp_path).read().revision != revision


@pytest.mark.parametrize("error", [PolicyUnavailableError("there", "is out of reach"), PolicyInvalidError(())])
def test_a_failure_is_an_answer_too(error: Exception) -> None:
    origin = OnceOrigin(Faulty(error))
    for ask in (origin.probe, origin.probe, origin.read, origin.read):
        with pytest.raises(type(error)):
            ask()


async def test_a_service_that_does_not_look_still_goes_back_and_forth(tmp_path: Path) -> None:
    folder, state = tmp_path / "policies", StateFolder(tmp_path / "state")
    earlier = PolicyKeeper(FolderOrigin(write(folder, STRICTER)), ReferenceMatcher, state=state)
    stricter = (await earlier.reload()).revision
    keeper = PolicyKeeper(OnceOrigin(FolderOrigin(write(folder))), ReferenceMatcher, state=state)
    usual = (await keeper.reload()).revision
    write(folder, swap("policy/rules.csv", "risk < 50", "risk < 30"))
    state.hold(Pin(stricter, "rollback", "somebody", 0.0))
    assert ((await keeper.reload()).revision, keeper.status.held) == (stricter, "rollback")
    state.release()
    assert ((await keeper.reload()).revision, keeper.status.held) == (usual, "")
