"""Sample attributes, so that a first try has someone to ask about."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from pdp.attributes import RedisSettings
from pdp.attributes.file import read_file
from pdp.attributes.writer import open_writer
from pdp.core.decision import Entity
from pdp.core.errors import PdpError
from pdp.core.request import EntityRef
from pdp.policy import load_schema

_LOG: Final = logging.getLogger(__name__)
_FILE: Final = Path("sample") / "attributes.yaml"
# Well within the schema's age limits, as a live feed would write.
_REFRESH: Final = 300.0
_PATIENCE: Final = 5.0


class Sample:
    """The sample attributes of a policy folder, written to a store and kept from going stale there."""

    def __init__(self, store: RedisSettings, folder: Path) -> None:
        # Nobody waits for these writes as they do for a decision.
        self._store = replace(store, fetch_timeout=_PATIENCE)
        self._folder = folder
        self._written: dict[tuple[Entity, EntityRef], int] = {}

    async def load(self) -> int:
        """Write every record that nobody else has changed since; give the number of those written.

        Raises:
            PdpError: the file or the schema has a fault, or the store does not take a record.
        """
        schema, now = load_schema(self._folder / "schema.yaml"), time.time()
        count = 0
        async with open_writer(self._store, schema) as writer:
            for record in read_file(self._folder / _FILE, schema, now):
                key = (record.entity, record.ref)
                if key not in self._written or (await writer.read(*key)).version == self._written[key]:
                    self._written[key] = await writer.put(*key, record.given, now)
                    count += 1
        return count

    async def keep(self) -> None:
        """Write them anew every five minutes until cancelled."""
        while True:
            await asyncio.sleep(_REFRESH)
            try:
                await self.load()
            except PdpError as error:
                _LOG.warning("the sample attributes were not refreshed: %s", error, extra={"event": "sample.refresh"})
