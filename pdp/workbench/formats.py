"""JSON Schemas of the YAML files of a policy folder, for editors that complete and check while one types.

They say what can be said of one file by itself; ``pdp policy lint`` says the rest. JSON Schema draft 2020-12.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

# Name of a schema to the files it describes, relative to the policy folder.
FORMATS: Final[Mapping[str, str]] = {
    "schema": "schema.yaml",
    "obligations": "obligations.yaml",
    "routes": "routes.yaml",
    "signals": "signals.yaml",
    "limits": "limits.yaml",
    "attributes": "sample/attributes.yaml",
    "invariants": "invariants.yaml",
    "tests": "tests/*.yaml",
    "review": "review.yaml",
    "lint": "lint.yaml",
}


def json_schema(name: str) -> str:
    """Give the text of a schema, one of ``FORMATS``."""
    return (files(__package__) / "schemas" / f"{name}.json").read_text("utf-8")
