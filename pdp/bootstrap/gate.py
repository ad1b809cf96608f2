"""A revision's own tests and invariants, asked before it comes into force.

They run in a process of their own, at the lowest priority: deciding goes on beside them undisturbed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

from pdp.core.errors import PolicyInvalidError, PolicyProblem
from pdp.core.policy import PolicySnapshot
from pdp.engine.matcher import CompiledEngine
from pdp.policy import load
from pdp.policy.origins import Contents
from pdp.policy.verdicts import UndecidedError, Verdicts
from pdp.workbench.testing import read_suites, run
from pdp.workbench.verify import FILE, Prover, Status, read_invariants

_SHOWN: Final = 20
_PATIENCE: Final = 600.0
_LOWEST: Final = 19


def gate_of(state: Path) -> Verdicts:
    """Give the gate of a service: its workers share a state folder, and one of them runs the tests for all."""
    return Verdicts(state / "verdicts", check_itself)


def check_itself(contents: Contents, _: PolicySnapshot) -> tuple[PolicyProblem, ...]:
    """Run a revision's tests and prove its invariants; give what fails, the first few of it.

    A revision without any tests is refused: nothing would speak for it.

    Raises:
        UndecidedError: they could not be run, or not to their end.
    """
    with tempfile.TemporaryDirectory(prefix="pdp-gate-") as place:
        for path, content in contents.files.items():
            # Paths are those of policy files and companions alone, which lead nowhere else.
            file = Path(place) / path
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(content)
        try:
            done = subprocess.run(  # noqa: S603 - our own program, on a folder of our own
                [sys.executable, "-m", __name__, place], capture_output=True, timeout=_PATIENCE, check=True
            )
            return tuple(PolicyProblem(**it) for it in json.loads(done.stdout))
        except subprocess.TimeoutExpired:
            raise _undecided(f"took more than {_PATIENCE:g} s") from None
        except (subprocess.CalledProcessError, OSError, ValueError, TypeError):
            raise _undecided("could not be run, by a fault of the service") from None


def _undecided(what: str) -> UndecidedError:
    return UndecidedError(PolicyProblem("tests", 0, 0, f"the policy's own tests {what}"))


def found_in(folder: Path) -> tuple[PolicyProblem, ...]:
    """Give which of a folder's tests fail and which of its invariants do not hold."""
    try:
        policy = load(folder, CompiledEngine())
        return (*_failed(folder, policy), *_refuted(folder, policy))
    except PolicyInvalidError as error:
        return error.problems


def _failed(folder: Path, policy: PolicySnapshot) -> list[PolicyProblem]:
    suites = read_suites(folder, policy)
    if not suites:
        return [PolicyProblem("tests", 0, 0, "the policy has no tests of its own", "add some, or set checks = false")]
    failed = [it for it in run(suites, policy) if not it.passed]
    return [
        PolicyProblem(
            it.case.file, it.case.line, 0, f"the test {it.case.name!r} fails", "pdp policy test explains it"
        )
        for it in failed[:_SHOWN]
    ]


def _refuted(folder: Path, policy: PolicySnapshot) -> list[PolicyProblem]:
    results = Prover(policy, read_invariants(folder, policy)).results()
    refuted = [it.invariant for it in results if it.status is Status.REFUTED]
    help_ = "pdp policy verify shows a request that breaks it"
    return [PolicyProblem(FILE, it.line, 0, f"the invariant {it.name!r} does not hold", help_) for it in refuted]


if __name__ == "__main__":
    os.nice(_LOWEST)
    sys.stdout.write(json.dumps([asdict(problem) for problem in found_in(Path(sys.argv[1]))]))
