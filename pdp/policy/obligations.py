"""obligations.yaml: what a decision may oblige an enforcement point to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pdp.core.decision import Obligation
from pdp.policy.fields import Fields
from pdp.policy.problems import Problems
from pdp.policy.source import Source
from pdp.policy.yaml_reader import read_yaml
from pdp.yaml_tree import Node

_ID: Final = re.compile(r"[a-z][a-z0-9-]{0,62}", re.ASCII)
_ID_HELP: Final = "lower-case letters, digits and -, starting with a letter"


def read_obligations(source: Source, problems: Problems) -> Mapping[str, Obligation] | None:
    """Read the declared obligations by id; None if the file is no YAML."""
    root = read_yaml(source, problems)
    if root is None:
        return None
    fields = Fields(source, problems)
    declared = fields.document(root, ("obligations",)).get("obligations")
    if declared is None:
        return None
    found = fields.named(declared, _ID, _ID_HELP)
    return MappingProxyType({id_: _obligation(fields, id_, entry.value) for id_, entry in found.items()})


def _obligation(fields: Fields, id_: str, node: Node) -> Obligation:
    given = fields.record(node, ("type",), ("mandatory", "properties", "description"))
    type_ = fields.name(given["type"]) if "type" in given else None
    mandatory = fields.boolean(given["mandatory"]) if "mandatory" in given else True
    properties = fields.texts(given["properties"]) if "properties" in given else {}
    if "description" in given:
        fields.prose(given["description"])
    return Obligation(id_, type_ or "", mandatory is not False, properties)
