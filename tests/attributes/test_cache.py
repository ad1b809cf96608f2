"""The near cache by itself: what may decide, what is kept, what is given up."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from pdp.attributes.cache import NearCache
from pdp.core.decision import Entity
from pdp.core.record import Record, View
from pdp.core.request import EntityRef
from pdp.core.schema import Schema
from tests.attributes.support import ALL, CUSTOMER, SCHEMA, SESSION, make_schema


def _record(ref: EntityRef, version: int = 1) -> Record:
    return Record(ref, version, 0.0, View({}), {}, {}, {})


def _fill(
    cache: NearCache,
    target: tuple[Entity, EntityRef],
    version: int = 1,
    schema: Schema = SCHEMA,
    until: float = math.inf,
) -> None:
    entry = cache.see(*target, version)
    assert entry is not None
    entry.record, entry.schema, entry.until = _record(target[1], version), schema, until


def test_all_or_nothing() -> None:
    cache = NearCache(10)
    for target in ALL[:-1]:
        _fill(cache, target)
    assert cache.peek(ALL, SCHEMA, 0) is None
    _fill(cache, ALL[-1])
    found = cache.peek(ALL, SCHEMA, 0)
    assert found is not None
    for entity, ref in ALL:
        record = found.of(entity)
        assert record is not None
        assert record.ref is ref


def test_an_entity_of_another_kind_with_the_same_name_is_another() -> None:
    cache = NearCache(10)
    _fill(cache, (Entity.SUBJECT, EntityRef("x", "1")))
    for other in [
        (Entity.RESOURCE, EntityRef("x", "1")),
        (Entity.SUBJECT, EntityRef("y", "1")),
        (Entity.SUBJECT, EntityRef("x", "2")),
    ]:
        assert cache.peek([other], SCHEMA, 0) is None
        assert cache.get(*other, SCHEMA, 0) is None


def test_an_equal_schema_is_not_the_same_schema() -> None:
    cache = NearCache(10)
    _fill(cache, SESSION)
    assert make_schema() == SCHEMA
    assert cache.peek([SESSION], make_schema(), 0) is None


def test_an_entry_ends_with_its_life_in_the_store() -> None:
    cache = NearCache(10)
    _fill(cache, SESSION, until=5.0)
    assert cache.peek([SESSION], SCHEMA, 4.9)
    assert cache.peek([SESSION], SCHEMA, 5.0) is None
    assert cache.get(*SESSION, SCHEMA, 5.0) is None


def test_an_invalidated_entry_keeps_its_version() -> None:
    cache = NearCache(10)
    _fill(cache, SESSION, version=7)
    assert cache.invalidate("session", "session", "s-1")
    assert not cache.invalidate("session", "session", "s-1")
    assert cache.peek([SESSION], SCHEMA, 0) is None
    assert cache.see(*SESSION, 6) is None
    assert cache.see(*SESSION, 7) is not None


def test_a_flush_keeps_versions_too() -> None:
    cache = NearCache(10)
    _fill(cache, SESSION, version=7)
    cache.flush()
    assert cache.peek([SESSION], SCHEMA, 0) is None
    assert cache.see(*SESSION, 6) is None


def test_a_record_without_a_version_neither_counts_nor_is_counted() -> None:
    cache = NearCache(10)
    _fill(cache, SESSION, version=7)
    assert cache.see(*SESSION, 0) is not None
    assert cache.see(*SESSION, 6) is None


def test_what_is_in_use_survives_a_scan_of_unknown_names() -> None:
    cache = NearCache(20)
    hot = [(Entity.SUBJECT, EntityRef("user", f"u{i}")) for i in range(10)]
    for target in hot:
        _fill(cache, target)
    for i in range(500):
        assert all(cache.peek([target], SCHEMA, 0) for target in hot)
        _fill(cache, (Entity.RESOURCE, EntityRef("customer", f"c-{i}")))
    assert len(cache) == 20


def test_a_cache_in_which_all_is_in_use_still_makes_room() -> None:
    cache = NearCache(200)
    for i in range(1000):
        target = (Entity.RESOURCE, EntityRef("customer", f"c-{i}"))
        _fill(cache, target)
        assert cache.peek([target], SCHEMA, 0)
    assert len(cache) == 200


def test_a_type_without_entries_takes_no_memory() -> None:
    cache = NearCache(1)
    for i in range(100):
        _fill(cache, (Entity.RESOURCE, EntityRef(f"type{i}", "1")))
    assert sum(len(kinds) for kinds in cache._tree.values()) == 1


_targets = st.tuples(
    st.sampled_from([Entity.SUBJECT, Entity.RESOURCE]),
    st.builds(EntityRef, st.sampled_from(["a", "b"]), st.sampled_from("1234")),
)
_steps = st.one_of(
    st.tuples(st.just("fill"), _targets, st.integers(1, 5)),
    st.tuples(st.just("drop"), _targets, st.just(0)),
    st.tuples(st.just("flush"), _targets, st.just(0)),
    st.tuples(st.just("peek"), _targets, st.just(0)),
)


@given(st.lists(_steps, max_size=60), st.integers(1, 6))
def test_it_gives_only_what_was_filled_last_and_is_never_over_its_bound(
    steps: list[tuple[str, tuple[Entity, EntityRef], int]], bound: int
) -> None:
    cache = NearCache(bound)
    model: dict[tuple[Entity, EntityRef], int] = {}
    for step, target, version in steps:
        if step == "fill" and (entry := cache.see(*target, version)):
            entry.record, entry.schema, entry.until = _record(target[1], version), SCHEMA, math.inf
            model[target] = version
        elif step == "drop":
            cache.invalidate(target[0].value, target[1].type, target[1].id)
            model.pop(target, None)
        elif step == "flush":
            cache.flush()
            model.clear()
        found = cache.peek([target], SCHEMA, 0)
        if found is not None:
            record = found.of(target[0])
            assert record is not None
            assert (record.ref, record.version) == (target[1], model[target])
        assert len(cache) <= bound
        assert len(cache) == sum(len(ids) for kinds in cache._tree.values() for ids in kinds.values())


def test_a_session_and_its_resource_are_found_whatever_the_order() -> None:
    cache = NearCache(10)
    for target in ALL:
        _fill(cache, target)
    forwards, backwards = cache.peek(ALL, SCHEMA, 0), cache.peek(ALL[::-1], SCHEMA, 0)
    assert forwards == backwards
    assert forwards is not None
    assert forwards.resource is not None
    assert forwards.resource.ref == CUSTOMER[1]
