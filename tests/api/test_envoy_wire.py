"""Golden bytes: ext_authz messages assembled by hand from Envoy's field numbers, against what we read and write."""

from __future__ import annotations

from pdp.api.envoy_response import challenge, check_response
from pdp.core.decision import Decision, Effect, StepUp
from pdp.core.reasons import Cause, Reason
from pdp.core.request import EntityRef
from pdp.ports import Answer, Caller
from tests.api.envoy import check
from tests.api.world import World

ID = "0123456789abcdef0123456789abcdef"


def field(number: int, payload: bytes | str) -> bytes:
    """Write a length-delimited field, at most 127 bytes long unless given a second length byte."""
    raw = payload.encode() if isinstance(payload, str) else payload
    length = bytes([len(raw)]) if len(raw) < 128 else bytes([len(raw) & 0x7F | 0x80, len(raw) >> 7])
    return bytes([number << 3 | 2]) + length + raw


def varint(number: int, value: int) -> bytes:
    length = bytes([value]) if value < 128 else bytes([value & 0x7F | 0x80, value >> 7])
    return bytes([number << 3]) + length


def header(name: str, value: str) -> bytes:
    """HeaderValueOption: header = 1 {key = 1, value = 2}, append_action = 3 OVERWRITE_IF_EXISTS_OR_ADD = 2."""
    return field(1, field(1, name) + field(2, value)) + varint(3, 2)


def answer(decision: Decision) -> Answer:
    return Answer(ID, "f" * 32, 0.0, None, Caller("", "ext_authz", None, 0.0), decision, 0.0, cached=True)


async def test_a_check_request_as_envoy_writes_it(world: World) -> None:
    peer = field(1, field(1, field(3, "10.0.0.7"))) + field(4, "spiffe://example.org/web") + field(5, "PEM")
    http = (
        field(1, "id-1")
        + field(2, "GET")
        + field(3, field(1, ":path") + field(2, "/customers/c-1"))
        + field(4, "/customers/c-1?page=2")
        + field(5, "example.org")
        + field(6, "https")
        + bytes([9 << 3]) + b"\xff" * 9 + b"\x01"  # size = 9: -1
        + field(10, "HTTP/1.1")
    )  # fmt: skip
    text = field(3, "alice")  # Value.string_value = 3
    claims = field(5, field(1, field(1, "sub") + field(2, text)))  # Value.struct_value = 5, Struct.fields = 1
    struct = field(1, field(1, "jwt_payload") + field(2, claims))
    metadata = field(1, field(1, "envoy.filters.http.jwt_authn") + field(2, struct))
    request = field(1, varint(1, 1)) + field(2, http)
    attributes = field(1, peer) + field(2, b"") + field(4, request) + field(10, field(1, "k") + field(2, "v"))
    message = field(1, attributes + field(11, metadata) + field(12, field(1, "example.org")) + field(13, b""))
    response = await check(world, message)
    assert response.HasField("ok_response")
    found = world.log.records[0].request
    assert found is not None
    assert (found.subject, found.resource) == (EntityRef("user", "alice"), EntityRef("customer", "c-1"))


def test_an_allow_as_envoy_reads_it() -> None:
    allow = answer(Decision(Effect.ALLOW, (Cause(Reason.PERMITTED),)))
    ok = field(2, header("x-pdp-decision-id", ID)) + field(2, header("x-pdp-obligations", "[]")) + field(5, "x-a")
    written = check_response(allow, ("x-a",))
    # status = 1 present and empty: code 0. dynamic_metadata = 4 follows; map entries come in no set order.
    assert written.startswith(field(1, b"") + field(3, ok) + bytes([4 << 3 | 2]))


def test_a_deny_as_envoy_reads_it() -> None:
    deny = answer(Decision(Effect.DENY, (Cause(Reason.NO_MATCHING_PERMIT),)))
    headers = [("content-type", "application/json"), ("cache-control", "no-store"), ("x-pdp-decision-id", ID)]
    body = f'{{"decision_id": "{ID}", "reasons": ["NO_MATCHING_PERMIT"]}}'
    response = field(1, varint(1, 403)) + b"".join(field(2, header(*pair)) for pair in headers) + field(3, body)
    assert check_response(deny, ()) == field(1, varint(1, 7)) + field(2, response)


def test_a_fault_as_envoy_reads_it() -> None:
    fault = answer(Decision(Effect.DENY, (Cause(Reason.ATTRIBUTES_UNAVAILABLE),)))
    headers = [("content-type", "application/json"), ("cache-control", "no-store"), ("retry-after", "1")]
    headers += [("x-pdp-decision-id", ID)]
    body = f'{{"decision_id": "{ID}", "reasons": ["ATTRIBUTES_UNAVAILABLE"]}}'
    response = field(1, varint(1, 503)) + b"".join(field(2, header(*pair)) for pair in headers) + field(3, body)
    assert check_response(fault, ()) == field(1, varint(1, 14)) + field(5, response)


def test_a_fault_is_no_allow_even_if_it_said_so() -> None:
    broken = answer(Decision(Effect.ALLOW, (Cause(Reason.AUDIT_UNAVAILABLE),)))
    assert check_response(broken, ()).startswith(field(1, varint(1, 14)))


def test_a_challenge_says_what_suffices() -> None:
    assert challenge(StepUp(("a", "b"), 300)) == (
        'Bearer error="insufficient_user_authentication", '
        'error_description="A stronger or more recent authentication is required", acr_values="a b", max_age="300"'
    )
    assert challenge(StepUp((), 0)).endswith('required", max_age="0"')


def test_nothing_in_a_challenge_ends_it_early() -> None:
    hostile = challenge(StepUp(('a"b\\c\r\nset-cookie: x', "ü"), None))
    assert hostile.endswith('acr_values="a\\"b\\\\cset-cookie: x "')
    assert hostile.isprintable()
