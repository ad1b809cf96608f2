"""Memory of 100,000 cached entities, and the time of a look-up: ``python tests/bench/cache_memory.py [entities]``.

The peer is what a client-side cache in front of a Redis client holds: the answers of HGETALL, as dictionaries of
bytes by key. It is not typed or checked: a decision that read it would have to parse it first.
"""

# ruff: noqa: T201 - a benchmark prints

from __future__ import annotations

import gc
import math
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from pdp.attributes.cache import NearCache
from pdp.attributes.fields import read, wanted_fields
from pdp.attributes.keys import key_of
from pdp.attributes.values import encode_all
from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from pdp.core.schema import Schema
from pdp.policy import load_schema

T = TypeVar("T")
Target = tuple[Entity, EntityRef]
VALUES: dict[Entity, dict[str, object]] = {
    Entity.SUBJECT: {
        "roles": ["agent"],
        "status": "active",
        "regions": ["eu", "uk"],
        "team": "team-12",
        "training_valid_until": "+90d",
        "shift_start": "-2h",
        "shift_end": "+6h",
        "records_read_24h": 12,
    },
    Entity.DEVICE: {
        "managed": True,
        "compliant": True,
        "disk_encrypted": True,
        "edr": "running",
        "os_supported_until": "+90d",
        "patch_age_days": 3,
        "posture_score": 92,
    },
    Entity.SESSION: {
        "subject": "agent-1",
        "device": "d-1",
        "revoked": False,
        "risk": 7,
        "aal": 2,
        "amr": ["pwd", "otp"],
        "auth_time": "-5m",
        "last_activity": "now",
        "network": "vpn",
    },
    Entity.RESOURCE: {"region": "eu", "customer_id": "c-1", "purposes": ["support", "billing"], "sad_scan": "clean"},
}


def main(count: int) -> None:
    """Print what it takes."""
    schema = load_schema(Path(__file__).parents[2] / "policies" / "schema.yaml")
    targets = [target(i) for i in range(count)]
    ours, cache = held(lambda: fill(schema, targets))
    peer, _ = held(lambda: {key_of(*it): answer(schema, it) for it in targets})
    print(f"{count} entities: {ours / 1e6:.0f} MB, {ours / count:.0f} bytes each; ", end="")
    print(f"raw answers {peer / 1e6:.0f} MB, {peer / count:.0f} bytes each; ratio {ours / peer:.2f}")
    refs = targets[:4]
    mine = nanoseconds(lambda: cache.peek(refs, schema, 0.0))
    raw = {key_of(*it): answer(schema, it) for it in refs}
    theirs = nanoseconds(lambda: [raw[key_of(*it)] for it in refs])
    print(f"look-up of 4 typed records: {mine:.0f} ns; of 4 raw answers: {theirs:.0f} ns; ratio {mine / theirs:.2f}")


def target(index: int) -> Target:
    """Name the entities in turn: a subject, a resource, a device, a session."""
    entity = (Entity.SUBJECT, Entity.RESOURCE, Entity.DEVICE, Entity.SESSION)[index % 4]
    kind = {Entity.SUBJECT: "user", Entity.RESOURCE: "customer"}.get(entity, entity.value)
    return entity, EntityRef(kind, f"{kind}-{index}")


def answer(schema: Schema, one: Target) -> dict[bytes, bytes]:
    """Make what HGETALL answers; every byte string is new, as it is off a socket."""
    entity, ref = one
    texts = encode_all(schema, entity, ref, VALUES[entity], time.time())
    fields = {"_version": str(time.time_ns() // 1000), "_issued_at": f"{time.time():.3f}", **texts}
    return {name.encode(): value.encode() for name, value in fields.items()}


def fill(schema: Schema, targets: list[Target]) -> NearCache:
    """Fill a cache as reads do."""
    cache = NearCache(len(targets))
    for entity, ref in targets:
        declared = schema.attributes_of(entity, ref.type)
        stored = answer(schema, (entity, ref))
        values = [stored.get(name.encode()) for name in wanted_fields(declared)]
        made = read(ref, declared, values, schema.clock_skew)
        entry = cache.see(entity, ref, made.version)
        if entry is None or made.record is None or made.record.version == 0:
            raise SystemExit("the sample no longer fits the schema")
        entry.record, entry.schema, entry.until = made.record, schema, math.inf
    return cache


def held(make: Callable[[], T]) -> tuple[int, T]:
    """Measure by how much the process grows, in bytes."""
    gc.collect()
    before = psutil.Process().memory_info().rss
    made = make()
    gc.collect()
    return psutil.Process().memory_info().rss - before, made


def nanoseconds(run: Callable[[], object], number: int = 100_000) -> float:
    """Time a call; the best of seven rounds."""
    return min(timeit.repeat(run, number=number, repeat=7)) / number * 1e9


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
