"""AttributeService: who may touch what, and what a late or wrong word does, on a real store."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message

from pdp.api.attribute_service import SERVICE, AttributeService
from pdp.api.settings import AttributeServiceSettings
from pdp.attributes.store import RedisAttributeStore
from pdp.server.rpc import Code, RpcError, Streaming, Unary
from pdp.v1 import attribute_service_pb2 as rpc
from tests.api.world import call
from tests.attributes.support import Server, patient, running
from tests.signals.support import EXECUTABLE, Policies, rules_of, signals_text

MDM, IDP, NOBODY = "spiffe://example.org/mdm", "spiffe://example.org/idp", "spiffe://example.org/nobody"
CALLERS = {MDM: ("device",), IDP: ("subject:user", "session")}
LAPTOP = {"entity": "ENTITY_DEVICE", "id": "d-9"}
ALICE = {"entity": "ENTITY_SUBJECT", "type": "user", "id": "alice"}
SESSION = {"entity": "ENTITY_SESSION", "id": "s-9"}
WHOLE = {"managed": True, "compliant": True, "posture_score": 92}
NOW = time.time()


class Feeds:
    """The service as a feed calls it, in JSON for the sake of reading."""

    def __init__(self, service: AttributeService, policies: Policies, server: Server) -> None:
        self.service = service
        self.policies = policies
        self.server = server

    async def ask(self, method: str, message: dict[str, Any], caller: str | None = MDM) -> dict[str, Any]:
        request = ParseDict(message, getattr(rpc, f"{method}Request")())
        handler = self.service.methods()[f"/{SERVICE}/{method}"]
        assert isinstance(handler, Unary)
        answered = await handler.handler(request.SerializeToString(), call(method, caller=caller))
        return _readable(getattr(rpc, f"{method}Response").FromString(answered))

    async def refused(self, method: str, message: dict[str, Any], caller: str | None = MDM) -> RpcError:
        before = self.stored()
        with pytest.raises(RpcError) as error:
            await self.ask(method, message, caller)
        assert self.stored() == before
        return error.value

    async def attributes(self, key: dict[str, str] = LAPTOP, caller: str = MDM) -> dict[str, Any]:
        return (await self.ask("Get", {"key": key}, caller))["record"].get("attributes", {})

    @contextlib.asynccontextmanager
    async def watching(self, *keys: dict[str, str], caller: str | None = MDM) -> AsyncIterator[Any]:
        handler = self.service.methods()[f"/{SERVICE}/Watch"]
        assert isinstance(handler, Streaming)
        request = ParseDict({"keys": list(keys)}, rpc.WatchRequest()).SerializeToString()

        async def messages() -> AsyncIterator[bytes]:
            yield request

        async def told() -> AsyncIterator[dict[str, Any]]:
            stream = handler.handler(messages(), call("Watch", caller=caller))
            try:
                async for answer in stream:
                    yield _readable(rpc.WatchResponse.FromString(answer))
            finally:
                await stream.aclose()

        async with contextlib.aclosing(told()) as stream:
            yield stream

    def stored(self) -> dict[bytes, dict[bytes, bytes]]:
        client = self.server.client()
        return {key: client.hgetall(key) for key in client.keys("*")}


def _readable(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)


@pytest.fixture
def server() -> Iterator[Server]:
    with running(EXECUTABLE) as one:
        yield one


@pytest.fixture
async def feeds(server: Server) -> AsyncIterator[Feeds]:
    policies = Policies(rules_of(signals_text()))
    store = RedisAttributeStore(patient(server.url))
    await store.start()
    yield Feeds(AttributeService(store, policies, AttributeServiceSettings(CALLERS)), policies, server)
    await store.stop()


async def test_put_get_patch_delete(feeds: Feeds) -> None:
    first = await feeds.ask("Put", {"key": LAPTOP, "attributes": WHOLE})
    record = (await feeds.ask("Get", {"key": LAPTOP}))["record"]
    assert record["version"] == first["version"]
    assert record["key"] == LAPTOP
    assert {name: record["attributes"][name] for name in WHOLE} == WHOLE
    assert record["problems"]["edr"] == "ATTRIBUTE_MISSING"
    second = await feeds.ask("Patch", {"key": LAPTOP, "attributes": {"compliant": False}})
    assert int(second["version"]) > int(first["version"])
    assert (await feeds.attributes())["compliant"] is False
    third = await feeds.ask("Delete", {"key": LAPTOP})
    assert int(third["version"]) > int(second["version"])
    assert (await feeds.refused("Get", {"key": LAPTOP})).code is Code.NOT_FOUND


async def test_every_kind_of_value(feeds: Feeds) -> None:
    given = {"roles": ["agent"], "status": "active", "training_valid_until": 1_900_000_000, "risk": 5}
    await feeds.ask("Put", {"key": ALICE, "attributes": given}, IDP)
    found = await feeds.attributes(ALICE, IDP)
    assert {name: found[name] for name in given} == given


async def test_what_the_schema_does_not_let_be_shown_is_named_alone(feeds: Feeds) -> None:
    await feeds.ask("Put", {"key": SESSION, "attributes": {"subject": "alice", "risk": 5}}, IDP)
    record = (await feeds.ask("Get", {"key": SESSION}, IDP))["record"]
    assert "subject" in record["hidden"]
    assert "subject" not in record["attributes"]


async def test_who_wrote_is_on_record(feeds: Feeds) -> None:
    await feeds.ask("Put", {"key": LAPTOP, "attributes": WHOLE})
    await feeds.ask("Patch", {"key": LAPTOP, "attributes": {"compliant": False}})
    fields = feeds.server.client().hgetall("attr:device:device:d-9")
    assert fields[b"_by"].decode() == fields[b"compliant@by"].decode() == f"writer:{MDM}"


class TestCallers:
    @pytest.mark.parametrize("method", ["Put", "Patch", "Get", "Delete"])
    async def test_nobody_without_a_spiffe_id(self, feeds: Feeds, method: str) -> None:
        message = {"key": LAPTOP, **({"attributes": WHOLE} if method in ("Put", "Patch") else {})}
        assert (await feeds.refused(method, message, None)).code is Code.UNAUTHENTICATED
        assert (await feeds.refused(method, message, NOBODY)).code is Code.PERMISSION_DENIED
        assert (await feeds.refused(method, message, IDP)).code is Code.PERMISSION_DENIED

    async def test_a_type_narrows_a_kind(self, feeds: Feeds) -> None:
        service = {**ALICE, "type": "service"}
        message = {"key": service, "attributes": {"roles": ["agent"]}}
        assert (await feeds.refused("Put", message, IDP)).code is Code.PERMISSION_DENIED

    @pytest.mark.parametrize("caller", [None, NOBODY, MDM])
    async def test_nor_may_they_watch(self, feeds: Feeds, caller: str | None) -> None:
        async with feeds.watching(ALICE, caller=caller) as told:
            with pytest.raises(RpcError) as error:
                await anext(told)
        assert error.value.code in (Code.UNAUTHENTICATED, Code.PERMISSION_DENIED)

    async def test_one_key_that_is_not_theirs_ends_a_watch(self, feeds: Feeds) -> None:
        async with feeds.watching(LAPTOP, ALICE) as told:
            with pytest.raises(RpcError) as error:
                await anext(told)
        assert error.value.code is Code.PERMISSION_DENIED

    def test_without_callers_there_is_no_interface(self, feeds: Feeds) -> None:
        assert AttributeService(feeds.service._store, feeds.policies, AttributeServiceSettings()).methods() == {}

    @pytest.mark.parametrize(
        "callers", [{"mdm": ("device",)}, {MDM: ("printer",)}, {MDM: ("device:x",)}, {MDM: ("subject:",)}]
    )
    def test_settings_that_name_nobody_or_nothing_are_refused(self, callers: dict[str, tuple[str, ...]]) -> None:
        with pytest.raises(ValueError, match=r"named by|kind of entity"):
            AttributeServiceSettings(callers)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"key": {"id": "d-9"}, "attributes": WHOLE}, "key.entity"),
        ({"key": {**LAPTOP, "type": "device"}, "attributes": WHOLE}, "key.type"),
        ({"key": {**LAPTOP, "id": ""}, "attributes": WHOLE}, "attributes"),
        ({"key": {**LAPTOP, "id": "d 9"}, "attributes": WHOLE}, "attributes"),
        ({"key": LAPTOP, "attributes": {"colour": "red"}}, "attributes"),
        ({"key": LAPTOP, "attributes": {"compliant": "yes"}}, "attributes"),
        ({"key": LAPTOP, "attributes": {"posture_score": 101}}, "attributes"),
        ({"key": LAPTOP, "attributes": {"posture_score": 1.5}}, "attributes"),
        ({"key": LAPTOP, "attributes": {"posture_score": "NaN"}}, "attributes"),
        ({"key": LAPTOP, "attributes": {"compliant": None}}, "attributes.compliant"),
        ({"key": LAPTOP, "attributes": {"compliant": {"a": 1}}}, "attributes.compliant"),
        ({"key": LAPTOP, "attributes": {"compliant": [1]}}, "attributes.compliant"),
        ({"key": LAPTOP, "attributes": WHOLE, "issued_at": "2100-01-01T00:00:00Z"}, "issued_at"),
        ({"key": LAPTOP, "attributes": WHOLE, "issued_at": "1900-01-01T00:00:00Z"}, "issued_at"),
    ],
)  # fmt: skip
async def test_what_is_not_allowed_is_named(feeds: Feeds, message: dict[str, Any], field: str) -> None:
    error = await feeds.refused("Put", message)
    assert (error.code, error.message.partition(": ")[0]) == (Code.INVALID_ARGUMENT, field)


async def test_a_patch_changes_something_and_somebody(feeds: Feeds) -> None:
    assert (await feeds.refused("Patch", {"key": LAPTOP})).code is Code.INVALID_ARGUMENT
    assert (await feeds.refused("Patch", {"key": LAPTOP, "attributes": WHOLE})).code is Code.NOT_FOUND
    assert (await feeds.refused("Delete", {"key": LAPTOP})).code is Code.NOT_FOUND


async def test_bytes_that_are_no_message(feeds: Feeds) -> None:
    handler = feeds.service.methods()[f"/{SERVICE}/Put"]
    with pytest.raises(RpcError) as error:
        await handler.handler(b"\xff\xff", call("Put", caller=MDM))
    assert error.value.code is Code.INVALID_ARGUMENT


async def test_without_a_store_or_a_policy_it_is_unavailable(feeds: Feeds) -> None:
    message = {"key": LAPTOP, "attributes": WHOLE}
    policy, feeds.policies.policy = feeds.policies.policy, None
    with pytest.raises(RpcError) as error:
        await feeds.ask("Put", message)
    assert error.value.code is Code.UNAVAILABLE
    feeds.policies.policy = policy
    feeds.server.kill()
    with pytest.raises(RpcError) as error:
        await feeds.ask("Put", message)
    assert error.value.code is Code.UNAVAILABLE


def at(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW + seconds))


class TestTime:
    """A feed may repeat itself and be late."""

    async def test_a_late_patch_changes_nothing(self, feeds: Feeds) -> None:
        await feeds.ask("Put", {"key": LAPTOP, "attributes": WHOLE, "issued_at": at(-60)})
        await feeds.ask("Patch", {"key": LAPTOP, "attributes": {"compliant": False}, "issued_at": at(-30)})
        await feeds.ask("Patch", {"key": LAPTOP, "attributes": {"compliant": True}, "issued_at": at(-40)})
        assert (await feeds.attributes())["compliant"] is False

    async def test_a_late_put_changes_what_is_older_than_it(self, feeds: Feeds) -> None:
        await feeds.ask("Put", {"key": LAPTOP, "attributes": WHOLE, "issued_at": at(-60)})
        await feeds.ask("Patch", {"key": LAPTOP, "attributes": {"compliant": False}, "issued_at": at(-30)})
        late = {"compliant": True, "posture_score": 50}
        await feeds.ask("Put", {"key": LAPTOP, "attributes": late, "issued_at": at(-40)})
        found = await feeds.attributes()
        assert (found["compliant"], found["posture_score"], "managed" in found) == (False, 50, False)

    async def test_a_late_put_revives_nobody(self, feeds: Feeds) -> None:
        await feeds.ask("Put", {"key": LAPTOP, "attributes": WHOLE, "issued_at": at(-60)})
        await feeds.ask("Delete", {"key": LAPTOP, "issued_at": at(-30)})
        await feeds.ask("Put", {"key": LAPTOP, "attributes": WHOLE, "issued_at": at(-40)})
        assert (await feeds.refused("Get", {"key": LAPTOP})).code is Code.NOT_FOUND
        await feeds.ask("Put", {"key": LAPTOP, "attributes": WHOLE})
        assert (await feeds.attributes())["compliant"] is True

    async def test_a_late_deletion_deletes_nobody(self, feeds: Feeds) -> None:
        await feeds.ask("Put", {"key": LAPTOP, "attributes": WHOLE, "issued_at": at(-30)})
        await feeds.ask("Delete", {"key": LAPTOP, "issued_at": at(-60)})
        assert (await feeds.attributes())["compliant"] is True

    async def test_no_feed_lifts_a_latch(self, feeds: Feeds) -> None:
        await feeds.ask("Put", {"key": SESSION, "attributes": {"revoked": True}, "issued_at": at(-60)}, IDP)
        await feeds.ask("Put", {"key": SESSION, "attributes": {"revoked": False}}, IDP)
        assert (await feeds.attributes(SESSION, IDP))["revoked"] is True


class TestWatch:
    async def test_each_record_as_it_is_and_as_it_becomes(self, feeds: Feeds) -> None:
        await feeds.ask("Put", {"key": LAPTOP, "attributes": WHOLE})
        unknown = {**LAPTOP, "id": "d-unknown"}
        async with asyncio.timeout(10), feeds.watching(LAPTOP, unknown) as told:
            assert await anext(told) == {"resync": {}}
            first = {
                event["record"]["key"]["id"]: event["record"] for event in [await anext(told), await anext(told)]
            }
            assert first["d-9"]["attributes"]["compliant"] is True
            assert "version" not in first["d-unknown"]
            await feeds.ask("Patch", {"key": LAPTOP, "attributes": {"compliant": False}})
            changed = (await anext(told))["record"]
            assert changed["attributes"]["compliant"] is False
            assert int(changed["version"]) > int(first["d-9"]["version"])
            await feeds.ask("Put", {"key": unknown, "attributes": WHOLE})
            assert (await anext(told))["record"]["key"]["id"] == "d-unknown"
            await feeds.ask("Delete", {"key": LAPTOP})
            assert "version" not in (await anext(told))["record"]

    async def test_after_a_loss_everything_is_told_anew(self, feeds: Feeds) -> None:
        await feeds.ask("Put", {"key": LAPTOP, "attributes": WHOLE})
        async with asyncio.timeout(20), feeds.watching(LAPTOP) as told:
            assert await anext(told) == {"resync": {}}
            assert (await anext(told))["record"]["attributes"]["compliant"] is True
            feeds.server.kill()
            feeds.server.start()
            events = []
            while len(events) < 2 or "record" not in events[-1]:
                events.append(await anext(told))
            assert {"resync": {}} in events
            assert "version" not in events[-1]["record"]

    @pytest.mark.parametrize("count", [0, 1001])
    async def test_so_many_and_no_more(self, feeds: Feeds, count: int) -> None:
        async with feeds.watching(*({**LAPTOP, "id": f"d-{number}"} for number in range(count))) as told:
            with pytest.raises(RpcError) as error:
                await anext(told)
        assert error.value.code is Code.INVALID_ARGUMENT

    async def test_watches_are_bounded_and_end(self, feeds: Feeds) -> None:
        feeds.service._settings = AttributeServiceSettings(CALLERS, watches=1)
        async with feeds.watching(LAPTOP) as first:
            await anext(first)
            async with feeds.watching(LAPTOP) as second:
                with pytest.raises(RpcError) as error:
                    await anext(second)
            assert error.value.code is Code.RESOURCE_EXHAUSTED
        async with feeds.watching(LAPTOP) as third:
            assert await anext(third) == {"resync": {}}
