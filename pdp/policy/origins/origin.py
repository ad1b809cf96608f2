"""What the keeper of the policy needs of the place it comes from."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from pdp.core.errors import PdpError, PolicyProblem
from pdp.policy.bundle import Bundle, build
from pdp.policy.digest import revision_of
from pdp.policy.files import is_policy_file


class PolicyUnavailableError(PdpError):
    """The place cannot be reached at present, which says nothing of the policy there."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.problem = PolicyProblem(place, 0, 0, problem, "the policy in force stays; it is asked again")


@dataclass(frozen=True)
class Contents:
    """What was read.

    Attributes:
        files: contents by path: policy files, and those by which the policy is checked.
        serial: its place among the releases; 0 where none is kept.
        problems: what could not be read; nothing of it is used then.
        archive: the bundle it came as, signatures and all; empty where it came as plain files.
    """

    files: Mapping[str, bytes]
    serial: int = 0
    problems: tuple[PolicyProblem, ...] = ()
    archive: bytes = b""

    @classmethod
    def of(cls, bundle: Bundle, archive: bytes) -> Contents:
        """Take what a bundle holds."""
        return cls(bundle.files, bundle.serial, (), archive)

    @cached_property
    def policy(self) -> Mapping[str, bytes]:
        """The files that rules are made of."""
        return {path: it for path, it in self.files.items() if is_policy_file(path)}

    @cached_property
    def revision(self) -> str:
        """The digest of those."""
        return revision_of(self.policy)

    def as_bundle(self) -> bytes:
        """Give it as one file, as it came or, where it came as plain files, without signatures.

        Raises:
            PolicyInvalidError: a bundle cannot hold it.
        """
        return self.archive or build(self.files, self.serial)


class Origin(Protocol):
    """A place that a policy comes from. Both methods may wait, and are called on a thread, one at a time."""

    @property
    def name(self) -> str:
        """Where it is, in words that hold no secret."""

    @property
    def interval(self) -> float:
        """Seconds between two probes."""

    @property
    def settles(self) -> bool:
        """Whether it may be found half-written, so that a change counts when two probes in a row agree."""

    def probe(self) -> Hashable:
        """Give something that is another whenever what is there may be another, as cheaply as that can be told.

        Raises:
            PolicyUnavailableError: it cannot be told at present.
        """

    def read(self) -> Contents:
        """Read what is there.

        Raises:
            PolicyInvalidError: it is nothing that could be a policy, or is not signed as it must be.
            PolicyUnavailableError: it cannot be read at present.
        """
