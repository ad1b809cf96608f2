"""What receivers are told: tokens that our own receiver accepts, pushed, tried again, and bounded."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from pdp.core.limits import Level, Limits
from pdp.core.limits import Receiver as Told
from pdp.core.signals.rules import Identifier, Member, SignalRules, Transmitter
from pdp.core.signals.subjects import Subject
from pdp.risk import Notices, Outbox, RiskSettings, SigningKeyError
from pdp.risk.notices import Change
from pdp.signals import SignalSettings, TransmitterHttp
from pdp.signals.jwks import KeySource
from pdp.signals.settings import SecretError
from pdp.signals.tokens import TokenVerifier
from tests.attributes.support import eventually
from tests.risk.receiving import Receiver
from tests.risk.support import ALICE, ISSUER, LIMITS, START
from tests.signals.transmitter import Transmitter as Published

REASON = "records: 101 in 24h, limit 100"
CHANGE = Change(ALICE, Level.MEDIUM, Level.HIGH, REASON, START + 0.5, "c0ffee")
EMAIL = Identifier("email", "email", "user", {}, "", "@example.com")
ISS_SUB = Identifier("iss_sub", "sub", "user", {"iss": "https://idp.example.com/"})
AUDIENCE = "https://siem.example.com/"
KEYS = {
    "EC": lambda: ECKey.generate_key("P-256"),
    "RSA": lambda: RSAKey.generate_key(2048),
    "OKP": lambda: OKPKey.generate_key("Ed25519"),
}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return write_key(tmp_path, ECKey.generate_key("P-256"))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


def write_key(folder: Path, key: ECKey | RSAKey | OKPKey, *, private: bool = True) -> Path:
    (folder / "key.pem").write_bytes(key.as_pem(private=private))
    return folder / "key.pem"


def to(url: str, **changes: object) -> Limits:
    told = dataclasses.replace(Told("siem", url, AUDIENCE, EMAIL), **changes)
    return dataclasses.replace(LIMITS, receivers=(told,))


def outbox(key_file: Path | None, **settings: object) -> Outbox:
    chosen = RiskSettings(**{"retry_delay": 0.02, "request_timeout": 2.0, "attempts": 3, **settings})
    return Outbox(Notices(ISSUER, key_file) if key_file else None, chosen, {"siem-push": "Bearer s3cret"}.__getitem__)


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("by", [EMAIL, ISS_SUB])
async def test_a_token_is_one_that_our_own_receiver_takes(kind: str, by: Identifier, tmp_path: Path) -> None:
    notices = Notices(ISSUER, write_key(tmp_path, KEYS[kind]()))
    token = notices.token(Told("siem", "https://siem", AUDIENCE, by), CHANGE)
    with Published() as published:
        published.answer_jwks = json.loads(notices.key_set())
        transmitter = Transmitter(
            "pdp", ISSUER, frozenset({AUDIENCE}), published.jwks_uri, frozenset({"ES256", "RS256", "EdDSA"}),
            frozenset({"caep/risk-level-change"}), {Member.USER: (by,)},
        )  # fmt: skip
        rules = SignalRules({ISSUER: transmitter})
        http = TransmitterHttp(SignalSettings())
        verifier = TokenVerifier(KeySource(http, SignalSettings()), SignalSettings())
        event = await verifier.verify(verifier.open(token, rules), rules, START + 1)
        await http.close()
    assert (event.type, event.at, event.issued_at, event.id) == (
        "caep/risk-level-change", START + 0.5, START, "c0ffee-siem",
    )  # fmt: skip
    assert event.claims == {
        "principal": "USER", "current_level": "HIGH", "previous_level": "MEDIUM", "risk_reason": REASON,
        "event_timestamp": START + 0.5, "initiating_entity": "policy",
    }  # fmt: skip
    assert Subject(event.subject, transmitter).ref(Member.USER) == ALICE


async def test_a_key_set_holds_no_private_part(key_file: Path) -> None:
    (key,) = json.loads(Notices(ISSUER, key_file).key_set())["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_keys_that_are_none_to_sign_with_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SigningKeyError, match="No such file"):
        Notices(ISSUER, tmp_path / "none.pem")
    refused = {
        "is a public key": write_key(tmp_path, ECKey.generate_key("P-256"), private=False).read_bytes(),
        "the curve must be P-256": ECKey.generate_key("P-521").as_pem(private=True),
        "at least 2048 bits": RSAKey.generate_key(1024, auto_kid=False).as_pem(private=True),
        "is no PEM": json.dumps(OctKey.generate_key(256).as_dict()).encode(),
    }
    for problem, content in refused.items():
        (tmp_path / "key.pem").write_bytes(content)
        with pytest.raises(SigningKeyError, match=problem):
            Notices(ISSUER, tmp_path / "key.pem")


async def test_a_push_is_as_the_standard_has_it(receiver: Receiver, key_file: Path) -> None:
    box = outbox(key_file)
    box.tell(to(receiver.url, authorization="siem-push"), CHANGE)
    await eventually(lambda: box.counts() == {("siem", "delivered"): 1})
    await box.close()
    ((headers, _),) = receiver.pushed
    assert headers["content-type"] == "application/secevent+jwt"
    assert headers["accept"] == "application/json"
    assert headers["authorization"] == "Bearer s3cret"
    ((header, claims),) = receiver.tokens(Notices(ISSUER, key_file).key_set())
    assert header["typ"] == "secevent+jwt"
    assert (claims["iss"], claims["aud"]) == (ISSUER, AUDIENCE)
    assert "sub" not in claims
    assert "exp" not in claims


async def test_a_receiver_that_fails_is_tried_again_with_the_same_token(receiver: Receiver, key_file: Path) -> None:
    receiver.answers = [(503, b""), (429, b"")]
    box = outbox(key_file)
    box.tell(to(receiver.url), CHANGE)
    await eventually(lambda: box.counts() == {("siem", "delivered"): 1})
    await box.close()
    assert len({body for _, body in receiver.pushed}) == 1
    assert len(receiver.pushed) == 3


async def test_what_came_first_is_told_first(receiver: Receiver, key_file: Path) -> None:
    receiver.answers = [(503, b"")]
    box = outbox(key_file)
    for number in range(4):
        box.tell(to(receiver.url), CHANGE._replace(id=str(number)))
    await eventually(lambda: box.counts() == {("siem", "delivered"): 4})
    await box.close()
    tokens = receiver.tokens(Notices(ISSUER, key_file).key_set())
    assert [claims["jti"] for _, claims in tokens] == ["0-siem", "0-siem", "1-siem", "2-siem", "3-siem"]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, b'{"err":"invalid_audience","description":"alice"}', "status 400 invalid_audience"),
        (400, b'{"err":"<script>"}', "status 400"),
        (400, b'{"err":["invalid_key"]}', "status 400"),
        (401, b"nonsense", "status 401"),
        (400, b"[" * 100_000, "status 400"),
        (302, b"", "status 302"),
    ],
)
async def test_a_refusal_is_final_and_said(
    receiver: Receiver, key_file: Path, caplog: pytest.LogCaptureFixture, status: int, body: bytes, said: str
) -> None:
    receiver.answers = [(status, body)]
    box = outbox(key_file)
    box.tell(to(receiver.url), CHANGE)
    await eventually(lambda: box.counts() == {("siem", "refused"): 1})
    await box.close()
    assert len(receiver.pushed) == 1
    assert [record.getMessage() for record in caplog.records if record.name.startswith("pdp")] == [
        f"a receiver was not told of a risk level: {said}"
    ]


async def test_a_receiver_that_is_gone_is_given_up_in_the_end(
    receiver: Receiver, key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box = outbox(key_file)
    with caplog.at_level(logging.ERROR):
        box.tell(to("http://127.0.0.1:9/events"), CHANGE)
        box.tell(to(receiver.url, name="other"), CHANGE)
        await eventually(lambda: len(box.counts()) == 2)
    await box.close()
    assert box.counts() == {("siem", "given_up"): 1, ("other", "delivered"): 1}
    assert "ConnectError" in caplog.text
    assert "alice" not in caplog.text


async def test_what_is_on_its_way_is_bounded(key_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    box = outbox(key_file, outbox=5, retry_delay=60.0)
    for _ in range(8):
        box.tell(to("http://127.0.0.1:9/events"), CHANGE)
    assert box.counts() == {("siem", "lost"): 3}
    assert {record.outcome for record in caplog.records} == {"lost"}
    await box.close()


async def test_without_a_key_nobody_is_told_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    box = outbox(None)
    box.tell(to("http://127.0.0.1:9/events"), CHANGE)
    await box.close()
    assert box.counts() == {("siem", "lost"): 1}
    assert "set risk.signing_key" in caplog.text


async def test_a_secret_that_is_not_there_may_come(receiver: Receiver, key_file: Path) -> None:
    tries = iter([SecretError("the secret cannot be read"), "Bearer here"])

    def secret(_: str) -> str:
        found = next(tries)
        if isinstance(found, Exception):
            raise found
        return found

    box = Outbox(Notices(ISSUER, key_file), RiskSettings(retry_delay=0.02), secret)
    box.tell(to(receiver.url, authorization="siem-push"), CHANGE)
    await eventually(lambda: box.counts() == {("siem", "delivered"): 1})
    await box.close()
    assert receiver.pushed[0][0]["authorization"] == "Bearer here"
