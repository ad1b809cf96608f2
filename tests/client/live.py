"""A running service with the sample policy, on a store that a test may write to and take away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from pdp.attributes import RedisSettings, open_writer
from pdp.attributes.writer import AttributeWriter
from pdp.client import AsyncClient, ClientSettings, Mask, Question
from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from pdp.policy import load_schema
from tests.attributes.support import EXECUTABLES, Server, running
from tests.integration.running import ROOT, Service, serving

DEVICE = (Entity.DEVICE, EntityRef("device", "d-1"))
READ = Question(("user", "alice"), "read", ("customer", "c-1"), "s-2", "d-1", "billing")
MASKS = (Mask(b"k" * 32),)


@dataclass
class Live:
    """The service and its store."""

    service: Service
    store: Server

    def settings(self, **changes: object) -> ClientSettings:
        # A busy machine is slow; these tests are not about limits unless they say so.
        options = {"targets": (self.service.grpc,), "timeout": 5.0, "staleness": 3.0}
        return ClientSettings(**{**options, **changes})

    @contextlib.asynccontextmanager
    async def writer(self) -> AsyncIterator[AttributeWriter]:
        schema = load_schema(ROOT / "policies" / "schema.yaml")
        async with open_writer(RedisSettings(self.store.url, fetch_timeout=5.0, connect_timeout=5.0), schema) as one:
            try:
                yield one
            finally:
                await one.patch(*DEVICE, {"compliant": True})


@contextlib.contextmanager
def alive(*arguments: str) -> Iterator[Live]:
    with running(min(EXECUTABLES.values())) as store:
        settings = ("--set", f"redis.url={store.url}", "--set", "redis.fetch_timeout=2")
        with serving("--sample", *settings, *arguments) as service:
            yield Live(service, store)


async def settled(client: AsyncClient, question: Question = READ, limit: float = 10.0) -> None:
    """Wait until an answer is held and vouched for."""
    async with asyncio.timeout(limit):
        await client.watching()
        while client.held(question) is None:
            await client.check(question)
            await asyncio.sleep(0.01)
