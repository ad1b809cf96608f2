"""Sample attributes, so that a first try has someone to ask about."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from pdp.attributes import RedisSettings
from pdp.attributes.file import load_file
from pdp.attributes.writer import open_writer
from pdp.policy import load_schema

SAMPLE_FILE: Final = Path("sample") / "attributes.yaml"


async def load_sample(store: RedisSettings, folder: Path) -> int:
    """Write the policy folder's sample attributes into the store; give their number.

    Raises:
        PdpError: the file or the schema has a fault, or the store does not take the records.
    """
    schema = load_schema(folder / "schema.yaml")
    async with open_writer(store, schema) as writer:
        return await load_file(folder / SAMPLE_FILE, schema, writer, time.time())
