"""Where checkpoints go: the folder, the index over all workers, and anchors that may be dead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pdp.audit import AuditKeys, DecisionLog
from pdp.audit.checkpoint import Checkpoint, indexed_trees
from pdp.audit.checkpoints import AnchorPump, write_index
from pdp.audit.sinks import FileAnchor
from pdp.audit.verify import verify
from tests.audit.support import fill, make_keys, settings


class Keeper:
    """An anchor that keeps what it is given; it fails while told to, and can be held up."""

    def __init__(self) -> None:
        self.given: list[tuple[str, str]] = []
        self.failing = False
        self.tried = 0
        self.open = threading.Event()
        self.open.set()

    def export(self, origin: str, note: str) -> None:
        self.tried += 1
        assert self.open.wait(30)
        if self.failing:
            raise ConnectionError("not today")
        self.given.append((origin, note))


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_every_anchor_gets_every_tree() -> None:
    anchors = [Keeper(), Keeper()]
    pump = AnchorPump(anchors)
    pump.offer("w0", "a")
    pump.offer("w1", "b")
    pump.close()
    assert [sorted(anchor.given) for anchor in anchors] == [[("w0", "a"), ("w1", "b")]] * 2
    assert pump.backlog() == 0


def test_a_note_that_waits_is_superseded_by_a_newer_one() -> None:
    anchor = Keeper()
    anchor.open.clear()
    pump = AnchorPump([anchor])
    pump.offer("w0", "1")
    eventually(lambda: anchor.tried == 1)
    for number in range(2, 9):
        pump.offer("w0", str(number))
    assert pump.backlog() == 1
    anchor.open.set()
    pump.close()
    assert [note for _, note in anchor.given] == ["1", "8"]


def test_a_failed_hand_over_is_repeated_until_it_succeeds() -> None:
    anchor = Keeper()
    anchor.failing = True
    pump = AnchorPump([anchor], retry_seconds=0.01)
    pump.offer("w0", "1")
    eventually(lambda: anchor.tried >= 3)
    assert pump.backlog() == 1
    anchor.failing = False
    eventually(lambda: pump.backlog() == 0)
    assert anchor.given == [("w0", "1")]
    pump.close()


def test_a_dead_anchor_holds_up_neither_the_others_nor_the_end() -> None:
    dead, living = Keeper(), Keeper()
    dead.failing = True
    pump = AnchorPump([dead, living], retry_seconds=3600)
    pump.offer("w0", "1")
    eventually(lambda: living.given == [("w0", "1")])
    pump.close()
    assert (pump.backlog(), dead.tried) == (1, 2)


def test_nothing_to_anchor_costs_no_thread() -> None:
    before = threading.active_count()
    pump = AnchorPump([])
    pump.offer("w0", "1")
    assert (threading.active_count(), pump.backlog()) == (before, 0)
    pump.close()


def test_the_index_never_forgets_a_tree_and_never_goes_back(tmp_path: Path, keys: AuditKeys) -> None:
    for worker, count in (("w0", 5), ("w1", 3)):
        log = DecisionLog(settings(tmp_path, worker=worker), keys)
        fill(log, range(count))
        log.close()

    def sizes() -> dict[str, int]:
        index = Checkpoint.open((tmp_path / "index").read_text("utf-8"), [keys.signer.verifier])
        return {tree.origin.rpartition("/")[2]: tree.size for tree in indexed_trees(index)}

    assert sizes() == {"w0": 5, "w1": 3}
    newest = (tmp_path / "w0" / "checkpoint").read_text("utf-8")
    for spoil in ("", "no note", newest.replace("5", "4", 1)):
        (tmp_path / "w0" / "checkpoint").write_text(spoil, encoding="utf-8")
        assert write_index(tmp_path, keys.signer) is not None
        assert sizes() == {"w0": 5, "w1": 3}
    (tmp_path / "w0" / "checkpoint").unlink()
    assert write_index(tmp_path, keys.signer) is not None
    assert sizes() == {"w0": 5, "w1": 3}


def test_an_index_of_another_key_is_not_taken_over(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path), keys)
    fill(log, range(5))
    log.close()
    other = make_keys()
    made = write_index(tmp_path, other.signer)
    assert made is not None
    assert indexed_trees(Checkpoint.open(made[1], [other.signer.verifier])) == []


def test_one_worker_at_a_time_writes_the_index(tmp_path: Path, keys: AuditKeys) -> None:
    from pdp.audit.checkpoints import _only_one  # noqa: PLC0415  the lock that workers share

    with _only_one(tmp_path / ".index.lock") as mine:
        assert mine
        assert write_index(tmp_path, keys.signer) is None
    assert write_index(tmp_path, keys.signer) is not None


def test_what_a_folder_keeps_verifies_the_log_later(tmp_path: Path, keys: AuditKeys) -> None:
    log = DecisionLog(settings(tmp_path / "log"), keys, [FileAnchor(tmp_path / "anchor")])
    fill(log, range(10))
    log.close()
    kept = {path.name: path.read_text("utf-8") for path in (tmp_path / "anchor").iterdir()}
    assert set(kept) == {"example.com_pdp_w0.checkpoint", "example.com_pdp_index.checkpoint"}
    assert verify(tmp_path / "log", keys.signer.verifier, list(kept.values())).ok


@pytest.mark.parametrize("name", ["checkpoint", "index"])
def test_a_checkpoint_that_cannot_be_written_poisons_the_log(tmp_path: Path, keys: AuditKeys, name: str) -> None:
    """A log that cannot be signed is not one: decisions are denied rather than recorded for nothing."""
    log = DecisionLog(settings(tmp_path), keys)
    fill(log, range(3))
    folder = tmp_path / "w0" if name == "checkpoint" else tmp_path
    (folder / f"{name}.partial").mkdir()
    log._tick(final=True)
    assert (log.health().healthy, log.health().reason) == (False, "io_error")
    log.close()
