"""Sample attributes stay fresh, and what a person changes of them stays changed."""

from __future__ import annotations

from pathlib import Path

from pdp.attributes import EmbeddedRedis, RedisSettings
from pdp.attributes.writer import open_writer
from pdp.bootstrap.sample import Sample
from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from pdp.policy import load_schema

POLICIES = Path(__file__).parents[2] / "policies"
DEVICE = (Entity.DEVICE, EntityRef("device", "d-1"))
OTHER = (Entity.DEVICE, EntityRef("device", "d-2"))


async def test_records_are_renewed_but_for_those_that_were_changed() -> None:
    schema = load_schema(POLICIES / "schema.yaml")
    async with EmbeddedRedis() as redis:
        store = RedisSettings(redis.url)
        sample = Sample(store, POLICIES)
        written = await sample.load()
        assert written > 60
        async with open_writer(store, schema) as writer:
            renewed = (await writer.read(*OTHER)).version
            changed = await writer.patch(*DEVICE, {"compliant": "false"})
            assert await sample.load() == written - 1
            assert (await writer.read(*DEVICE)).version == changed
            assert (await writer.read(*OTHER)).version > renewed
