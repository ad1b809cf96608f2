"""The policy revision in force: taken from its origin, checked, and replaced whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from pdp.core.errors import PolicyInvalidError, PolicyProblem
from pdp.core.policy import PolicySnapshot
from pdp.policy.bundle import Trust, refused, verify
from pdp.policy.origins.origin import Contents, Origin, PolicyUnavailableError
from pdp.policy.problems import Problems
from pdp.policy.snapshot import EngineFactory, assemble
from pdp.policy.store import Pin, StateError, StateFolder, now_entry

_LOG: Final = logging.getLogger(__name__)
_STATE_INTERVAL: Final = 0.25

_SWITCH_INTERVAL: Final = 0.0005

Gate = Callable[[Contents, PolicySnapshot], tuple[PolicyProblem, ...]]
"""Says what speaks against a revision that is valid: its own tests or invariants. Called on a thread."""


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """How things stand with the policy.

    Attributes:
        revision: the one in force; empty until a first one was accepted.
        since: when it came into force, in seconds since the epoch; 0 until then.
        problems: what is wrong with the source as it was last read; empty where that is what is in force.
        checked_at: when the source was last read, in seconds since the epoch.
        loads: how many times a revision was accepted.
        failures: how many times the source was refused, or became out of reach.
        serial: the place among the releases of the revision in force; 0 where none is kept.
        held: why a stored revision is in force whatever the source says: ``rollback``, ``promote``, or ``restart``
            where none could be had from the source since the start; empty where the source is followed.
    """

    revision: str = ""
    since: float = 0.0
    problems: tuple[PolicyProblem, ...] = ()
    checked_at: float = 0.0
    loads: int = 0
    failures: int = 0
    serial: int = 0
    held: str = ""


class _Choice(NamedTuple):
    """A revision that may come into force, and why it would."""

    contents: Contents
    cause: str


class _Reading(NamedTuple):
    """What a reading came to."""

    mark: Hashable
    chosen: _Choice | None
    snapshot: PolicySnapshot | None
    problems: tuple[PolicyProblem, ...]


class PolicyKeeper:
    """Implements ``pdp.ports.PolicySource`` on an origin.

    A revision is built on a thread of its own and comes into force by the change of one reference. A source with
    anything wrong changes nothing: the last good revision stays in force, and ``status`` says what is wrong.
    """

    def __init__(
        self,
        origin: Origin,
        engine_factory: EngineFactory,
        *,
        state: StateFolder | None = None,
        trust: Trust | None = None,
        gate: Gate | None = None,
    ) -> None:
        """Take note of the origin; nothing is read yet.

        Args:
            origin: where the policy comes from.
            engine_factory: makes the engine of each revision.
            state: keeps revisions that were in force and says which is held; None keeps nothing.
            trust: whose signatures stored revisions need, as those of the origin do.
            gate: what else a revision must pass.
        """
        self._origin = origin
        self._engine_factory = engine_factory
        self._state = state
        self._trust = trust or Trust()
        self._gate = gate
        self._listeners: list[Callable[[PolicyStatus], None]] = []
        self._current: PolicySnapshot | None = None
        self._status = PolicyStatus()
        self._seen: Hashable = None
        self._state_seen: Hashable = None
        self._outage: PolicyProblem | None = None
        self._turn = asyncio.Lock()

    @property
    def status(self) -> PolicyStatus:
        """How things stand."""
        return self._status

    @property
    def source(self) -> str:
        """Where the policy comes from."""
        return self._origin.name

    def current(self) -> PolicySnapshot | None:
        """Give the revision in force; None until a first one was accepted."""
        return self._current

    def follow(self, listener: Callable[[PolicyStatus], None]) -> None:
        """Tell a listener of every reading of the source from now on, on the event loop.

        It must not wait, and must not raise.
        """
        self._listeners.append(listener)

    async def reload(self) -> PolicyStatus:
        """Read the source now, and put what it holds in force if nothing is wrong with it."""
        async with self._turn:
            with _brisk_switches():
                reading = await asyncio.to_thread(self._read)
            if self._take(reading) and reading.chosen:
                await asyncio.to_thread(self._remember, reading.chosen)
            return self._status

    async def watch(self) -> None:
        """Take up changes of the source, and of what is held, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_origin())
            if self._state:
                group.create_task(self._watch_state(self._state))

    async def _watch_origin(self) -> None:
        before = self._seen
        while True:
            await asyncio.sleep(self._origin.interval)
            try:
                found = await asyncio.to_thread(self._origin.probe)
            except PolicyUnavailableError as error:
                self._note_outage(error.problem)
                continue
            if self._outage or (found != self._seen and (found == before or not self._origin.settles)):
                await self.reload()
            before = found

    async def _watch_state(self, state: StateFolder) -> None:
        while True:
            await asyncio.sleep(_STATE_INTERVAL)
            if await asyncio.to_thread(state.mark) != self._state_seen:
                await self.reload()

    def _note_outage(self, problem: PolicyProblem) -> None:
        """Say once that the source is out of reach; what was wrong with it before is not known to be so still."""
        if self._outage == problem:
            return
        self._outage = problem
        _LOG.warning("the policy source is out of reach: %s", problem, extra={"event": "policy.unavailable"})
        failures = self._status.failures + 1
        self._tell(replace(self._status, problems=(problem,), checked_at=time.time(), failures=failures))

    def _read(self) -> _Reading:
        """Find a revision and build it: what is held, else the source's, else, at the start, the last stored one."""
        found: list[PolicyProblem] = []
        self._state_seen = self._state.mark() if self._state else None
        mark, contents = self._from_origin(found)
        try:
            held = self._pin(contents)
        except StateError as error:
            # Something is held, or may be: to follow the source now could undo it.
            return _Reading(mark, None, None, (*found, PolicyProblem("policy.state", 0, 0, str(error))))
        for choice in self._choices(contents, held, found):
            try:
                return _Reading(mark, choice, self._build(choice), tuple(found))
            except PolicyInvalidError as error:
                found += error.problems
            except Exception:  # noqa: BLE001 - said below
                # A fault of ours, not of the policy's author. It must not end the watching.
                _LOG.exception("the policy could not be loaded")
                found.append(PolicyProblem(self.source, 0, 0, "could not be loaded, by a fault of the service"))
        return _Reading(mark, None, None, tuple(found))

    def _from_origin(self, found: list[PolicyProblem]) -> tuple[Hashable, Contents | None]:
        mark, self._outage = self._seen, None
        try:
            mark = self._origin.probe()
            return mark, self._origin.read()
        except PolicyUnavailableError as error:
            self._outage = error.problem
            found.append(error.problem)
        except PolicyInvalidError as error:
            found += error.problems
        return mark, None

    def _pin(self, contents: Contents | None) -> Pin | None:
        """Give what is held. Where the source has come to hold the same, it is followed from then on."""
        if self._state is None:
            return None
        pin = self._state.pin()
        if pin and contents and contents.revision == pin.revision:
            self._state.release(pin.revision)
            return None
        return pin

    def _choices(self, contents: Contents | None, held: Pin | None, found: list[PolicyProblem]) -> Iterator[_Choice]:
        if held:
            yield from self._stored(held.revision, held.cause, found)
        elif contents:
            yield _Choice(contents, "source")
        if self._current is None and self._state and not held:
            for entry in self._state.history()[-1:]:
                yield from self._stored(entry.revision, "restart", found)

    def _stored(self, revision: str, cause: str, found: list[PolicyProblem]) -> Iterator[_Choice]:
        """Give a stored revision, held to the signatures that are demanded today."""
        if self._state is None:
            return
        try:
            archive = self._state.read(revision)
            bundle = verify(archive, self._trust)
            if bundle.revision != revision:
                raise refused("the stored bundle is of another revision")
        except (StateError, PolicyInvalidError) as error:
            found.append(PolicyProblem("policy.state", 0, 0, f"revision {revision[:19]} cannot be used: {error}"))
        else:
            yield _Choice(Contents.of(bundle, archive), cause)

    def _build(self, choice: _Choice) -> PolicySnapshot:
        """Make a snapshot.

        Raises:
            PolicyInvalidError: something is wrong with it.
        """
        contents = choice.contents
        if self._current and contents.revision == self._current.revision and not contents.problems:
            # The same files: the snapshot in force has its plans worked out already.
            return self._current
        if choice.cause == "source":
            self._check_serial(contents)
        problems = Problems()
        for problem in contents.problems:
            problems.add(problem)
        snapshot = assemble(contents.policy, self._engine_factory, problems)
        if self._current and snapshot.schema == self._current.schema:
            # What is in memory was read under that very schema, and stays of use.
            snapshot = replace(snapshot, schema=self._current.schema)
        if self._gate and choice.cause == "source" and (against := self._gate(contents, snapshot)):
            raise PolicyInvalidError(against)
        return snapshot

    def _check_serial(self, contents: Contents) -> None:
        """Refuse an older release, however well it is signed: it may lack the rule that closed a hole."""
        known = self._state.history() if self._state else []
        highest = max((it.serial for it in known if it.cause == "source"), default=self._status.serial)
        if contents.serial < highest:
            raise refused(
                f"its serial {contents.serial} is below {highest}, which was in force; to go back, use roll-back"
            )

    def _take(self, reading: _Reading) -> bool:
        """Put a revision in force; say whether it is another one than before."""
        self._seen = reading.mark
        now = time.time()
        checked = replace(self._status, problems=reading.problems, checked_at=now)
        if reading.problems:
            checked = replace(checked, failures=checked.failures + 1)
        changed = False
        if reading.snapshot and reading.chosen:
            contents, cause = reading.chosen
            held = "" if cause == "source" else cause
            changed = reading.snapshot is not self._current
            if changed:
                self._current = reading.snapshot
                checked = replace(checked, revision=reading.snapshot.revision, since=now, loads=checked.loads + 1)
            checked = replace(checked, serial=contents.serial, held=held)
        self._tell(checked)
        return changed

    def _tell(self, status: PolicyStatus) -> None:
        self._status = status
        for listener in self._listeners:
            listener(status)

    def _remember(self, choice: _Choice) -> None:
        """Keep what came into force, so that one can go back to it; the service goes on where that fails."""
        if self._state is None:
            return
        contents, cause = choice
        try:
            entry = now_entry(contents.revision, contents.serial, cause)
            self._state.enter(entry, contents.as_bundle())
        except (StateError, PolicyInvalidError) as error:
            _LOG.warning("the revision cannot be stored: %s", error, extra={"event": "policy.state"})


@contextlib.contextmanager
def _brisk_switches() -> Iterator[None]:
    """Let the event loop have the interpreter within half a millisecond whenever it wants it from a busy thread."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _SWITCH_INTERVAL))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
