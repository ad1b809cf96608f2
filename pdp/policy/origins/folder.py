"""A policy folder."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Final

from pdp.core.errors import PolicyProblem
from pdp.policy import files
from pdp.policy.origins.origin import Contents
from pdp.policy.problems import Problems

_ATTEMPTS: Final = 3


class FolderOrigin:
    """Implements ``Origin`` on a folder."""

    settles = True

    def __init__(self, folder: Path, *, interval: float = 0.25, companions: bool = False) -> None:
        """Take note of the folder; nothing is read yet.

        Args:
            folder: the policy folder.
            interval: seconds between two looks at the files.
            companions: whether to read the tests, samples and invariants beside the policy as well.
        """
        self.name = f"{folder}/"
        self.interval = interval
        self._folder = folder
        self._companions = companions

    def probe(self) -> Hashable:
        """Give the identities, sizes and times of change of all files."""
        return files.signature(self._folder, companions=self._companions)

    def read(self) -> Contents:
        """Read the folder at a moment at which nobody changes it: a mixture of two states is not a policy."""
        for _ in range(_ATTEMPTS):
            before = self.probe()
            contents = self._read()
            if self.probe() == before:
                return contents
        problem = PolicyProblem(str(self._folder), 0, 0, "is being changed while it is read", "it is read again soon")
        return Contents({}, problems=(problem,))

    def _read(self) -> Contents:
        problems = Problems()
        found = dict(files.read_folder(self._folder, problems))
        if self._companions:
            found |= files.read_companions(self._folder, problems)
        return Contents(found, problems=problems.in_order())
