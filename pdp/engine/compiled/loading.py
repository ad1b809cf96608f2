"""Models and policies, read through Casbin's own classes."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from casbin.model import Assertion, Model
from casbin.persist import Adapter
from casbin.persist.adapters import FileAdapter

from pdp.engine.compiled.errors import Finding, PolicyError
from pdp.engine.compiled.pacing import Checkpoint, no_pause, paced


class RowsAdapter(Adapter):  # type: ignore[misc]
    """An adapter over rows in memory: each starts with its policy type, as a line of a policy file does."""

    def __init__(self, rows: Iterable[tuple[str, ...]], checkpoint: Checkpoint = no_pause) -> None:
        self._rows = list(rows)
        self._checkpoint = checkpoint

    def load_policy(self, model: Any) -> None:
        """Put every row whose policy type the model knows into the model; others are skipped, as in Casbin."""
        for ptype, *values in paced(self._rows, self._checkpoint):
            section = model.model.get(ptype[:1])
            if section is not None and ptype in section.keys():  # noqa: SIM118 - recording models answer keys()
                section[ptype].policy.append(values)


Source: TypeAlias = str | Adapter | Iterable[tuple[str, ...]] | None


def adapter_of(source: Source, checkpoint: Checkpoint) -> Adapter | None:
    """The adapter for a path, an adapter, or rows in memory."""
    if source is None or isinstance(source, Adapter):
        return source
    if isinstance(source, str):
        return FileAdapter(source)
    return RowsAdapter(cast("Iterable[tuple[str, ...]]", source), checkpoint)


def model_of(model: str | Model) -> Model:
    """The model for a path or a model."""
    if not isinstance(model, str):
        return model
    loaded = Model()
    loaded.load_model(model)
    return loaded


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model and its rows, in the order in which they are evaluated.

    Attributes:
        model: the model, without policy.
        policy: policy type -> rows.
        grouping: role definition -> rows.
    """

    model: Model
    policy: dict[str, list[list[str]]]
    grouping: dict[str, list[list[str]]]


class _Keys:
    """Claims to hold every key, so that an adapter skips nothing."""

    def __contains__(self, _key: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())


class _Section(dict[str, Any]):
    def keys(self) -> Any:
        return _Keys()

    def __contains__(self, _key: object) -> bool:
        return True

    def __missing__(self, key: str) -> Assertion:
        found = self[key] = Assertion()
        return found


class _Sections(dict[str, Any]):
    def keys(self) -> Any:
        return _Keys()

    def __contains__(self, _key: object) -> bool:
        return True

    def get(self, key: str, default: Any = None) -> Any:
        del default
        return self[key]

    def __missing__(self, key: str) -> _Section:
        found = self[key] = _Section()
        return found


def load_strictly(model: Model, adapter: Adapter | None) -> Loaded:
    """Load every row an adapter has, also those that Casbin would skip without a word.

    Raises:
        PolicyError: the adapter failed, or a row names a policy type that the model lacks.
    """
    recording = copy.deepcopy(model)
    recording.model = _Sections({name: _Section(section) for name, section in model.model.items()})
    for section in ("p", "g"):
        for key, assertion in recording.model[section].items():
            recording.model[section][key] = copy.copy(assertion)
            recording.model[section][key].policy = []
    try:
        if adapter is not None:
            adapter.load_policy(recording)
    except Exception as error:
        reason = f"the adapter raised {type(error).__name__}: {error}"
        raise PolicyError((Finding("model", -1, reason),)) from error
    _refuse_unknown(recording, model)
    sections = recording.model
    return Loaded(
        model,
        {key: found.policy for key, found in dict.items(sections["p"])},
        {key: found.policy for key, found in dict.items(sections["g"])},
    )


def _refuse_unknown(recording: Model, model: Model) -> None:
    findings = [
        Finding(repr(key), -1, f"a policy type the model lacks, in {len(found.policy)} rows")
        for name, section in dict.items(recording.model)
        for key, found in dict.items(section)
        if name not in {"r", "e", "m"} and key not in model.model.get(name, {})
    ]
    if findings:
        raise PolicyError(tuple(findings))
