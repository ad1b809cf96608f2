"""Mutants shared out over processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pdp.core.policy import PolicySnapshot
from pdp.engine.matcher import CompiledEngine
from pdp.policy import load
from pdp.workbench.mutate.campaign import Campaign, Verdict
from pdp.workbench.mutate.mutants import Mutant, mutants_of
from pdp.workbench.testing.reading import read_suites

_SHARE: Final = 24
_campaign: tuple[Campaign, tuple[Mutant, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of each mutant, in order."""

    verdicts: tuple[tuple[Mutant, Verdict], ...]

    def of(self, verdict: Verdict) -> tuple[Mutant, ...]:
        """Give the mutants that something became of."""
        return tuple(mutant for mutant, found in self.verdicts if found is verdict)

    @property
    def score(self) -> float:
        """Give the percentage caught of those that change something."""
        caught, survived = len(self.of(Verdict.CAUGHT)), len(self.of(Verdict.SURVIVED))
        return 100.0 * caught / (caught + survived) if caught + survived else 100.0


def mutate(
    folder: Path, policy: PolicySnapshot, processes: int, on_progress: Callable[[int], None] | None = None
) -> Tally:
    """Try every mutant of a policy folder.

    Args:
        folder: the policy folder.
        policy: the revision it makes.
        processes: how many to use; 1 works in this one.
        on_progress: told how many more are done.
    """
    mutants = mutants_of(policy)
    shares = [range(at, min(at + _SHARE, len(mutants))) for at in range(0, len(mutants), _SHARE)]
    verdicts: list[Verdict] = []
    for found in _answers(folder, shares, processes):
        verdicts += found
        if on_progress:
            on_progress(len(found))
    return Tally(tuple(zip(mutants, verdicts, strict=True)))


def _answers(folder: Path, shares: list[range], processes: int) -> Iterator[list[Verdict]]:
    if processes == 1:
        _prepare(folder)
        yield from map(_try, shares)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _prepare, (folder,)) as pool:
        yield from pool.map(_try, shares)


def _prepare(folder: Path) -> None:
    """Load the policy and its tests, once a process. What is made of a folder twice is the same both times."""
    global _campaign  # noqa: PLW0603 - a worker process has no other place to keep what it works with
    policy = load(folder, CompiledEngine())
    _campaign = Campaign(read_suites(folder, policy), policy), mutants_of(policy)


def _try(share: range) -> list[Verdict]:
    if _campaign is None:
        raise AssertionError("a worker is prepared before it works")
    campaign, mutants = _campaign
    return [campaign.verdict(mutants[at]) for at in share]
