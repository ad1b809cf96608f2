"""The reference engine: pycasbin's own Enforcer decides which rules match.

Every rule is offered to the Enforcer's matcher and none is skipped: a recording effector never stops the walk early,
and the policy knows which row is being looked at. What Casbin makes of the effects is left to it as well, and tests
hold it against the service's own combination.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import casbin
from casbin.effect.default_effectors import AllowAndDenyEffector
from casbin.model import Model
from casbin.persist import Adapter

from pdp.core.errors import PdpError
from pdp.core.policy import MatchError, Rule
from pdp.core.record import View
from pdp.engine.rows import row_of


class EngineConflictError(PdpError):
    """Two distributions provide the module ``casbin``, so it is unknown which code would decide."""


class ReferenceMatcher:
    """Implements ``pdp.core.policy.Matcher`` on ``casbin.Enforcer``. One thread may use it at a time."""

    def __init__(self, rules: tuple[Rule, ...], links: Sequence[tuple[str, str, str]], model_text: str) -> None:
        refuse_conflict()
        self._rows = _Rows(row_of(rule) for rule in rules)
        self._recorder = _Recorder(self._rows)
        self._enforcer = casbin.Enforcer(
            casbin.Enforcer.new_model(text=model_text), _MemoryAdapter(self._rows, links)
        )
        self._enforcer.set_effector(self._recorder)
        # Casbin logs a denied request with all its attributes at WARNING, through loggers that any other code may
        # switch back on. This one is in no hierarchy and has no handler.
        self._enforcer.logger = logging.Logger(__name__, logging.CRITICAL + 1)  # noqa: LOG001 - as said

    def __call__(
        self, role: str, action: str, subject: View, device: View, session: View, resource: View, context: View
    ) -> Sequence[int]:
        """Give the indexes of all matching rules.

        Raises:
            MatchError: whatever Casbin raises on the way.
        """
        return self.enforce(role, action, subject, device, session, resource, context)[1]

    def enforce(
        self, role: str, action: str, subject: View, device: View, session: View, resource: View, context: View
    ) -> tuple[bool, Sequence[int]]:
        """Give what the Enforcer itself would answer, and the indexes of all matching rules.

        Raises:
            MatchError: whatever Casbin raises on the way.
        """
        if not self._rows:
            # Without a row Casbin would run the matcher once with empty texts in place of a rule.
            return False, ()
        self._rows.at = -1
        self._recorder.matched = []
        try:
            allowed, _ = self._enforcer.enforce_ex(role, action, subject, device, session, resource, context)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no answer
            # Its message may hold attribute values; its type does not.
            raise MatchError(self._rows.present(), type(error).__name__) from None
        return allowed, tuple(self._recorder.matched)


def refuse_conflict() -> None:
    """Refuse to run beside the frozen distribution ``casbin``, whose files overlay those of ``pycasbin``.

    Raises:
        EngineConflictError: it is installed.
    """
    try:
        version = importlib.metadata.version("casbin")
    except importlib.metadata.PackageNotFoundError:
        return
    raise EngineConflictError(
        f"the distribution casbin {version} is installed beside pycasbin and overwrites its files: uninstall both, "
        "then install pycasbin alone"
    )


class _Rows(list[list[str]]):
    """The policy's rows; knows which of them the Enforcer is looking at."""

    at = -1

    def __iter__(self) -> Iterator[list[str]]:
        for self.at, row in enumerate(super().__iter__()):
            yield row

    def present(self) -> tuple[int, ...]:
        """Give the index of the row being looked at, if there is one."""
        return (self.at,) if self.at >= 0 else ()


class _Recorder(AllowAndDenyEffector):  # type: ignore[misc]  # casbin has no types
    """Notes every row that matched. Casbin asks for an intermediate effect after each one, to stop early."""

    def __init__(self, rows: _Rows) -> None:
        self._rows = rows
        self.matched: list[int] = []

    def intermediate_effect(self, effects: set[int]) -> int:
        del effects
        self.matched.append(self._rows.at)
        return int(self.INDETERMINATE)


class _MemoryAdapter(Adapter):  # type: ignore[misc]  # casbin has no types
    """Feeds a model with rows that the loader has checked. There is no text between, hence nothing to misread."""

    def __init__(self, rows: _Rows, links: Sequence[tuple[str, str, str]]) -> None:
        self._rows = rows
        self._links = links

    def load_policy(self, model: Model) -> None:
        model["p"]["p"].policy = self._rows
        for ptype, member, parent in self._links:
            model["g"][ptype].policy.append([member, parent])

    def save_policy(self, model: Model) -> Any:
        raise NotImplementedError("a policy revision is never written back")
