"""Each worker's policy status, told in the state folder for ``pdp policy status``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import Any, Final

from pdp.bootstrap.trials import Trials
from pdp.policy import PolicyKeeper, StateFolder
from pdp.policy.store import StateError

INTERVAL: Final = 2.0
_STALE: Final = 10.0


def live_reports(state: StateFolder) -> dict[str, dict[str, Any]]:
    """Give the statuses of workers that have shown a sign of life within ten seconds, by worker."""
    oldest = time.time() - _STALE
    return {name: it for name, it in state.reports().items() if it.get("written_at", 0) >= oldest}


class StatusReports:
    """Writes a worker's status whenever it is told to, and every two seconds as a sign of life."""

    def __init__(self, state: StateFolder, policies: PolicyKeeper, trials: Trials, worker: int) -> None:
        self._state = state
        self._policies = policies
        self._trials = trials
        self._worker = worker
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Have the status written soon."""
        self._changed.set()

    async def keep(self) -> None:
        """Write the status until cancelled."""
        name = f"w{self._worker}-{os.getpid()}"
        try:
            while True:
                self._changed.clear()
                with contextlib.suppress(StateError):
                    await asyncio.to_thread(self._state.report, name, self._status())
                with contextlib.suppress(TimeoutError):
                    # Not wait_for, which before Python 3.12 loses a cancellation that comes along with a change.
                    async with asyncio.timeout(INTERVAL):
                        await self._changed.wait()
        finally:
            self._state.withdraw(name)

    def _status(self) -> dict[str, Any]:
        status, policy = self._policies.status, self._policies.current()
        return {
            "written_at": time.time(),
            "worker": self._worker,
            "source": self._policies.source,
            "revision": status.revision,
            "serial": status.serial,
            "rules": len(policy.rules) if policy else 0,
            "since": status.since,
            "held": status.held,
            "checked_at": status.checked_at,
            "loads": status.loads,
            "failures": status.failures,
            "problems": [str(problem) for problem in status.problems],
            "trial": self._trials.report(),
        }
