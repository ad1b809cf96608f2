"""pdp.v1.AttributeService: how feeds read and write attributes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Final

from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from pdp.api.decisions import parse
from pdp.api.errors import invalid, mapped, to_rpc_error
from pdp.api.explanations import clear_value
from pdp.api.settings import AttributeServiceSettings
from pdp.core.decision import Entity
from pdp.core.errors import AttributesUnavailableError
from pdp.core.record import Record
from pdp.core.request import EntityRef
from pdp.core.schema import Schema, Sensitivity
from pdp.ports import AttributeStore, FeedValue, PolicySource
from pdp.server.rpc import Call, Code, RpcError, Streaming, Unary
from pdp.v1 import attribute_service_pb2 as rpc
from pdp.v1 import decision_pb2

SERVICE: Final = rpc.DESCRIPTOR.services_by_name["AttributeService"].full_name
_ENTITIES: Final = {
    decision_pb2.ENTITY_SUBJECT: Entity.SUBJECT,
    decision_pb2.ENTITY_DEVICE: Entity.DEVICE,
    decision_pb2.ENTITY_SESSION: Entity.SESSION,
    decision_pb2.ENTITY_RESOURCE: Entity.RESOURCE,
}
_NUMBERS: Final = {entity: number for number, entity in _ENTITIES.items()}
_UNTYPED: Final = (Entity.DEVICE, Entity.SESSION)
# Doubles hold every whole number up to here.
_WHOLE: Final = 2**53

_Key = tuple[Entity, EntityRef]


class AttributeService:
    """Answers serialised messages with serialised messages.

    Args:
        store: where attributes are.
        policies: whose schema they follow.
        settings: who may touch what.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        store: AttributeStore,
        policies: PolicySource,
        settings: AttributeServiceSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._policies = policies
        self._settings = settings
        self._clock = clock
        self._watches = 0

    def methods(self) -> dict[str, Unary | Streaming]:
        """Give the handlers by full method name; none where no caller is configured."""
        if not self._settings.callers:
            return {}
        return {
            f"/{SERVICE}/Put": Unary(mapped(self._put)),
            f"/{SERVICE}/Patch": Unary(mapped(self._patch)),
            f"/{SERVICE}/Get": Unary(mapped(self._get)),
            f"/{SERVICE}/Delete": Unary(mapped(self._delete)),
            f"/{SERVICE}/Watch": Streaming(self._watch),
        }

    async def _put(self, message: bytes, call: Call) -> bytes:
        asked = parse(rpc.PutRequest, message)
        feed, (entity, ref), schema = self._admit(call, asked.key)
        given, issued_at = _given(asked.attributes), self._issued_at(asked, schema)
        version = await self._store.put(schema, entity, ref, given, issued_at, feed)
        return rpc.PutResponse(version=version).SerializeToString()

    async def _patch(self, message: bytes, call: Call) -> bytes:
        asked = parse(rpc.PatchRequest, message)
        feed, (entity, ref), schema = self._admit(call, asked.key)
        if not asked.attributes:
            raise invalid("attributes", "is empty")
        given, issued_at = _given(asked.attributes), self._issued_at(asked, schema)
        version = await self._store.patch(schema, entity, ref, given, issued_at, feed)
        return rpc.PatchResponse(version=_known(version)).SerializeToString()

    async def _get(self, message: bytes, call: Call) -> bytes:
        asked = parse(rpc.GetRequest, message)
        _, (entity, ref), schema = self._admit(call, asked.key)
        record = await self._store.read(schema, entity, ref)
        _known(record is not None)
        return rpc.GetResponse(record=_record(entity, ref, record, schema)).SerializeToString()

    async def _delete(self, message: bytes, call: Call) -> bytes:
        asked = parse(rpc.DeleteRequest, message)
        feed, (entity, ref), schema = self._admit(call, asked.key)
        version = await self._store.delete(schema, entity, ref, self._issued_at(asked, schema), feed)
        return rpc.DeleteResponse(version=_known(version)).SerializeToString()

    async def _watch(self, messages: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
        try:
            asked = parse(rpc.WatchRequest, await anext(messages, b""))
            targets, schema = self._targets(asked, call)
            with self._slot():
                async for change in self._store.watch(schema, targets):
                    if change.entity is None or change.ref is None:
                        yield rpc.WatchResponse(resync=rpc.Resync()).SerializeToString()
                        continue
                    record = _record(change.entity, change.ref, change.record, schema)
                    yield rpc.WatchResponse(record=record).SerializeToString()
        except Exception as error:  # noqa: BLE001 - the map has an answer to every error
            raise to_rpc_error(error) from None

    def _targets(self, asked: rpc.WatchRequest, call: Call) -> tuple[tuple[_Key, ...], Schema]:
        most = self._settings.watched_entities
        if not 0 < len(asked.keys) <= most:
            raise invalid("keys", f"has {len(asked.keys)} entries; 1 to {most} are allowed")
        admitted = [self._admit(call, key) for key in asked.keys]
        return tuple(target for _, target, _ in admitted), admitted[0][2]

    @contextlib.contextmanager
    def _slot(self) -> Iterator[None]:
        if self._watches >= self._settings.watches:
            raise RpcError(Code.RESOURCE_EXHAUSTED, "as many watches as the service permits are open")
        self._watches += 1
        try:
            yield
        finally:
            self._watches -= 1

    def _admit(self, call: Call, key: rpc.EntityKey) -> tuple[str, _Key, Schema]:
        """Say who calls, about whom, and by which schema.

        Raises:
            RpcError: the caller is not known, or may not touch such an entity.
        """
        peer = call.peer.spiffe_id
        if peer is None:
            raise RpcError(Code.UNAUTHENTICATED, "a client certificate with exactly one SPIFFE id is required")
        entity, ref = _key(key)
        if {entity.value, f"{entity}:{ref.type}"}.isdisjoint(self._settings.callers.get(peer, ())):
            raise RpcError(Code.PERMISSION_DENIED, "this SPIFFE id may not touch entities of this kind")
        policy = self._policies.current()
        if policy is None:
            raise AttributesUnavailableError("no policy is in force")
        return peer, (entity, ref), policy.schema

    def _issued_at(self, asked: rpc.PutRequest | rpc.PatchRequest | rpc.DeleteRequest, schema: Schema) -> float:
        now = self._clock()
        if not asked.HasField("issued_at"):
            return now
        stated = asked.issued_at.seconds + asked.issued_at.nanos / 1e9
        if not 0 <= stated <= now + schema.clock_skew:
            raise invalid("issued_at", "lies in the future, or before 1970")
        return stated


def _key(key: rpc.EntityKey) -> _Key:
    entity = _ENTITIES.get(key.entity)
    if entity is None:
        raise invalid("key.entity", "is not one of subject, device, session and resource")
    if entity in _UNTYPED:
        if key.type:
            raise invalid("key.type", f"is given, but a {entity} has no type")
        return entity, EntityRef(entity.value, key.id)
    return entity, EntityRef(key.type, key.id)


def _given(attributes: Mapping[str, Value]) -> dict[str, FeedValue]:
    return {name: _plain(name, value) for name, value in attributes.items()}


def _plain(name: str, value: Value) -> FeedValue:
    field = f"attributes.{name}" if name.isidentifier() and name.isascii() else "attributes"
    match value.WhichOneof("kind"):
        case "bool_value":
            return value.bool_value
        case "string_value":
            return value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() and abs(number) <= _WHOLE else number
        case "list_value":
            items = value.list_value.values
            if all(item.WhichOneof("kind") == "string_value" for item in items):
                return [item.string_value for item in items]
    raise invalid(field, "is not a boolean, a number, a text or a list of texts")


def _known(version: int) -> int:
    if not version:
        raise RpcError(Code.NOT_FOUND, "the entity is not on record")
    return version


def _record(entity: Entity, ref: EntityRef, record: Record | None, schema: Schema) -> rpc.AttributeRecord:
    key = rpc.EntityKey(entity=_NUMBERS[entity], type="" if entity in _UNTYPED else ref.type, id=ref.id)
    if record is None:
        return rpc.AttributeRecord(key=key)
    message = rpc.AttributeRecord(key=key, version=record.version, issued_at=_timestamp(record.issued_at))
    for name, attribute in schema.attributes_of(entity, ref.type).items():
        if name in record.problems:
            message.problems[name] = record.problems[name]
        elif attribute.sensitivity is Sensitivity.CLEAR:
            message.attributes[name].CopyFrom(clear_value(record.view.__dict__[name]))
        else:
            message.hidden.append(name)
    return message


def _timestamp(seconds: float) -> Timestamp:
    return Timestamp(seconds=int(seconds), nanos=int(seconds % 1 * 1_000_000) * 1000)
