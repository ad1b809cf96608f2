"""Sample attributes stay fresh, and what a person changes of them stays changed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from pdp.attributes import EmbeddedRedis, RedisSettings
from pdp.attributes.writer import open_writer
from pdp.bootstrap.sample import Sample
from pdp.config import PolicySection
from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from pdp.policy import FolderOrigin, load_schema

POLICIES = Path(__file__).parents[2] / "policies"
DEVICE = (Entity.DEVICE, EntityRef("device", "d-1"))
OTHER = (Entity.DEVICE, EntityRef("device", "d-2"))


async def test_records_are_renewed_but_for_those_that_were_changed(tmp_path: Path) -> None:
    schema = load_schema(POLICIES / "schema.yaml")
    async with EmbeddedRedis() as redis:
        store = RedisSettings(redis.url)
        noted: list[Mapping[str, object]] = []
        section = PolicySection(folder=POLICIES, state=tmp_path)
        sample = Sample(store, section, noted.append)
        written = await sample.load()
        assert written > 60
        async with open_writer(store, schema) as writer:
            renewed = (await writer.read(*OTHER)).version
            changed = await writer.patch(*DEVICE, {"compliant": "false"})
            assert await sample.load() == written - 1
            assert [it["records"] for it in noted] == [written, written - 1]
            assert (await writer.read(*DEVICE)).version == changed
            assert (await writer.read(*OTHER)).version > renewed


async def test_the_schema_is_that_of_the_policy_in_force_and_not_the_folders(tmp_path: Path) -> None:
    """The service decides by a bundle; the folder's schema has moved on and lacks what the sample says."""
    policies = shutil.copytree(POLICIES, tmp_path / "policies")
    (tmp_path / "p.bundle").write_bytes(FolderOrigin(policies).read().as_bundle())
    (policies / "schema.yaml").write_text("version: 1\n")
    section = PolicySection(folder=policies, source=f"{tmp_path}/p.bundle", state=tmp_path / "state")
    async with EmbeddedRedis() as redis:
        assert await Sample(RedisSettings(redis.url), section).load() > 60


async def test_without_a_policy_in_force_the_folders_schema_will_do(tmp_path: Path) -> None:
    policies = shutil.copytree(POLICIES, tmp_path / "policies")
    (policies / "model.conf").write_text("nonsense")
    section = PolicySection(folder=policies, state=tmp_path / "state")
    async with EmbeddedRedis() as redis:
        assert await Sample(RedisSettings(redis.url), section).load() > 60
