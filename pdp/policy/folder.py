"""The policy revision in force, taken from a folder that is watched."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pdp.core.errors import PolicyInvalidError, PolicyProblem
from pdp.core.policy import PolicySnapshot
from pdp.policy.files import Signature, signature
from pdp.policy.snapshot import EngineFactory, load

_ATTEMPTS: Final = 3
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """How things stand with the policy.

    Attributes:
        revision: the one in force; empty until a first one was accepted.
        since: when it came into force, in seconds since the epoch; 0 until then.
        problems: what is wrong with the folder as it was last read; empty where that is what is in force.
        checked_at: when the folder was last read, in seconds since the epoch.
        loads: how many times a revision was accepted.
        failures: how many times the folder was refused.
    """

    revision: str = ""
    since: float = 0.0
    problems: tuple[PolicyProblem, ...] = ()
    checked_at: float = 0.0
    loads: int = 0
    failures: int = 0


class FolderSource:
    """Implements ``pdp.ports.PolicySource`` on a folder.

    A revision is built on a thread of its own and comes into force by the change of one reference. A folder with
    anything wrong changes nothing: the last good revision stays in force, and ``status`` says what is wrong.
    """

    def __init__(
        self,
        folder: Path,
        engine_factory: EngineFactory,
        *,
        interval: float = 0.25,
        on_change: Callable[[PolicyStatus], None] | None = None,
    ) -> None:
        """Take note of the folder; nothing is read yet.

        Args:
            folder: the policy folder.
            engine_factory: makes the engine of each revision.
            interval: seconds between two looks at the files. A change is taken up when two looks in a row find the
                same, so that a set of files is not read half-written.
            on_change: told after every reading of the folder, on the event loop. Must not wait, must not raise.
        """
        self._folder = folder
        self._engine_factory = engine_factory
        self._interval = interval
        self._on_change = on_change
        self._current: PolicySnapshot | None = None
        self._status = PolicyStatus()
        self._seen: Signature | None = None
        self._turn = asyncio.Lock()

    @property
    def status(self) -> PolicyStatus:
        """How things stand."""
        return self._status

    def current(self) -> PolicySnapshot | None:
        """Give the revision in force; None until a first one was accepted."""
        return self._current

    async def reload(self) -> PolicyStatus:
        """Read the folder now, and put what it holds in force if nothing is wrong with it."""
        async with self._turn:
            self._seen, snapshot, problems = await asyncio.to_thread(self._read)
            self._take(snapshot, problems)
            return self._status

    async def watch(self) -> None:
        """Take up changes of the folder until cancelled."""
        before = self._seen
        while True:
            await asyncio.sleep(self._interval)
            found = await asyncio.to_thread(signature, self._folder)
            if found == before != self._seen:
                await self.reload()
            before = found

    def _read(self) -> tuple[Signature, PolicySnapshot | None, tuple[PolicyProblem, ...]]:
        """Load the folder at a moment at which nobody changes it: a mixture of two states is not a policy."""
        for _ in range(_ATTEMPTS):
            before = signature(self._folder)
            snapshot, problems = self._load()
            if signature(self._folder) == before:
                return before, snapshot, problems
        problem = PolicyProblem(str(self._folder), 0, 0, "is being changed while it is read", "it is read again soon")
        return before, None, (problem,)

    def _load(self) -> tuple[PolicySnapshot | None, tuple[PolicyProblem, ...]]:
        try:
            snapshot = load(self._folder, self._engine_factory)
        except PolicyInvalidError as error:
            return None, error.problems
        except Exception:  # noqa: BLE001 - said below
            # A fault of ours, not of the policy's author. It must not end the watching.
            _LOG.exception("the policy could not be loaded")
            return None, (PolicyProblem(str(self._folder), 0, 0, "could not be loaded, by a fault of the service"),)
        return snapshot, ()

    def _take(self, snapshot: PolicySnapshot | None, problems: tuple[PolicyProblem, ...]) -> None:
        now = time.time()
        checked = replace(self._status, problems=problems, checked_at=now)
        if snapshot is None:
            self._status = replace(checked, failures=checked.failures + 1)
        elif self._current is not None and snapshot.revision == self._current.revision:
            # The same files: the snapshot in force has its plans worked out already.
            self._status = checked
        else:
            self._current = snapshot
            self._status = replace(checked, revision=snapshot.revision, since=now, loads=checked.loads + 1)
        if self._on_change is not None:
            self._on_change(self._status)
