"""The settings as people see them: each with its meaning, and a name for them all. A secret's value is never told."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

from pdp.config import ENV_PREFIX, Config
from pdp.server.rpc import Tls

_ENTRY: Final = re.compile(r"^    ([a-z_]+): (.*?)(?=^    [a-z_]+: |\Z)", re.MULTILINE | re.DOTALL)


class Setting(NamedTuple):
    """One setting as people see it; a secret's value is never in it."""

    section: str
    name: str
    value: str
    is_default: bool
    meaning: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"{ENV_PREFIX}{self.section}__{self.name}".upper()


def explain(present: Config) -> Iterator[Setting]:
    """Give every setting of every section, with its documentation taken from the section's own docstring."""
    for section, field in Config.model_fields.items():
        value = getattr(present, section)
        kind = _dataclass_of(field.annotation)
        meanings = _meanings(kind)
        for entry in filter(_is_set_by_people, dataclasses.fields(kind)):
            now = getattr(value, entry.name) if value is not None else None
            yield Setting(section, entry.name, _shown(entry, now), now == _default(entry), meanings[entry.name])


def digest(settings: Iterable[Setting]) -> str:
    """Give the digest that names a configuration. Of a secret it tells no more than whether it is set.

    It is SHA-256 over the canonical JSON object of ``section.name`` to value, keys sorted, without white space.
    """
    shown = {f"{it.section}.{it.name}": it.value for it in settings}
    text = json.dumps(shown, sort_keys=True, separators=(",", ":"))
    return _sha256(text.encode())


def facts(present: Config) -> dict[str, object]:
    """Say for the decision log which configuration is in force.

    Its digest; what differs from the defaults; and the digests of files that may change while the service runs, but
    for the policy's, which have records of their own.
    """
    settings = list(explain(present))
    changed = {f"{it.section}.{it.name}": it.value for it in settings if not it.is_default}
    return {"digest": digest(settings), "settings": changed, "files": _files(present.tls)}


def _files(tls: Tls | None) -> dict[str, str]:
    # Not of the private key: a digest of it is of no use to anybody who should not have it.
    named = {"tls.certificate": tls.certificate, "tls.client_ca": tls.client_ca} if tls else {}
    return {name: _sha256(Path(path).read_bytes()) for name, path in named.items() if path}


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _dataclass_of(annotation: Any) -> Any:
    return next((part for part in get_args(annotation) if dataclasses.is_dataclass(part)), annotation)


def _is_set_by_people(entry: dataclasses.Field[Any]) -> bool:
    """Leave out what the service works out from elsewhere, such as from the policy's schema."""
    return not entry.metadata.get("derived", False)


def _default(entry: dataclasses.Field[Any]) -> Any:
    if entry.default is not dataclasses.MISSING:
        return entry.default
    return entry.default_factory() if entry.default_factory is not dataclasses.MISSING else None


def _meanings(section: type) -> dict[str, str]:
    _, _, attributes = (section.__doc__ or "").expandtabs().partition("Attributes:")
    dedented = re.sub(r"^        (?=\S)", "    ", attributes, flags=re.MULTILINE)
    return {name: " ".join(text.replace("``", "").split()) for name, text in _ENTRY.findall(dedented)}


def _shown(entry: dataclasses.Field[Any], value: Any) -> str:
    if not entry.repr and value:
        return "(set)"
    if value is None or value in ("", (), {}, frozenset()):
        return "-"
    if isinstance(value, tuple | frozenset):
        return ", ".join(sorted(map(str, value)))
    return str(value).lower() if isinstance(value, bool) else str(value)
