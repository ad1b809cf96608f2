"""What a policy's own team counts as sensitive (review.yaml), as assurance, as purpose and as posture (lint.yaml).

Both files are optional. lint.yaml::

    version: 1
    assurance: [session.aal]
    purpose: [context.purpose]
    posture: [device.compliant, device.managed]
    # end
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Final

from pdp.core.decision import Entity
from pdp.core.errors import PolicyInvalidError
from pdp.core.policy import PolicySnapshot
from pdp.policy.fields import Fields
from pdp.policy.files import read_file
from pdp.policy.problems import Problems, did_you_mean
from pdp.policy.source import decode, require_end
from pdp.policy.yaml_reader import read_yaml
from pdp.workbench.logic.reading import Path
from pdp.workbench.review import Review, read_review
from pdp.yaml_tree import Node

FILE: Final = "lint.yaml"
_TELLING: Final = re.compile(r"card|(^|_)pan(_|$)|health|medical|patient|clinical|diagnos|(^|_)phi(_|$)")
_PATH: Final = re.compile(r"(subject|device|session|context)\.[a-z][a-z0-9_]*", re.ASCII)
_PATH_HELP: Final = "subject, device, session or context, a dot, and the attribute's name"
_KEYS: Final = ("assurance", "purpose", "posture")


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


def default_settings(policy: PolicySnapshot, review: Review) -> Settings:
    """Go by names: types and classes that speak of cards or health, the schema's step-up level, every device fact.

    Args:
        policy: the revision.
        review: says what is sensitive, where it does; then names do not count.
    """
    schema = policy.schema
    covers = policy.hierarchy.resources
    if review.sensitive is None:
        sensitive = [it for it in schema.resources if any(_TELLING.search(name) for name in covers[it])]
    else:
        sensitive = [it for it in schema.resources if review.is_sensitive(policy, it)]
    level = ((Entity.SESSION, schema.step_up.level),) if schema.step_up else ()
    purpose = tuple((Entity.CONTEXT, name) for name in schema.attributes_of(Entity.CONTEXT) if name == "purpose")
    posture = tuple((Entity.DEVICE, name) for name in sorted(schema.attributes_of(Entity.DEVICE)))
    return Settings(frozenset(sensitive), level, purpose, posture)


def read_settings(folder: FilePath, policy: PolicySnapshot, problems: Problems) -> Settings:
    """Read review.yaml and lint.yaml; where there is none, or a key is left out, go by names."""
    default = default_settings(policy, _review(folder, policy, problems))
    if not (folder / FILE).exists():
        return default
    content = read_file(folder, FILE, problems)
    source = decode(FILE, content, problems) if content is not None else None
    if source is None or not require_end(source, problems) or (root := read_yaml(source, problems)) is None:
        return default
    fields = Fields(source, problems)
    given = fields.document(root, (), _KEYS)
    found = {key: _paths(fields, given[key], policy) for key in _KEYS if key in given}
    return Settings(
        default.sensitive,
        found.get("assurance", default.assurance),
        found.get("purpose", default.purpose),
        found.get("posture", default.posture),
    )


def _review(folder: FilePath, policy: PolicySnapshot, problems: Problems) -> Review:
    try:
        return read_review(folder, policy)
    except PolicyInvalidError as error:
        for problem in error.problems:
            problems.add(problem)
        return Review()


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
