"""Envoy's external authorization, over the real decision point."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format
from hypothesis import example, given
from hypothesis import strategies as st

from pdp.api.settings import ExtAuthzSettings, Source
from pdp.core.reasons import Cause, Reason
from pdp.core.request import Context, EntityRef
from pdp.extauthz.v3.external_auth_pb2 import CheckRequest, CheckResponse
from pdp.server.rpc import Code, RpcError
from tests.api.envoy import MASKING, check, headers_of, request
from tests.api.world import PEP, REVISION, World, policy

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def reasons(response: CheckResponse) -> list[str]:
    """Give the reason codes of a refusal; fail on an allow."""
    assert response.status.code in (Code.PERMISSION_DENIED, Code.UNAUTHENTICATED, Code.UNAVAILABLE)
    part = response.error_response if response.HasField("error_response") else response.denied_response
    body = json.loads(part.body)
    assert set(body) == {"decision_id", "reasons"}
    codes: list[str] = body["reasons"]
    return codes


async def denied(world: World, message: CheckRequest | bytes, settings: ExtAuthzSettings = MASKING) -> list[Cause]:
    """Send what must be denied by a 403; give the causes on record."""
    response = await check(world, message, settings)
    assert response.denied_response.status.code == 403
    record = world.log.records[-1]
    assert reasons(response) == [cause.code for cause in record.decision.causes]
    assert headers_of(response)["x-pdp-decision-id"] == record.id
    return list(record.decision.causes)


# The four answers


async def test_an_allow_names_the_decision_and_hands_on_its_obligations(world: World) -> None:
    response = await check(world, request())
    [record] = world.log.records
    assert response.status.code == 0
    found = headers_of(response)
    assert found["x-pdp-decision-id"] == record.id
    owed = [{"id": "mask-pan", "type": "mask", "mandatory": True, "properties": {"fields": "pan,iban"}}]
    assert found["x-pdp-obligations"] == json.dumps(owed, separators=(",", ":"))
    assert json_format.MessageToDict(response.dynamic_metadata) == {
        "decision_id": record.id,
        "trace_id": record.trace_id,
        "policy_revision": REVISION,
        "rule_ids": ["read-customer"],
        "obligations": owed,
    }
    assert record.request is not None
    assert (record.request.subject, record.request.resource) == (
        EntityRef("user", "alice"),
        EntityRef("customer", "c-1"),
    )
    assert (record.caller.id, record.caller.interface) == (PEP, "ext_authz")


async def test_an_allow_replaces_whatever_the_client_sent_under_our_names(world: World) -> None:
    forged = {"x-pdp-obligations": b"[]", "x-pdp-decision-id": b"mine"}
    found = headers_of(await check(world, request("/pages/home", headers=forged)))
    assert found == {"x-pdp-decision-id": world.log.records[0].id, "x-pdp-obligations": "[]"}


async def test_an_allow_sets_nothing_that_a_route_could_be_chosen_by(world: World) -> None:
    """A route cleared and chosen anew after authorization is chosen by what was authorized."""
    response = await check(world, request(headers={":path": b"/pages/home", "x-original-url": b"/admin"}))
    assert all(name.startswith("x-pdp-") for name in headers_of(response))
    removed = set(response.ok_response.headers_to_remove)
    assert removed >= {"x-envoy-original-path", "x-original-url", "x-rewrite-url", "x-http-method-override"}
    assert not any(name.startswith(("x-pdp-", ":")) for name in removed)


async def test_a_deny_tells_the_client_its_id_and_codes_and_no_more(world: World) -> None:
    response = await check(world, request(claims={"sub": "bob"}))
    assert response.status.code == Code.PERMISSION_DENIED
    assert response.denied_response.status.code == 403
    assert reasons(response) == ["NO_MATCHING_PERMIT"]
    assert headers_of(response)["content-type"] == "application/json"
    assert headers_of(response)["cache-control"] == "no-store"


async def test_a_deny_that_a_step_up_would_lift_is_a_challenge(world: World) -> None:
    claims: dict[str, object] = {"sub": "alice", "sid": "s-1", "device_id": "d-1"}
    response = await check(world, request("/customers/c-1/export", "POST", claims=claims))
    assert response.status.code == Code.UNAUTHENTICATED
    assert response.denied_response.status.code == 401
    assert headers_of(response)["www-authenticate"] == (
        'Bearer error="insufficient_user_authentication", '
        'error_description="A stronger or more recent authentication is required", acr_values="urn:example:aal:2"'
    )
    stronger = await check(world, request("/customers/c-1/export", "POST", claims={**claims, "sid": "s-2"}))
    assert stronger.HasField("ok_response")


@pytest.mark.parametrize("fault", ["policy", "attributes", "log"])
async def test_a_fault_of_ours_is_an_error_and_never_an_allow(world: World, fault: str) -> None:
    if fault == "policy":
        world.policies.snapshot = None
    world.attributes.broken = fault == "attributes"
    world.log.broken = fault == "log"
    response = await check(world, request())
    assert response.status.code == Code.UNAVAILABLE
    assert response.error_response.status.code == 503
    assert reasons(response) == [{"policy": "POLICY_UNAVAILABLE", "attributes": "ATTRIBUTES_UNAVAILABLE"}.get(
        fault, "AUDIT_UNAVAILABLE")]  # fmt: skip


async def test_a_fault_nobody_foresaw_is_an_error_of_the_call(world: World) -> None:
    def explode() -> None:
        raise ValueError("secret")

    world.policies.current = explode  # type: ignore[method-assign]
    with pytest.raises(RpcError) as caught:
        await check(world, request())
    assert (caught.value.code, caught.value.message) == (Code.INTERNAL, "internal error")


async def test_a_decision_by_another_revision_than_the_route_is_not_given_out(world: World) -> None:
    revisions = iter([policy("sha256:old"), policy("sha256:new"), policy("sha256:new")])
    world.policies.current = lambda: next(revisions)  # type: ignore[method-assign]
    assert reasons(await check(world, request())) == ["POLICY_UNAVAILABLE"]


# The request line


@pytest.mark.parametrize(
    "path",
    [
        "//customers/c-1",
        "/customers//c-1",
        "/customers/c-1/",
        "/customers/../customers/c-1",
        "/customers/./c-1",
        "/customers/%2e%2e/c-1",
        "/customers%2Fc-1",
        "/customers/c%2F1",
        "/customers/c%5c1",
        "/customers/c-1%00",
        "/customers/c-1#top",
        "/customers/c-1%23top",
        "/customers/c-1;v=1",
        "/customers/c%252D1",
        "/customers/%E2%80%AE",
        "customers/c-1",
        "*",
        "",
        "http://example.org/customers/c-1",
        b"/customers/\xff\xfe",
        "/customers/с-1",  # noqa: RUF001 - the letter is Cyrillic
        "/customers/" + "c" * 5000,
    ],
)
async def test_a_path_with_two_readings_is_denied_and_on_record(world: World, path: str | bytes) -> None:
    assert await denied(world, request(path)) == [Cause(Reason.PATH_AMBIGUOUS)]
    record = world.log.records[-1].request
    assert record is not None
    assert record.subject == EntityRef("user", "alice")


@pytest.mark.parametrize(("path", "method"), [("/nowhere", "GET"), ("/customers/c-1", "DELETE"), ("/", "GET")])
async def test_an_unknown_route_is_denied_and_on_record(world: World, path: str, method: str) -> None:
    assert await denied(world, request(path, method)) == [Cause(Reason.ROUTE_UNKNOWN)]


async def test_a_path_segment_that_is_no_identifier_is_denied(world: World) -> None:
    assert await denied(world, request("/customers/(c-1)")) == [Cause(Reason.PATH_AMBIGUOUS, "resource.id")]


async def test_the_query_and_the_original_path_decide_nothing(world: World) -> None:
    override = {"x-envoy-original-path": b"/pages/home", ":path": b"/pages/home", "x-http-method-override": b"POST"}
    response = await check(world, request("/customers/c-1?x=//../%00#", headers=override))
    assert response.HasField("ok_response")
    record = world.log.records[0].request
    assert record is not None
    assert (record.action, record.resource) == ("read", EntityRef("customer", "c-1"))


async def test_a_route_may_ask_for_a_context_extension(world: World) -> None:
    assert await denied(world, request("/tenant/home")) == [Cause(Reason.ROUTE_UNKNOWN)]
    assert await denied(world, request("/tenant/home", extensions={"tenant": "red"})) == [Cause(Reason.ROUTE_UNKNOWN)]
    allowed = await check(world, request("/tenant/home", extensions={"tenant": "blue"}))
    assert allowed.HasField("ok_response")


async def test_an_extension_says_what_the_upstream_carries_out(world: World) -> None:
    bare = ExtAuthzSettings()
    assert await denied(world, request(), bare) == [Cause(Reason.OBLIGATION_UNSUPPORTED, "mask")]
    named = request(extensions={"supported_obligations": "watermark, mask"})
    assert (await check(world, named, bare)).HasField("ok_response")


# Who asks


IDENTITY = ExtAuthzSettings(
    subject=(Source.parse("claim:sub"), Source.parse("principal:spiffe://example.org/user/")),
    supported_obligations=frozenset({"mask"}),
)
HEADERS = ExtAuthzSettings(
    subject=(Source.parse("header:X-User"),),
    purpose=(Source.parse("header:x-purpose"),),
    header_peers=frozenset({PEP}),
    supported_obligations=frozenset({"mask"}),
)


async def test_without_an_identity_nothing_is_decided(world: World) -> None:
    assert await denied(world, request(claims={})) == [Cause(Reason.IDENTITY_MISSING, "subject")]
    record = world.log.records[-1].request
    assert record is not None
    assert record.resource == EntityRef("customer", "c-1")


@pytest.mark.parametrize("value", [7, True, None, ["alice"], {"id": "alice"}])
async def test_a_claim_that_is_no_text_is_ambiguous(world: World, value: object) -> None:
    assert await denied(world, request(claims={"sub": value})) == [Cause(Reason.EVIDENCE_AMBIGUOUS, "subject")]


@pytest.mark.parametrize("value", ["", "ali ce", "alice,bob", "alice\n", "аlice", "a" * 256])  # noqa: RUF001 - Cyrillic
async def test_a_claim_that_is_no_identifier_is_denied(world: World, value: str) -> None:
    [cause] = await denied(world, request(claims={"sub": value}))
    expected = Cause(Reason.REQUEST_INVALID, "subject.id") if value else Cause(Reason.IDENTITY_MISSING, "subject")
    assert cause == expected


async def test_only_the_named_payload_of_the_jwt_filter_counts(world: World) -> None:
    message = request(claims={})
    metadata = message.attributes.metadata_context.filter_metadata
    metadata["envoy.filters.http.lua"].update({"jwt_payload": {"sub": "alice"}})
    metadata["envoy.filters.http.jwt_authn"].update({"other": {"sub": "alice"}, "jwt_payload": "alice"})
    assert await denied(world, message) == [Cause(Reason.IDENTITY_MISSING, "subject")]


async def test_the_clients_certificate_is_an_identity(world: World) -> None:
    message = request(claims={}, principal="spiffe://example.org/user/alice")
    assert (await check(world, message, IDENTITY)).HasField("ok_response")
    for other in ("spiffe://example.com/user/alice", "spiffe://example.org/user/", "CN=alice", ""):
        causes = await denied(world, request(claims={}, principal=other), IDENTITY)
        assert causes == [Cause(Reason.IDENTITY_MISSING, "subject")]


async def test_two_identities_are_none_unless_they_agree(world: World) -> None:
    message = request(claims={"sub": "bob"}, principal="spiffe://example.org/user/alice")
    assert await denied(world, message, IDENTITY) == [Cause(Reason.EVIDENCE_AMBIGUOUS, "subject")]
    agreed = request(principal="spiffe://example.org/user/alice")
    assert (await check(world, agreed, IDENTITY)).HasField("ok_response")


async def test_session_device_and_circumstances_come_from_where_the_settings_say(world: World) -> None:
    settings = ExtAuthzSettings(
        purpose=(Source.parse("claim:purpose"),),
        channel=(Source.parse("extension:channel"),),
        network=(Source.parse("extension:network"),),
        emergency_reason=(Source.parse("claim:emergency"),),
    )
    claims: dict[str, object] = {
        "sub": "alice",
        "sid": "s-2",
        "device_id": "d-1",
        "purpose": "fraud",
        "emergency": "fire, now",
    }
    extensions = {"channel": "voice", "network": "office"}
    await check(world, request("/pages/home", claims=claims, extensions=extensions), settings)
    record = world.log.records[0].request
    assert record is not None
    assert (record.session, record.device) == ("s-2", "d-1")
    assert record.context == Context("fraud", "voice", "office", emergency=True, emergency_reason="fire, now")


async def test_a_purpose_that_the_route_implies_is_not_the_clients_to_state(world: World) -> None:
    await check(world, request(headers={"x-user": b"alice", "x-purpose": b"fraud"}, claims={}), HEADERS)
    record = world.log.records[0].request
    assert record is not None
    assert record.context.purpose == "billing"


# Headers


async def test_headers_count_from_a_named_peer_only(world: World) -> None:
    message = request(claims={}, headers={"x-user": b"alice"})
    assert (await check(world, message, HEADERS)).HasField("ok_response")
    for other in ("spiffe://example.org/other", None):
        response = await check(world, message, HEADERS, caller=other)
        assert reasons(response) == ["IDENTITY_MISSING"]
    assert await denied(world, message) == [Cause(Reason.IDENTITY_MISSING, "subject")]


@pytest.mark.parametrize(
    "headers",
    [
        {"x-user": b"alice,bob"},
        {"x-user": b"alice, alice"},
        {"x-user": b"alice,"},
        {"x-user": b"\xe4lice"},
        {"x-user": b""},
        {"X-User": b"alice"},
        {"x-user": b" alice"},
    ],
)
async def test_a_header_with_several_values_or_odd_bytes_is_denied(world: World, headers: dict[str, bytes]) -> None:
    [cause] = await denied(world, request(claims={}, headers=headers), HEADERS)
    expected = {b"": Reason.IDENTITY_MISSING, b" alice": Reason.REQUEST_INVALID}
    [(name, value)] = headers.items()
    absent = Reason.IDENTITY_MISSING if name != "x-user" else Reason.EVIDENCE_AMBIGUOUS
    assert cause.code is expected.get(value, absent)


@pytest.mark.parametrize(
    "raw",
    [
        [("x-user", b"alice"), ("x-user", b"alice")],
        [("x-user", b"alice"), ("X-User", b"bob")],
        [("x-user", b"alice,bob")],
        [("x-user", b"\xff\xfe")],
    ],
)
async def test_a_repeated_raw_header_is_denied(world: World, raw: list[tuple[str, bytes]]) -> None:
    [cause] = await denied(world, request(claims={}, raw_headers=raw), HEADERS)
    assert cause.code is Reason.EVIDENCE_AMBIGUOUS


async def test_raw_headers_are_read_as_well(world: World) -> None:
    message = request(claims={}, raw_headers=[("accept", b"\xff"), ("x-user", b"alice")])
    assert (await check(world, message, HEADERS)).HasField("ok_response")


async def test_a_header_in_both_forms_is_denied(world: World) -> None:
    message = request(claims={}, headers={"x-user": b"alice"}, raw_headers=[("x-user", b"alice")])
    assert await denied(world, message, HEADERS) == [Cause(Reason.EVIDENCE_AMBIGUOUS, "subject")]


async def test_other_headers_may_hold_any_bytes(world: World) -> None:
    message = request(headers={"cookie": b"\xff\xfe\x00", "accept": b"a,b"})
    assert (await check(world, message)).HasField("ok_response")


# What is no CheckRequest


async def test_what_cannot_be_read_is_denied_rather_than_an_error(world: World) -> None:
    """An error lets a request pass an Envoy with failure_mode_allow; a client must not be able to cause one."""
    odd_name = request().SerializeToString() + _odd_header_name()
    for message in (b"\xff", b"\x0a\x05", odd_name):
        assert await denied(world, message) == [Cause(Reason.REQUEST_INVALID)]


def _odd_header_name() -> bytes:
    entry = b"\x0a\x01\xff\x12\x01x"
    http = b"\x1a" + bytes([len(entry)]) + entry
    outer = b"\x22" + bytes([len(http) + 2]) + b"\x12" + bytes([len(http)]) + http
    return b"\x0a" + bytes([len(outer)]) + outer


async def test_an_empty_message_is_denied(world: World) -> None:
    assert await denied(world, b"") == [Cause(Reason.IDENTITY_MISSING, "subject")]


async def test_the_body_of_the_request_is_skipped_whatever_it_holds(world: World) -> None:
    body = b"\x5a\x02\xff\xfe"
    http = b"\x22" + bytes([len(body) + 2]) + b"\x12" + bytes([len(body)]) + body
    message = request().SerializeToString() + b"\x0a" + bytes([len(http)]) + http
    assert (await check(world, message)).HasField("ok_response")


async def test_metadata_nested_beyond_reason_is_denied(world: World) -> None:
    value = b"\x1a\x01x"
    for _ in range(200):
        struct = b"\x0a" + _length(b"\x0a\x01k\x12" + _length(value))
        value = b"\x2a" + _length(struct)
    metadata = b"\x0a" + _length(b"\x0a\x01f\x12" + _length(value[2:]))
    message = b"\x0a" + _length(b"\x5a" + _length(metadata))
    assert (await denied(world, message))[0].code in (Reason.REQUEST_INVALID, Reason.IDENTITY_MISSING)


def _length(payload: bytes) -> bytes:
    size, out = len(payload), bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(out) + bytes([size]) + payload


@given(st.binary(max_size=120))
@example(b"")
async def test_no_bytes_are_allowed_or_crash(message: bytes) -> None:
    world = World()
    response = await check(world, message)
    assert response.HasField("denied_response")
    assert len(world.log.records) == 1


PARTS = st.text("abc/.%2F;#?ü", max_size=12)


@given(PARTS, st.dictionaries(st.sampled_from(["sub", "sid"]), PARTS | st.integers(), max_size=2))
async def test_every_answer_is_on_record_under_the_id_it_gives(path: str, claims: dict[str, object]) -> None:
    world = World()
    response = await check(world, request("/" + path, claims=claims))
    assert headers_of(response)["x-pdp-decision-id"] == world.log.records[-1].id
    assert len(world.log.records) == 1


# Trace


@pytest.mark.parametrize("where", ["metadata", "headers", "raw"])
async def test_the_trace_is_envoys_or_the_clients(world: World, where: str) -> None:
    parent = f"00-{TRACE}-00f067aa0ba902b7-01"
    headers = {"traceparent": parent.encode()} if where == "headers" else {"traceparent": b"a,b"}
    raw = [("traceparent", parent.encode())] if where == "raw" else []
    message = request(headers={} if where == "raw" else headers, raw_headers=raw)
    await check(world, message, metadata={"traceparent": parent} if where == "metadata" else {})
    assert world.log.records[0].trace_id == TRACE


async def test_a_broken_trace_begins_a_new_one(world: World) -> None:
    await check(world, request(headers={"traceparent": b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01"}))
    await check(world, request(headers={"traceparent": b"a,b"}))
    assert all(record.caller.trace is None for record in world.log.records)
