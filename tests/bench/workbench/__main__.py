"""How long lint and verify take on a large policy: ``python -m tests.bench.workbench [RULES]``.

Prints seconds of processor time, and the ratio to loading the same policy with the compiled engine in the same run,
which is what a service needs to take it up.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console

from pdp.engine.matcher import CompiledEngine
from pdp.policy import load
from pdp.workbench.files import read_policy
from pdp.workbench.lint import lint
from pdp.workbench.verify import FILE, Prover, read_invariants
from tests.bench.workbench.policies import write_policy

_CONSOLE: Final = Console(highlight=False)
_RULES: Final = 10_000
_INVARIANTS: Final = """version: 1
invariants:
  - {name: posture, why: bench, never: allow, when: "!r.device.compliant"}
  - {name: two-factors, why: bench, never: allow, when: "r.session.aal < 2"}
  - {name: own-region, why: bench, never: allow, when: "!(r.resource.region in r.subject.regions)"}
# end
"""


def main() -> None:
    """Measure and print."""
    rules = int(sys.argv[1]) if len(sys.argv) > 1 else _RULES
    with TemporaryDirectory() as name:
        folder = write_policy(Path(name), rules)
        (folder / FILE).write_text(_INVARIANTS)
        loading = _seconds(lambda: load(folder, CompiledEngine()))
        _CONSOLE.print(f"{rules} rules; CPU seconds, and times of loading with the compiled engine ({loading:.1f} s)")
        findings: list[int] = []
        _print("lint, reading included", loading, lambda: findings.append(len(lint(read_policy(folder)).findings)))
        _CONSOLE.print(f"    {findings[0]} findings")
        policy = load(folder, CompiledEngine())
        invariants = read_invariants(folder, policy)
        _print(f"verify {len(invariants)} invariants", loading, lambda: list(Prover(policy, invariants).results()))


def _print(what: str, loading: float, work: Callable[[], object]) -> None:
    seconds = _seconds(work)
    _CONSOLE.print(f"{what:<26} {seconds:6.2f} s {seconds / loading:6.2f} x")


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


main()
