"""What a test says: a question, what is known, and what the answer must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pdp.core.request import Request
from pdp.workbench.testing.world import Changes, World


@dataclass(frozen=True, slots=True)
class Case:
    """One question and what is expected of its answer.

    Attributes:
        name: unique in its file.
        file: where it stands, relative to the policy folder.
        line: 1-based.
        request: the question.
        changes: how the records differ from the suite's for this question.
        expected: what is stated of the answer, by the names that ``checking.shown`` uses. A deny that states no
            reasons must be one that rules made; see ``checking.check``.
    """

    name: str
    file: str
    line: int
    request: Request
    changes: Changes
    expected: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Suite:
    """The cases of one file.

    Attributes:
        file: its path, relative to the policy folder.
        world: what is known, and the time it is.
        cases: at least one.
    """

    file: str
    world: World
    cases: tuple[Case, ...]
