"""Questions asked offline: what is known comes from a file of attributes, not from a running service."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from pdp.core.errors import PdpError
from pdp.core.policy import PolicySnapshot
from pdp.core.record import ISSUED_FIELD, VERSION_FIELD, Record, parse_record
from pdp.engine.matcher import CompiledEngine
from pdp.policy import load
from pdp.workbench.testing.world import Owner, World, read_records

SAMPLE: Final = Path("sample") / "attributes.yaml"
FolderOption = Annotated[Path, typer.Option("--policies", help="The policy folder.")]
AttributesOption = Annotated[
    Path | None,
    typer.Option("--attributes", help="File of attribute records.", show_default="the folder's sample"),
]
NowOption = Annotated[
    datetime | None, typer.Option("--now", help="The time it is, in UTC.", show_default="the present")
]


class QuestionError(PdpError):
    """A question about something that the policy or the file of attributes does not know."""


def open_world(folder: Path, attributes: Path | None, now: datetime | None) -> tuple[PolicySnapshot, World]:
    """Load the policy and what is known.

    Raises:
        PdpError: the policy or the file of attributes has a fault.
    """
    moment = time.time() if now is None else now.replace(tzinfo=UTC).timestamp()
    policy = load(folder, CompiledEngine())
    stored = read_records(attributes or folder / SAMPLE, policy.schema, moment)
    return policy, World(policy.schema, moment, stored)


def records_of(world: World) -> dict[Owner, Record]:
    """Give every record there is, as the service would read it."""
    stamps = {VERSION_FIELD: "1", ISSUED_FIELD: str(int(world.now))}
    schema = world.schema
    parsed = {
        (entity, ref): parse_record(ref, schema.attributes_of(entity, ref.type), {**stamps, **it}, schema.clock_skew)
        for (entity, ref), it in world.stored.items()
    }
    return {owner: record for owner, record in parsed.items() if record is not None}


def parted(text: str, what: str) -> tuple[str, str]:
    """Read ``type:id``.

    Raises:
        QuestionError: it is not of that form.
    """
    kind, colon, identifier = text.partition(":")
    if not (kind and colon and identifier):
        raise QuestionError(f"{what} {text!r} is not of the form type:id, such as user:alice")
    return kind, identifier


def check_known(name: str, names: Iterable[str], what: str) -> None:
    """Refuse a name that the schema does not know.

    Raises:
        QuestionError: with what there is.
    """
    known = sorted(names)
    if name not in known:
        raise QuestionError(f"there is no {what} {name!r}; there are {', '.join(known)}")
