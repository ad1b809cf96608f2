"""lint.yaml: what a policy's own team counts as sensitive, as assurance, as purpose and as posture. Optional.

::

    version: 1
    sensitive: [cardholder_data, health_note]
    assurance: [session.aal]
    purpose: [context.purpose]
    posture: [device.compliant, device.managed]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Final

from pdp.core.decision import Entity
from pdp.core.policy import PolicySnapshot
from pdp.policy.fields import DOTTED_NAME, Fields
from pdp.policy.files import read_file
from pdp.policy.problems import Problems, did_you_mean
from pdp.policy.source import decode, require_end
from pdp.policy.yaml_reader import Node, read_yaml
from pdp.workbench.logic.reading import Path

FILE: Final = "lint.yaml"
_TELLING: Final = re.compile(r"card|(^|_)pan(_|$)|health|medical|patient|clinical|diagnos|(^|_)phi(_|$)")
_PATH: Final = re.compile(r"(subject|device|session|context)\.[a-z][a-z0-9_]*", re.ASCII)
_PATH_HELP: Final = "subject, device, session or context, a dot, and the attribute's name"
_KEYS: Final = ("sensitive", "assurance", "purpose", "posture")


@dataclass(frozen=True)
class Settings:
    """What the checks of safeguards go by.

    Attributes:
        sensitive: resource types that hold cardholder or health data.
        assurance: attributes that say how well the subject has proved who it is; the least value is the weakest.
        purpose: attributes that say what the data is wanted for.
        posture: attributes that say what state the device is in.
    """

    sensitive: frozenset[str]
    assurance: tuple[Path, ...]
    purpose: tuple[Path, ...]
    posture: tuple[Path, ...]


def default_settings(policy: PolicySnapshot) -> Settings:
    """Go by names: types and classes that speak of cards or health, the schema's step-up level, every device fact."""
    schema = policy.schema
    telling = {it for it in schema.resources if any(_TELLING.search(name) for name in policy.hierarchy.resources[it])}
    level = ((Entity.SESSION, schema.step_up.level),) if schema.step_up else ()
    purpose = tuple((Entity.CONTEXT, name) for name in schema.attributes_of(Entity.CONTEXT) if name == "purpose")
    posture = tuple((Entity.DEVICE, name) for name in sorted(schema.attributes_of(Entity.DEVICE)))
    return Settings(frozenset(telling), level, purpose, posture)


def read_settings(folder: FilePath, policy: PolicySnapshot, problems: Problems) -> Settings:
    """Read lint.yaml; where there is none, or a key is left out, go by names."""
    default = default_settings(policy)
    if not (folder / FILE).exists():
        return default
    content = read_file(folder, FILE, problems)
    source = decode(FILE, content, problems) if content is not None else None
    if source is None or not require_end(source, problems) or (root := read_yaml(source, problems)) is None:
        return default
    fields = Fields(source, problems)
    given = fields.document(root, (), _KEYS)
    sensitive = _sensitive(fields, given["sensitive"], policy) if "sensitive" in given else default.sensitive
    paths = {key: _paths(fields, given[key], policy) for key in _KEYS[1:] if key in given}
    return Settings(
        sensitive,
        paths.get("assurance", default.assurance),
        paths.get("purpose", default.purpose),
        paths.get("posture", default.posture),
    )


def _sensitive(fields: Fields, node: Node, policy: PolicySnapshot) -> frozenset[str]:
    covers = policy.hierarchy.resources
    types = policy.schema.resources
    known = frozenset().union(*(covers[it] for it in types))
    found: set[str] = set()
    for item in fields.items(node):
        name = fields.name(item, DOTTED_NAME)
        if name is not None and name not in known:
            fields.refuse(item, f"the policy has no resource type or class {name!r}", did_you_mean(name, known))
        found.update(it for it in types if name in covers[it])
    return frozenset(found)


def _paths(fields: Fields, node: Node, policy: PolicySnapshot) -> tuple[Path, ...]:
    found: list[Path] = []
    for item in fields.items(node):
        text = fields.name(item, _PATH, _PATH_HELP)
        if text is None:
            continue
        entity, _, name = text.partition(".")
        declared = policy.schema.attributes_of(Entity(entity))
        if name not in declared:
            fields.refuse(item, f"the schema has no {text}", did_you_mean(name, declared))
        else:
            found.append((Entity(entity), name))
    return tuple(found)
