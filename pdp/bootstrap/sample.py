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
from pdp.audit.commands import ATTRIBUTE_WRITE, Put
from pdp.bootstrap.in_force import policy_in_force
from pdp.config import PolicySection
from pdp.core.decision import Entity
from pdp.core.errors import PdpError, PolicyInvalidError
from pdp.core.request import EntityRef
from pdp.core.schema import Schema
from pdp.policy import load_schema

_LOG: Final = logging.getLogger(__name__)
_FILE: Final = Path("sample") / "attributes.yaml"
# Well within the schema's age limits, as a live feed would write.
_REFRESH: Final = 300.0
_PATIENCE: Final = 5.0


class Sample:
    """The sample attributes of a policy folder, written to a store and kept from going stale there."""

    def __init__(self, store: RedisSettings, section: PolicySection, put: Put | None = None) -> None:
        """Take note of the places; nothing is read yet.

        Args:
            store: where attributes are written.
            section: where the policy comes from, which says what attributes there are.
            put: puts on record that they were written; None where there is no decision log.
        """
        # Nobody waits for these writes as they do for a decision.
        self._store = replace(store, fetch_timeout=_PATIENCE)
        self._section = section
        self._put = put
        self._written: dict[tuple[Entity, EntityRef], int] = {}

    async def load(self) -> int:
        """Write every record that nobody else has changed since; give the number of those written.

        Raises:
            PdpError: the file or the schema has a fault, or the store does not take a record.
        """
        schema, now = await asyncio.to_thread(self._schema), time.time()
        file = self._section.folder / _FILE
        count = 0
        async with open_writer(self._store, schema) as writer:
            for record in read_file(file, schema, now):
                key = (record.entity, record.ref)
                if key not in self._written or (await writer.read(*key)).version == self._written[key]:
                    self._written[key] = await writer.put(*key, record.given, now)
                    count += 1
        if self._put:
            facts = {"caller": "sample", "action": "load", "file": str(file), "records": count}
            self._put({"kind": ATTRIBUTE_WRITE, **facts})
        return count

    def _schema(self) -> Schema:
        try:
            return policy_in_force(self._section).schema
        except PolicyInvalidError:
            # Nothing decides yet; whoever mends the rules will want somebody to ask about.
            return load_schema(self._section.folder / "schema.yaml")

    async def keep(self) -> None:
        """Write them anew every five minutes until cancelled."""
        while True:
            await asyncio.sleep(_REFRESH)
            try:
                await self.load()
            except PdpError as error:
                _LOG.warning("the sample attributes were not refreshed: %s", error, extra={"event": "sample.refresh"})
