"""POST /v1/evaluate."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from pdp.api.http import DecisionHttp
from pdp.api.settings import ApiSettings
from pdp.server.rpc import HttpRequest, HttpResponse, Peer
from pdp.v1 import policy_decision_pb2 as rpc
from tests.api.messages import ask
from tests.api.world import PEP, World

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def post(world: World, body: bytes | str, **headers: str) -> HttpResponse:
    handler = DecisionHttp(world.pdp, ApiSettings()).handlers()["POST", "/v1/evaluate"]
    raw = body if isinstance(body, bytes) else body.encode()
    named = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await handler(HttpRequest("POST", "/v1/evaluate", "", named, raw, Peer("", PEP, encrypted=True)))


async def test_a_request_in_json_is_answered_in_json(world: World) -> None:
    response = await post(
        world,
        """{"subject": {"type": "user", "id": "alice"}, "action": {"name": "read"},
            "resource": {"type": "customer", "id": "c-1"},
            "context": {"purpose": "billing", "supportedObligations": ["mask"]}}""",
        traceparent=f"00-{TRACE}-00f067aa0ba902b7-01",
    )
    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    decision = json.loads(response.body)["decision"]
    assert decision["effect"] == "EFFECT_ALLOW"
    assert decision["traceId"] == TRACE
    assert decision["obligations"][0]["properties"] == {"fields": "pan,iban"}
    assert decision["decidedAt"] == "2027-01-15T08:00:00.250Z"
    [record] = world.log.records
    assert (record.id, record.caller.id, record.caller.interface) == (decision["decisionId"], PEP, "http")


@pytest.mark.parametrize("original_names", [True, False])
async def test_the_canonical_mapping_is_read_in_both_spellings(world: World, original_names: bool) -> None:  # noqa: FBT001
    message = ask(action="export", session="s-2", device="d-1")
    body = json_format.MessageToJson(message, preserving_proto_field_name=original_names)
    response = await post(world, body)
    parsed = json_format.Parse(response.body, rpc.EvaluateResponse())
    assert [reason.code for reason in parsed.decision.reasons] == ["PERMITTED"]


async def test_a_deny_is_a_success(world: World) -> None:
    response = await post(world, json_format.MessageToJson(ask("bob")))
    assert response.status == 200
    assert json.loads(response.body)["decision"]["effect"] == "EFFECT_DENY"


NOT_A_REQUEST = [
    "",
    "null",
    "[]",
    "5",
    '"x"',
    "NaN",
    "{",
    '{"subject": "alice"}',
    '{"subject": {"id": 5}}',
    '{"subject": {"id": "\\ud800"}}',
    '{"subjekt": {}}',
    '{"subject": {"id": "alice", "id": "bob"}}',
    '{"session_id": "s-1", "sessionId": "s-2"}',
    '{"context": {"emergency": "true"}}',
    '{"context": {"supportedObligations": [null]}}',
    "[" * 100_000,
    '{"subject":' * 100_000,
    "1" * 10_000,
    b"\xff\xfe",
]


@pytest.mark.parametrize("body", NOT_A_REQUEST, ids=lambda body: repr(body[:24]))
async def test_what_is_not_one_plain_request_is_refused_without_repeating_it(world: World, body: bytes | str) -> None:
    response = await post(world, body)
    assert response.status == 400
    error = json.loads(response.body)
    assert (error["code"], error["message"]) == (3, "not a pdp.v1.EvaluateRequest in JSON")
    assert not world.log.records


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
async def test_no_body_crashes(body: bytes) -> None:
    world = World()
    assert (await post(world, body)).status == 400
    assert not world.log.records


async def test_an_invalid_field_is_named(world: World) -> None:
    response = await post(world, json_format.MessageToJson(ask(session="s 1")))
    details = json.loads(response.body)["details"]
    assert response.status == 400
    assert details[1]["fieldViolations"][0]["field"] == "session_id"


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
async def test_only_json_is_taken_for_json(world: World, kind: str) -> None:
    response = await post(world, json_format.MessageToJson(ask()), content_type=kind)
    assert response.status == 400
    assert not world.log.records


async def test_a_charset_parameter_does_no_harm(world: World) -> None:
    response = await post(world, json_format.MessageToJson(ask()), content_type="Application/JSON; charset=utf-8")
    assert response.status == 200


async def test_a_fault_of_ours_is_an_error_without_internals(world: World) -> None:
    def explode() -> None:
        raise ValueError("secret")

    world.policies.current = explode  # type: ignore[method-assign]
    response = await post(world, json_format.MessageToJson(ask()))
    assert response.status == 500
    assert b"secret" not in response.body
