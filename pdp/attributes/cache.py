"""The near cache: records as they were last read, while a lease says that nothing has changed since.

Rules:
- An entry decides only under the very schema it was read under, before its own expiry, within a live lease.
- An invalidated entry keeps its place and its version, so that an older record cannot follow a newer one.
- Memory is bounded by the number of entries. A full cache gives up the entry that was filled longest ago among those
  not used since they were last considered, so that a scan of unknown names does not push out what is in use.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from pdp.core.decision import Entity
from pdp.core.entities import Entities
from pdp.core.record import Record
from pdp.core.request import EntityRef
from pdp.core.schema import Schema
from pdp.ports import Refs

# Names of their own, for reading a member off its enumeration costs as much as a look-up.
_SUBJECT: Final = Entity.SUBJECT
_DEVICE: Final = Entity.DEVICE
_SESSION: Final = Entity.SESSION
_RESOURCE: Final = Entity.RESOURCE
# An insertion looks at no more than this many entries to find one to give up, so that its cost is bounded.
_LOOKS: Final = 64
_Tree = dict[str, dict[str, dict[str, "Entry"]]]


class Entry:
    """What is known of one entity.

    Attributes:
        entity: which kind it is.
        ref: which one it is.
        record: as last read; None for one known not to exist.
        schema: what the record was read under; None while it is not to be used.
        until: when it expires in the store, in seconds of the cache's clock.
        version: the highest seen, of a record or a tombstone.
        used: whether it has decided since it was last considered for eviction.
    """

    __slots__ = ("entity", "record", "ref", "schema", "until", "used", "version")

    def __init__(self, entity: Entity, ref: EntityRef) -> None:
        self.entity = entity
        self.ref = ref
        self.record: Record | None = None
        self.schema: Schema | None = None
        self.until = 0.0
        self.version = 0
        self.used = False


class NearCache:
    """Records by entity, type and identifier: three plain dictionaries, which is the fastest look-up there is."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._tree: _Tree = {entity.value: {} for entity in Entity}
        # The same dictionaries under names of their own, for the look-up that every request makes.
        self._subjects = self._tree[_SUBJECT.value]
        self._resources = self._tree[_RESOURCE.value]
        self._sessions = self._tree[_SESSION.value]
        self._devices = self._tree[_DEVICE.value]
        self._queue: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def peek(self, refs: Refs, schema: Schema, now: float) -> Entities | None:
        """Give all the records, or None if one of them is not to be had."""
        subject = device = session = resource = None
        try:
            for entity, ref in refs:
                if entity is _SUBJECT:
                    entry = self._subjects[ref.type][ref.id]
                    subject = entry.record
                elif entity is _RESOURCE:
                    entry = self._resources[ref.type][ref.id]
                    resource = entry.record
                elif entity is _SESSION:
                    entry = self._sessions[ref.type][ref.id]
                    session = entry.record
                else:
                    entry = self._devices[ref.type][ref.id]
                    device = entry.record
                if entry.schema is not schema or entry.until <= now:
                    return None
                entry.used = True
        except KeyError:
            return None
        return Entities(subject, device, session, resource)

    def get(self, entity: Entity, ref: EntityRef, schema: Schema, now: float) -> Entry | None:
        """Give an entry that may decide, or None."""
        entry = self._tree[entity.value].get(ref.type, {}).get(ref.id)
        return entry if entry and entry.schema is schema and entry.until > now else None

    def see(self, entity: Entity, ref: EntityRef, version: int) -> Entry | None:
        """Note the version of a record just read.

        Returns:
            The entity's entry; None where a higher version was seen before, so that this one must not decide.
        """
        entry = self._tree[entity.value].get(ref.type, {}).get(ref.id) or self._insert(entity, ref)
        if 0 < version < entry.version:
            return None
        entry.version = max(version, entry.version)
        return entry

    def invalidate(self, entity: str, kind: str, identifier: str) -> bool:
        """Stop using one entry; say whether it was in use."""
        entry = self._tree.get(entity, {}).get(kind, {}).get(identifier)
        if entry is None or entry.schema is None:
            return False
        entry.schema = entry.record = None
        return True

    def flush(self) -> None:
        """Stop using every entry."""
        for entry in self._queue:
            entry.schema = entry.record = None

    def _insert(self, entity: Entity, ref: EntityRef) -> Entry:
        if len(self._queue) >= self._max_entries:
            self._evict()
        entry = Entry(entity, ref)
        self._tree[entity.value].setdefault(ref.type, {})[ref.id] = entry
        self._queue.append(entry)
        return entry

    def _evict(self) -> None:
        for _ in range(_LOOKS):
            if not self._queue[0].used:
                break
            self._queue[0].used = False
            self._queue.rotate(-1)
        entry = self._queue.popleft()
        kinds = self._tree[entry.entity.value]
        del kinds[entry.ref.type][entry.ref.id]
        if not kinds[entry.ref.type]:
            del kinds[entry.ref.type]
