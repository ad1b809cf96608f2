"""The keeper with a state folder: what is kept, held, gone back to, and what a restart finds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
from collections.abc import AsyncIterator, Callable, Hashable
from pathlib import Path

import pytest

from pdp.core.errors import PolicyProblem
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import FolderOrigin, PolicyKeeper, PolicyStatus, StateFolder
from pdp.policy.bundle import Trust, build, open_bundle, sign
from pdp.policy.origins import Contents, PolicyUnavailableError
from pdp.policy.store import Entry, Pin, StateError, now_entry
from pdp.signing.note import Signer
from tests.policy.example import contents, swap, write

ALICE = Signer.generate("alice")
TRUST = Trust((ALICE.verifier,), 1)
RISKS = ("< 50", "< 40", "< 30", "< 20")
CHANGES = [swap("policy/rules.csv", "risk < 50", f"risk {risk}") for risk in RISKS]
BROKEN = swap("policy/rules.csv", "risk < 50", "rsk < 50")


def revision(number: int) -> str:
    return open_bundle(build(contents(CHANGES[number]))).revision


class Shelf:
    """An origin that gives what a test puts on it: contents, or an error."""

    name = "shelf"
    interval = 0.01
    settles = False

    def __init__(self, given: Contents | Exception) -> None:
        self.given = given

    def probe(self) -> Hashable:
        if isinstance(self.given, PolicyUnavailableError):
            raise self.given
        return id(self.given)

    def read(self) -> Contents:
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


def release(number: int, serial: int = 0, signer: Signer | None = None) -> Contents:
    """The given change as a bundle."""
    archive = build(contents(CHANGES[number]), serial)
    return Contents.of(open_bundle(archive), sign(archive, signer) if signer else archive)


def keeper(origin: Shelf | FolderOrigin, state: StateFolder | None = None, **options: object) -> PolicyKeeper:
    return PolicyKeeper(origin, ReferenceMatcher, state=state, **options)  # type: ignore[arg-type]


def pin(number: int, cause: str = "rollback") -> Pin:
    return Pin(revision(number), cause, "alice", 0.0)


@contextlib.asynccontextmanager
async def watched(source: PolicyKeeper) -> AsyncIterator[None]:
    await source.reload()
    task = asyncio.create_task(source.watch())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


async def test_what_was_in_force_is_kept_and_gone_back_to(state: StateFolder) -> None:
    shelf = Shelf(release(0))
    source = keeper(shelf, state)
    for number in (0, 1, 2):
        shelf.given = release(number)
        await source.reload()
    assert [it.revision for it in state.history()] == [revision(0), revision(1), revision(2)]
    assert state.previous(revision(2)).revision == revision(1)
    state.hold(pin(1))
    status = await source.reload()
    assert (status.revision, status.held, status.problems) == (revision(1), "rollback", ())
    assert state.previous(revision(1)).revision == revision(0)


async def test_a_held_revision_stays_whatever_the_source_brings(state: StateFolder) -> None:
    shelf = Shelf(release(0))
    source = keeper(shelf, state)
    for number in (0, 1):
        shelf.given = release(number)
        await source.reload()
    state.hold(pin(0))
    for given in (release(2), PolicyUnavailableError("shelf", "is empty")):
        shelf.given = given
        assert (await source.reload()).revision == revision(0)
    state.release()
    shelf.given = release(2)
    assert (await source.reload()).revision == revision(2)
    assert source.status.held == ""


async def test_the_source_is_followed_again_once_it_holds_the_same(state: StateFolder) -> None:
    shelf = Shelf(release(0))
    source = keeper(shelf, state)
    await source.reload()
    state.hold(pin(1, "promote"), build(contents(CHANGES[1])))
    assert (await source.reload()).held == "promote"
    shelf.given = release(1)
    assert (await source.reload()).held == ""
    assert state.pin() is None
    shelf.given = release(2)
    assert (await source.reload()).revision == revision(2)


async def test_a_pin_is_taken_up_by_itself_by_every_worker(state: StateFolder) -> None:
    keepers = [keeper(Shelf(release(0)), StateFolder(state._folder)) for _ in range(3)]
    async with contextlib.AsyncExitStack() as stack:
        for one in keepers:
            await stack.enter_async_context(watched(one))
        state.hold(pin(1, "promote"), build(contents(CHANGES[1])))
        await until(lambda: {it.status.revision for it in keepers} == {revision(1)})
        state.release()
        await until(lambda: {it.status.revision for it in keepers} == {revision(0)})


async def test_a_pin_that_cannot_be_read_changes_nothing(state: StateFolder) -> None:
    shelf = Shelf(release(0))
    source = keeper(shelf, state)
    await source.reload()
    state.hold(pin(0))
    (state._folder / "pin").write_text("{")
    shelf.given = release(1)
    status = await source.reload()
    assert status.revision == revision(0)
    assert "rollback --release" in str(status.problems[-1])


async def test_a_held_revision_that_was_tampered_with_is_not_used(state: StateFolder) -> None:
    shelf = Shelf(release(0))
    source = keeper(shelf, state)
    await source.reload()
    state.hold(pin(1), build(contents(CHANGES[2])))
    status = await source.reload()
    assert status.revision == revision(0)
    assert "the stored bundle is of another revision" in str(status.problems[-1])


async def test_after_a_restart_with_the_source_away_the_last_good_revision_decides(state: StateFolder) -> None:
    await keeper(Shelf(release(1)), state).reload()
    shelf = Shelf(PolicyUnavailableError("shelf", "is empty"))
    source = keeper(shelf, state)
    status = await source.reload()
    assert (status.revision, status.held) == (revision(1), "restart")
    assert [it.problem for it in status.problems] == ["is empty"]
    shelf.given = release(2)
    status = await source.reload()
    assert (status.revision, status.held, status.problems) == (revision(2), "", ())


async def test_a_restart_with_a_broken_source_goes_on_with_the_last_good_revision(
    tmp_path: Path, state: StateFolder
) -> None:
    await keeper(FolderOrigin(write(tmp_path / "p")), state).reload()
    write(tmp_path / "p", BROKEN)
    status = await keeper(FolderOrigin(tmp_path / "p"), state).reload()
    assert (status.revision, status.held) == (revision(0), "restart")
    assert {it.file for it in status.problems} == {"policy/rules.csv"}


async def test_a_stored_revision_needs_the_signatures_of_today(state: StateFolder) -> None:
    await keeper(Shelf(release(0, signer=ALICE)), state, trust=TRUST).reload()
    away = Shelf(PolicyUnavailableError("shelf", "is empty"))
    assert (await keeper(away, state, trust=TRUST).reload()).revision == revision(0)
    revoked = Trust((Signer.generate("bob").verifier,), 1)
    source = keeper(away, state, trust=revoked)
    status = await source.reload()
    assert source.current() is None
    assert "0 found" in str(status.problems[-1])


async def test_an_older_release_is_refused_even_after_a_restart(state: StateFolder) -> None:
    shelf = Shelf(release(1, serial=7))
    await keeper(shelf, state).reload()
    shelf.given = release(0, serial=6)
    for source in (keeper(shelf, state), keeper(shelf, state)):
        status = await source.reload()
        assert status.revision == revision(1)
        assert "its serial 6 is below 7" in str(status.problems[0])
    shelf.given = release(0, serial=7)
    assert (await source.reload()).revision == revision(0)


async def test_one_can_go_back_to_an_older_release_by_hand(state: StateFolder) -> None:
    shelf = Shelf(release(0, serial=1))
    source = keeper(shelf, state)
    await source.reload()
    shelf.given = release(1, serial=2)
    await source.reload()
    state.hold(pin(0))
    assert (await source.reload()).serial == 1
    state.release()
    assert (await source.reload()).serial == 2


async def test_an_outage_is_told_once_and_ends_by_itself(state: StateFolder) -> None:
    told: list[PolicyStatus] = []
    shelf = Shelf(release(0))
    source = keeper(shelf, state)
    source.follow(told.append)
    good = shelf.given
    async with watched(source):
        shelf.given = PolicyUnavailableError("shelf", "is empty")
        await until(lambda: bool(source.status.problems))
        await asyncio.sleep(0.2)
        assert (source.status.failures, len(told)) == (1, 2)
        assert source.status.revision == revision(0)
        shelf.given = good
        await until(lambda: not source.status.problems)
    assert (source.status.failures, source.status.loads) == (1, 1)


async def test_a_gate_keeps_out_what_fails_its_own_tests(state: StateFolder) -> None:
    against = PolicyProblem("tests/some.yaml", 3, 0, "the test fails")
    asked: list[str] = []

    def gate(given: Contents, snapshot: object) -> tuple[PolicyProblem, ...]:
        assert getattr(snapshot, "revision", None) == given.revision
        asked.append(given.revision)
        return (against,) if given.revision == revision(1) else ()

    shelf = Shelf(release(0))
    source = keeper(shelf, state, gate=gate)
    await source.reload()
    shelf.given = release(1)
    status = await source.reload()
    assert (status.revision, status.problems) == (revision(0), (against,))
    shelf.given = release(2)
    assert (await source.reload()).revision == revision(2)
    assert asked == [revision(0), revision(1), revision(2)]


async def test_a_schema_that_did_not_change_stays_the_same_object(state: StateFolder) -> None:
    shelf = Shelf(release(0))
    source = keeper(shelf, state)
    await source.reload()
    first = source.current()
    shelf.given = release(1)
    await source.reload()
    second = source.current()
    assert first is not None
    assert second is not None
    assert second.revision != first.revision
    assert second.schema is first.schema
    schema = swap("schema.yaml", "allow_lifetime: 60s", "allow_lifetime: 50s")
    shelf.given = Contents(contents({**CHANGES[1], **schema}))
    await source.reload()
    third = source.current()
    assert third is not None
    assert third.schema.allow_lifetime == 50


async def test_a_state_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    source = keeper(Shelf(release(0)), StateFolder(tmp_path / "file" / "state"))
    assert (await source.reload()).revision == revision(0)


def test_only_the_last_revisions_are_kept_and_what_is_held(state: StateFolder) -> None:
    bundles = [
        build(contents({"policy/x.csv": f"p,rule-{n},agent,read,log,True,allow,,b\n# end\n"})) for n in range(25)
    ]
    names = [open_bundle(it).revision for it in bundles]
    for number, (name, archive) in enumerate(zip(names, bundles, strict=True)):
        state.enter(now_entry(name, 0), archive)
        if number == 0:
            state.hold(Pin(name, "rollback", "alice", 0.0))
    kept = {f"sha256:{it.stem}" for it in (state._folder / "revisions").glob("*.bundle")}
    assert kept == {names[0], *names[-20:]}
    assert state.find(names[-1][:20]) == names[-1]
    for prefix in ("", "sha256:", "zz", names[1]):
        with pytest.raises(StateError):
            state.find(prefix)


def test_a_revision_that_comes_into_force_in_many_workers_is_noted_once(state: StateFolder) -> None:
    archive, name = build(contents()), revision(0)
    workers = multiprocessing.get_context("spawn").Pool(4)
    with workers:
        workers.starmap(_enter, [(str(state._folder), name, archive)] * 16)
    assert [it.revision for it in state.history()] == [name]
    assert state.read(name) == archive


def _enter(folder: str, name: str, archive: bytes) -> None:
    StateFolder(Path(folder)).enter(now_entry(name, 0), archive)


def test_what_cannot_be_read_of_the_history_is_left_out(state: StateFolder) -> None:
    state.enter(Entry(revision(0), 0, 1.0, "source"), build(contents()))
    with (state._folder / "history.jsonl").open("a") as file:
        file.write('{"revision": \n[]\n{"other": 1}\n')
    state.enter(Entry(revision(1), 0, 2.0, "source"), build(contents(CHANGES[1])))
    assert [it.revision for it in state.history()] == [revision(0), revision(1)]


def test_a_name_that_is_no_digest_leads_nowhere(state: StateFolder) -> None:
    for name in ("../../etc/passwd", "sha256:../x", "", "sha256:" + "A" * 64):
        with pytest.raises(StateError, match="not the digest"):
            state.read(name)


def test_reports_of_workers_are_read_back_and_taken_away(state: StateFolder) -> None:
    state.report("w0-1", {"revision": "a"})
    (state._folder / "status" / "w1-2.json").write_text("{")
    assert state.reports() == {"w0-1": {"revision": "a"}}
    state.withdraw("w0-1")
    assert state.reports() == {}
    assert json.loads((state._folder / "status" / "w1-2.json").read_text() + "}") == {}
