"""Forged, replayed, malformed: each token that must not be believed, with its RFC 8935 code, and nothing written."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import RSAKey

from pdp.ports import Outcome
from pdp.signals import SetError, SetErrorCode, SignalSettings
from tests.attributes.support import Server
from tests.signals.support import OPAQUE, SESSION, World, receiving, signals_text, with_line
from tests.signals.transmitter import CAEP, SSF, Transmitter, new_key, sign

REVOKED = CAEP + "session-revoked"
Make = Callable[[Transmitter], bytes]


def encoded(value: object) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


def unsigned(transmitter: Transmitter) -> bytes:
    claims = encoded(transmitter.claims(REVOKED, OPAQUE))
    return encoded({"alg": "none", "typ": "secevent+jwt"}) + b"." + claims + b"."


def hmac_with_the_public_key(transmitter: Transmitter) -> bytes:
    """The classic confusion: the public key, which everybody has, as the secret of an HMAC."""
    public = transmitter.key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = {"alg": "HS256", "typ": "secevent+jwt", "kid": transmitter.key.kid}
    signed = encoded(header) + b"." + encoded(transmitter.claims(REVOKED, OPAQUE))
    signature = hmac.digest(public, signed, "sha256")
    return signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")


def by_another_key(transmitter: Transmitter) -> bytes:
    return sign(transmitter.claims(REVOKED, OPAQUE), new_key(kid=transmitter.key.kid))


def altered(transmitter: Transmitter) -> bytes:
    header, _, signature = transmitter.token(REVOKED, OPAQUE).split(b".")
    return b".".join([header, encoded(transmitter.claims(REVOKED, {"format": "opaque", "id": "s-2"})), signature])


def signature_cut(transmitter: Transmitter) -> bytes:
    return transmitter.token(REVOKED, OPAQUE)[:-8]


def changed(**changes: object) -> Make:
    return lambda transmitter: transmitter.token(REVOKED, OPAQUE, **changes)


def with_header(**header: object) -> Make:
    return lambda transmitter: sign(transmitter.claims(REVOKED, OPAQUE), transmitter.key, **header)


def with_payload(payload: bytes) -> Make:
    return lambda transmitter: sign(payload, transmitter.key)


def body(event: str, claims: dict[str, object]) -> Make:
    return lambda transmitter: transmitter.token(CAEP + event, OPAQUE, claims)


SOON = {"event_timestamp": time.time() + 3600}
TWO = {REVOKED: {}, CAEP + "session-presented": {}}
CASES: dict[str, tuple[SetErrorCode, Make]] = {
    "unsigned": (SetErrorCode.INVALID_KEY, unsigned),
    "alg none with a signature": (SetErrorCode.INVALID_KEY, lambda it: unsigned(it) + b"AAAA"),
    "HMAC with the public key": (SetErrorCode.INVALID_KEY, hmac_with_the_public_key),
    "an algorithm that is not configured": (
        SetErrorCode.INVALID_KEY,
        lambda it: sign(it.claims(REVOKED, OPAQUE), new_key("EC", "P-384", it.key.kid), alg="ES384"),
    ),
    "an unknown key": (SetErrorCode.INVALID_KEY, lambda it: sign(it.claims(REVOKED, OPAQUE), new_key())),
    "a forged signature": (SetErrorCode.AUTHENTICATION_FAILED, by_another_key),
    "altered claims": (SetErrorCode.AUTHENTICATION_FAILED, altered),
    "a signature cut short": (SetErrorCode.AUTHENTICATION_FAILED, signature_cut),
    "another issuer": (SetErrorCode.INVALID_ISSUER, changed(iss="https://evil.example.com")),
    "no issuer": (SetErrorCode.INVALID_ISSUER, changed(iss=None)),
    "an issuer that is no text": (SetErrorCode.INVALID_ISSUER, changed(iss=["a"])),
    "another audience": (SetErrorCode.INVALID_AUDIENCE, changed(aud="https://other.example.com")),
    "other audiences": (SetErrorCode.INVALID_AUDIENCE, changed(aud=["https://other.example.com"])),
    "no audience": (SetErrorCode.INVALID_AUDIENCE, changed(aud=None)),
    "typ of an access token": (SetErrorCode.INVALID_REQUEST, with_header(typ="at+jwt")),
    "typ JWT": (SetErrorCode.INVALID_REQUEST, with_header(typ="JWT")),
    "no typ": (SetErrorCode.INVALID_REQUEST, with_header(typ=None)),
    "a critical header": (SetErrorCode.INVALID_REQUEST, with_header(crit=["x"], x=1)),
    "a critical header that is no list": (SetErrorCode.INVALID_REQUEST, with_header(crit=5)),
    "issued in the future": (SetErrorCode.INVALID_REQUEST, changed(iat=time.time() + 3600)),
    "issued too long ago": (SetErrorCode.INVALID_REQUEST, changed(iat=time.time() - 8 * 86400)),
    "no time of issue": (SetErrorCode.INVALID_REQUEST, changed(iat=None)),
    "a time of issue that is no number": (SetErrorCode.INVALID_REQUEST, changed(iat="now")),
    "an event of the future": (SetErrorCode.INVALID_REQUEST, changed(events={REVOKED: SOON})),
    "an event time that is no number": (
        SetErrorCode.INVALID_REQUEST,
        changed(events={REVOKED: {"event_timestamp": True}}),
    ),
    "no jti": (SetErrorCode.INVALID_REQUEST, changed(jti=None)),
    "a jti of control characters": (SetErrorCode.INVALID_REQUEST, changed(jti="a\nb")),
    "a sub": (SetErrorCode.INVALID_REQUEST, changed(sub="alice")),
    "an exp": (SetErrorCode.INVALID_REQUEST, changed(exp=time.time() + 60)),
    "two events": (SetErrorCode.INVALID_REQUEST, changed(events=TWO)),
    "no event": (SetErrorCode.INVALID_REQUEST, changed(events={})),
    "an event that is no object": (SetErrorCode.INVALID_REQUEST, changed(events={REVOKED: "yes"})),
    "no subject": (SetErrorCode.INVALID_REQUEST, changed(sub_id=None)),
    "a subject without format": (SetErrorCode.INVALID_REQUEST, changed(sub_id={"id": "s-1"})),
    "an event type of nobody": (SetErrorCode.ACCESS_DENIED, changed(events={"https://example.com/event": {}})),
    "no JSON": (SetErrorCode.INVALID_REQUEST, with_payload(b"{")),
    "no object": (SetErrorCode.INVALID_REQUEST, with_payload(b"[]")),
    "a claim that stands twice": (SetErrorCode.INVALID_REQUEST, with_payload(b'{"iss":"a","iss":"b"}')),
    "not a number": (SetErrorCode.INVALID_REQUEST, with_payload(b'{"iat":NaN}')),
    "too deep": (SetErrorCode.INVALID_REQUEST, with_payload(b"[" * 20_000)),
    "no token": (SetErrorCode.INVALID_REQUEST, lambda _: b"hello"),
    "nothing": (SetErrorCode.INVALID_REQUEST, lambda _: b""),
    "an encrypted token": (SetErrorCode.INVALID_REQUEST, lambda _: b"a.b.c.d.e"),
    "oversized": (SetErrorCode.INVALID_REQUEST, changed(txn="x" * 70_000)),
    "a status that does not exist": (
        SetErrorCode.INVALID_REQUEST,
        body("device-compliance-change", {"current_status": "?"}),
    ),
    "a level that does not exist": (
        SetErrorCode.INVALID_REQUEST,
        body("risk-level-change", {"principal": "USER", "current_level": "EXTREME"}),
    ),
    "claims that are no object": (SetErrorCode.INVALID_REQUEST, body("token-claims-change", {"claims": "role"})),
}


@pytest.mark.parametrize("name", CASES)
async def test_refused_with_its_code_and_nothing_written(world: World, name: str) -> None:
    code, make = CASES[name]
    before = world.stored()
    with pytest.raises(SetError) as refused:
        await world.receiver.receive(make(world.transmitter), "")
    assert (refused.value.code, refused.value.transient) == (code, False)
    assert world.stored() == before


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_comes_is_refused_or_the_token_itself(world: World, data: st.DataObject) -> None:
    """One byte of a right token changed, anywhere: never an exception of another kind, never another meaning."""
    token = bytearray(world.transmitter.token(REVOKED, {"format": "opaque", "id": "s-none"}))
    at = data.draw(st.integers(0, len(token) - 1))
    token[at] = data.draw(st.integers(0, 255))
    before = world.stored()
    try:
        receipt = await world.receiver.receive(bytes(token), "")
    except SetError:
        assert world.stored() == before
    else:
        assert receipt.event.subject["id"] == "s-none"


async def test_the_right_token_has_its_effect(world: World) -> None:
    receipt = await world.receiver.receive(world.transmitter.token(REVOKED, OPAQUE), "")
    assert receipt.outcome is Outcome.APPLIED
    assert await world.attribute(SESSION, "revoked") is True


@pytest.mark.parametrize("typ", ["secevent+jwt", "application/secevent+jwt", "SecEvent+JWT"])
async def test_typ_is_a_media_type(world: World, typ: str) -> None:
    token = sign(world.transmitter.claims(REVOKED, OPAQUE), world.transmitter.key, typ=typ)
    assert (await world.receiver.receive(token, "")).outcome is Outcome.APPLIED


async def test_one_of_several_audiences_is_enough(world: World) -> None:
    token = world.transmitter.token(
        REVOKED, OPAQUE, aud=["https://other.example.com", "https://pdp.example.com/signals"]
    )
    assert (await world.receiver.receive(token, "")).outcome is Outcome.APPLIED


@pytest.mark.parametrize("kind", ["RSA", "EC", "OKP"])
async def test_algorithms_that_are_configured(server: Server, kind: str) -> None:
    with Transmitter(kind) as transmitter:
        async with receiving(server, transmitter) as world:
            assert (await world.receiver.receive(transmitter.token(REVOKED, OPAQUE), "")).outcome is Outcome.APPLIED


async def test_a_weak_rsa_key_is_refused(server: Server, transmitter: Transmitter) -> None:
    transmitter.key = RSAKey.generate_key(1024, {"kid": "weak"})
    transmitter.published = [transmitter.key]
    async with receiving(server, transmitter) as world:
        before = world.stored()
        with pytest.raises(SetError) as refused:
            await world.receiver.receive(transmitter.token(REVOKED, OPAQUE), "")
        assert refused.value.code is SetErrorCode.INVALID_KEY
        assert world.stored() == before


async def test_a_replay_is_acknowledged_and_changes_nothing(world: World) -> None:
    token = world.transmitter.token(CAEP + "session-revoked", OPAQUE)
    await world.receiver.receive(token, "")
    before = world.stored()
    receipt = await world.receiver.receive(token, "")
    assert receipt.outcome is Outcome.DUPLICATE
    assert world.stored() == before


async def test_a_token_is_remembered_for_as_long_as_it_is_accepted(world: World) -> None:
    await world.receiver.receive(world.transmitter.token(REVOKED, OPAQUE), "")
    client = world.server.client()
    (mark,) = client.keys("signal:*")
    assert client.ttl(mark) > world.policies.policy.signals.token_age


async def test_the_same_jti_of_two_issuers_is_two_tokens(server: Server, transmitter: Transmitter) -> None:
    with Transmitter() as other:
        text = signals_text(transmitter)
        text = text.replace("issuer: https://mdm.example.com/", f"issuer: {other.issuer}")
        text = text.replace("jwks_uri: https://mdm.example.com/jwks.json", f"jwks_uri: {other.jwks_uri}")
        text = text.replace("    authorization: device-management-push\n", "")
        async with receiving(server, transmitter, text=text) as world:
            first = transmitter.token(REVOKED, OPAQUE, jti="same")
            second = other.token(
                CAEP + "device-compliance-change",
                {"format": "uri", "uri": "urn:device:d-1"},
                {"current_status": "not-compliant"},
                jti="same",
            )
            assert (await world.receiver.receive(first, "")).outcome is Outcome.APPLIED
            assert (await world.receiver.receive(second, "")).outcome is Outcome.APPLIED


async def test_an_event_the_transmitter_was_not_given_is_denied(world: World) -> None:
    text = signals_text(world.transmitter).replace("      - caep/session-revoked\n", "")
    async with receiving(world.server, world.transmitter, text=text) as narrower:
        before = narrower.stored()
        with pytest.raises(SetError) as refused:
            await narrower.receiver.receive(world.transmitter.token(REVOKED, OPAQUE), "")
        assert refused.value.code is SetErrorCode.ACCESS_DENIED
        assert narrower.stored() == before


@pytest.mark.parametrize(
    ("event", "claims"), [("verification", {"state": "abc"}), ("stream-updated", {"status": "paused"})]
)
async def test_events_of_the_stream_itself_need_no_permission(
    world: World, event: str, claims: dict[str, str]
) -> None:
    token = world.transmitter.token(SSF + event, {"format": "opaque", "id": "stream-1"}, claims)
    receipt = await world.receiver.receive(token, "")
    assert (receipt.outcome, receipt.note) == (Outcome.NOTED, "control")


async def test_the_header_agreed_on_is_required(server: Server, transmitter: Transmitter, tmp_path: object) -> None:
    text = with_line(signals_text(transmitter), "authorization: push")
    async with receiving(server, transmitter, text=text, secrets=tmp_path) as world:
        token = transmitter.token(REVOKED, OPAQUE)
        with pytest.raises(SetError) as unset:
            await world.receiver.receive(token, "Bearer right")
        assert unset.value.transient
        (tmp_path / "push").write_text("Bearer right\n")
        before = world.stored()
        for header in ("", "Bearer wrong", "bearer right"):
            with pytest.raises(SetError) as refused:
                await world.receiver.receive(token, header)
            assert (refused.value.code, refused.value.transient) == (SetErrorCode.AUTHENTICATION_FAILED, False)
        assert world.stored() == before
        assert (await world.receiver.receive(token, "Bearer right")).outcome is Outcome.APPLIED


async def test_refusals_are_counted_by_transmitter_and_code(world: World) -> None:
    with pytest.raises(SetError):
        await world.receiver.receive(by_another_key(world.transmitter), "")
    with pytest.raises(SetError):
        await world.receiver.receive(b"", "")
    assert world.receiver.counts() == {
        ("identity-provider", "", "authentication_failed"): 1,
        ("", "", "invalid_request"): 1,
    }


async def test_without_a_store_a_token_is_to_be_sent_again(world: World) -> None:
    token = world.transmitter.token(REVOKED, OPAQUE)
    world.server.kill()
    with pytest.raises(SetError) as refused:
        await world.receiver.receive(token, "")
    assert refused.value.transient
    world.server.start()
    assert (await world.receiver.receive(token, "")).outcome is Outcome.KEPT


async def test_without_a_policy_a_token_is_to_be_sent_again(world: World) -> None:
    world.policies.policy = None
    with pytest.raises(SetError) as refused:
        await world.receiver.receive(world.transmitter.token(REVOKED, OPAQUE), "")
    assert refused.value.transient


@pytest.mark.parametrize(
    "changes",
    [{"path": "signals"}, {"request_timeout": 0}, {"clock_skew": -1}, {"token_bytes": 0}, {"poll_events": 0}],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        SignalSettings(**changes)
