"""What events mean: every type, every subject format, and the specifications' own examples."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from pdp.core.signals.events import CAEP, CONTROL, KNOWN, RISC, Event, SignalInvalidError, name_of, time_of, uri_of
from pdp.core.signals.plan import Guard, Plan, Write, plan_for
from pdp.core.signals.rules import Identifier, Member, SignalRules, Transmitter
from pdp.core.signals.subjects import FORMATS
from tests.signals.support import ALICE, LAPTOP, SESSION, rules_of, sample, signals_text

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "ssf-caep" / "examples.json"
AT = 1_615_304_991.0
RULES = rules_of(signals_text())
IDP = RULES.transmitters["https://idp.example.com/"]
MDM = RULES.transmitters["https://mdm.example.com/"]
USER = {"format": "email", "email": "alice@example.com"}
DEVICE = {"format": "iss_sub", "iss": "https://idp.example.com/devices", "sub": "d-1"}
SESSION_ID = {"format": "opaque", "id": "s-1"}


def event(name: str, subject: Any, claims: dict[str, Any] | None = None) -> Event:
    return Event(name, claims or {}, subject, AT + 0.25, AT + 1, "https://idp.example.com/", "jti-1")


def plan(name: str, subject: Any, claims: dict[str, Any] | None = None, transmitter: Transmitter = IDP) -> Plan:
    return plan_for(event(name, subject, claims), transmitter, RULES, sample().schema)


def latch(name: str) -> Write:
    return Write(name, str(int(AT) + 1), latch=True)


AGENT = Write("roles", '["agent"]', latch=False)
LEVELS = {"principal": "USER", "current_level": "HIGH"}
MEANINGS: list[tuple[str, Any, dict[str, Any], tuple[Entity, EntityRef], Write]] = [
    ("caep/session-revoked", SESSION_ID, {}, SESSION, Write("revoked", "true", latch=True)),
    ("caep/session-revoked", USER, {}, ALICE, latch("sessions_valid_from")),
    ("caep/session-revoked", DEVICE, {}, LAPTOP, latch("sessions_valid_from")),
    ("caep/token-claims-change", USER, {"claims": {"roles": ["agent"]}}, ALICE, AGENT),
    ("caep/token-claims-change", USER, {"claims": {"roles": "agent"}}, ALICE, AGENT),
    *(
        ("caep/credential-change", USER, {"credential_type": "password", "change_type": change}, ALICE,
         latch("credentials_valid_from"))
        for change in ("revoke", "update", "delete")
    ),
    ("caep/assurance-level-change", SESSION_ID, {"namespace": "NIST-AAL", "current_level": "nist-aal2"}, SESSION,
     Write("aal", "2", latch=False)),
    ("caep/assurance-level-change", USER,
     {"namespace": "NIST-AAL", "current_level": "nist-aal1", "change_direction": "decrease"}, ALICE,
     latch("credentials_valid_from")),
    ("caep/device-compliance-change", DEVICE, {"current_status": "not-compliant"}, LAPTOP,
     Write("compliant", "false", latch=False)),
    ("caep/device-compliance-change", DEVICE, {"current_status": "compliant"}, LAPTOP,
     Write("compliant", "true", latch=False)),
    ("caep/session-presented", SESSION_ID, {}, SESSION, Write("last_activity", str(int(AT)), latch=False)),
    ("caep/risk-level-change", USER, LEVELS, ALICE, Write("risk", "90", latch=False)),
    ("caep/risk-level-change", DEVICE, {**LEVELS, "principal": "DEVICE", "current_level": "LOW"}, LAPTOP,
     Write("risk", "10", latch=False)),
    ("caep/risk-level-change", SESSION_ID, {**LEVELS, "principal": "SESSION", "current_level": "MEDIUM"}, SESSION,
     Write("risk", "50", latch=False)),
    ("risc/account-credential-change-required", USER, {}, ALICE, latch("credentials_valid_from")),
    ("risc/account-disabled", USER, {"reason": "hijacking"}, ALICE, Write("account", "disabled", latch=False)),
    ("risc/account-enabled", USER, {}, ALICE, Write("account", "enabled", latch=False)),
    ("risc/account-purged", USER, {}, ALICE, Write("account", "purged", latch=False)),
    ("risc/credential-compromise", USER, {"credential_type": "password"}, ALICE, latch("sessions_valid_from")),
    ("risc/identifier-recycled", USER, {}, ALICE, latch("sessions_valid_from")),
    ("risc/recovery-activated", USER, {}, ALICE, latch("credentials_valid_from")),
    ("risc/sessions-revoked", USER, {}, ALICE, latch("sessions_valid_from")),
]  # fmt: skip
SILENT: list[tuple[str, Any, dict[str, Any], str]] = [
    ("caep/session-established", USER, {"acr": "AAL2"}, "event"),
    ("caep/credential-change", USER, {"credential_type": "fido2-roaming", "change_type": "create"}, "event"),
    ("caep/assurance-level-change", USER, {"namespace": "Retinal Scan", "current_level": "hi-res-scan"}, "event"),
    ("caep/token-claims-change", USER, {"claims": {"trusted_network": False}}, "event"),
    ("caep/risk-level-change", USER, {**LEVELS, "principal": "TENANT"}, "event"),
    ("risc/identifier-changed", USER, {"new-value": "a@example.com"}, "event"),
    *((f"risc/opt-{last}", USER, {}, "event") for last in ("in", "out-initiated", "out-cancelled", "out-effective")),
    ("risc/recovery-information-changed", USER, {}, "event"),
    ("ssf/verification", {"format": "opaque", "id": "stream"}, {"state": "x"}, "control"),
    ("ssf/stream-updated", {"format": "opaque", "id": "stream"}, {"status": "paused"}, "control"),
    ("caep/session-revoked", {"format": "email", "email": "mallory@elsewhere.example"}, {}, "subject"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "subject", "claims", "target", "write"), MEANINGS, ids=lambda it: str(it)[:40])
def test_an_event_sets_one_attribute_of_one_entity(
    name: str, subject: Any, claims: dict[str, Any], target: tuple[Entity, EntityRef], write: Write
) -> None:
    found = plan(name, subject, claims)
    assert (found.entity, found.ref) == target
    assert found.writes == (write,)


@pytest.mark.parametrize(("name", "subject", "claims", "note"), SILENT, ids=lambda it: str(it)[:40])
def test_what_changes_nothing_says_why(name: str, subject: Any, claims: dict[str, Any], note: str) -> None:
    found = plan(name, subject, claims)
    assert (found.writes, found.note) == ((), note)


def test_every_event_type_is_shown_above() -> None:
    assert {name for name, *_ in (*MEANINGS, *SILENT)} == KNOWN == CAEP | RISC | CONTROL


def test_names_and_uris_of_event_types_are_one_to_one() -> None:
    assert {name_of(uri_of(name)) for name in KNOWN} == KNOWN
    assert name_of("https://schemas.openid.net/secevent/caep/event-type/unheard-of") is None
    assert name_of(uri_of("caep/session-revoked") + "\n") is None


def complex_(**members: Any) -> dict[str, Any]:
    return {"format": "complex", **members}


class TestComplexSubjects:
    def test_the_narrowest_member_that_a_rule_is_of_is_taken(self) -> None:
        found = plan("caep/session-revoked", complex_(user=USER, device=DEVICE, session=SESSION_ID))
        assert (found.entity, found.ref) == SESSION
        assert plan("caep/session-revoked", complex_(user=USER, device=DEVICE)).ref == LAPTOP[1]

    def test_other_members_must_be_those_of_the_session(self) -> None:
        found = plan("caep/session-revoked", complex_(user=USER, device=DEVICE, session=SESSION_ID))
        assert set(found.guards) == {Guard("subject", "alice"), Guard("device", "d-1")}

    def test_a_member_that_is_not_named_narrows_nothing(self) -> None:
        assert plan("caep/session-revoked", complex_(session=SESSION_ID)).guards == ()

    def test_a_member_that_nobody_here_knows_narrows_nothing(self) -> None:
        group = {"format": "did", "url": "did:example:123456"}
        assert plan("caep/session-revoked", complex_(user=USER, group=group)).ref == ALICE[1]

    def test_a_critical_member_that_cannot_be_processed_refuses_the_event(self) -> None:
        unknown = {"format": "email", "email": "mallory@elsewhere.example"}
        with pytest.raises(SignalInvalidError, match="critical subject member user"):
            plan("caep/session-revoked", complex_(user=unknown, session=SESSION_ID))

    @pytest.mark.parametrize("member", ["application", "group", "org_unit", "tenant"])
    def test_a_critical_member_of_no_kind_of_ours_refuses_the_event(self, member: str) -> None:
        strict = _with(IDP, critical=frozenset({member}))
        with pytest.raises(SignalInvalidError, match=f"critical subject member {member}"):
            plan("caep/session-revoked", complex_(user=USER, **{member: SESSION_ID}), transmitter=strict)

    def test_another_tenants_event_is_none_of_ours(self) -> None:
        ours = _with(IDP, tenants=frozenset({"acme"}), critical=frozenset({"tenant"}))
        foreign = plan(
            "caep/session-revoked", complex_(user=USER, tenant={"format": "opaque", "id": "x"}), transmitter=ours
        )
        assert (foreign.writes, foreign.note) == ((), "tenant")
        own = plan(
            "caep/session-revoked", complex_(user=USER, tenant={"format": "opaque", "id": "acme"}), transmitter=ours
        )
        assert own.ref == ALICE[1]

    @pytest.mark.parametrize(
        "subject", [complex_(), complex_(user="alice"), complex_(user={}), complex_(user=complex_())]
    )
    def test_what_is_no_complex_subject_is_refused(self, subject: Any) -> None:
        with pytest.raises(SignalInvalidError):
            plan("caep/session-revoked", subject)


VALUES = {
    "account": {"uri": "acct:alice@example.com"},
    "did": {"url": "did:example:alice"},
    "email": {"email": "alice@example.com"},
    "iss_sub": {"iss": "https://idp.example.com/", "sub": "alice"},
    "opaque": {"id": "alice"},
    "phone_number": {"phone_number": "+12065550123"},
    "uri": {"uri": "urn:user:alice"},
    "jwt_id": {"iss": "https://idp.example.com/", "jti": "alice"},
    "saml_assertion_id": {"issuer": "https://idp.example.com/", "assertion_id": "_alice"},
    "ip-addresses": {"ip-addresses": ["10.0.0.1"]},
}


class TestIdentifiers:
    @pytest.mark.parametrize("format_", FORMATS)
    def test_every_format_identifies(self, format_: str) -> None:
        transmitter = _identifying(Identifier(format_, FORMATS[format_], "user", digest=True))
        found = plan("risc/account-disabled", {"format": format_, **VALUES[format_]}, transmitter=transmitter)
        assert len(found.ref.id) == 64
        wrong = {**VALUES[format_], FORMATS[format_]: 5}
        assert plan("risc/account-disabled", {"format": format_, **wrong}, transmitter=transmitter).note == "subject"

    def test_aliases_are_one_subject(self) -> None:
        aliases = {
            "format": "aliases",
            "identifiers": [USER, {"format": "opaque", "id": "?"}, {"format": "iss_sub", **VALUES["iss_sub"]}],
        }
        assert plan("risc/account-disabled", aliases).ref == ALICE[1]

    def test_aliases_of_two_subjects_are_refused(self) -> None:
        aliases = {"format": "aliases", "identifiers": [USER, {"format": "email", "email": "bob@example.com"}]}
        with pytest.raises(SignalInvalidError, match="more than one"):
            plan("risc/account-disabled", aliases)

    @pytest.mark.parametrize("listed", [None, [], ["a"], [{"format": "aliases"}], [complex_(user=USER)], [USER] * 33])
    def test_what_are_no_aliases_is_refused(self, listed: Any) -> None:
        with pytest.raises(SignalInvalidError):
            plan("risc/account-disabled", {"format": "aliases", "identifiers": listed})

    @pytest.mark.parametrize(
        "email",
        ["alice@evil.example", "@example.com", "alice@example.com.evil", "ali ce@example.com", "älice@example.com"],
    )
    def test_an_address_of_elsewhere_is_nobody(self, email: str) -> None:
        assert plan("risc/account-disabled", {"format": "email", "email": email}).note == "subject"

    def test_prefix_and_suffix_do_not_share_characters(self) -> None:
        transmitter = _identifying(Identifier("opaque", "id", "user", prefix="ab", suffix="ba"))
        assert (
            plan("risc/account-disabled", {"format": "opaque", "id": "aba"}, transmitter=transmitter).note
            == "subject"
        )

    def test_an_identifier_of_another_issuer_is_nobody(self) -> None:
        subject = {"format": "iss_sub", "iss": "https://evil.example.com/", "sub": "alice"}
        assert plan("risc/account-disabled", subject).note == "subject"


class TestTimes:
    @pytest.mark.parametrize(
        ("stated", "seconds"),
        [(1615304991, 1615304991.0), (1615304991.5, 1615304991.5), (1615304991123, 1615304991.123)],
    )
    def test_milliseconds_are_tolerated(self, stated: float, seconds: float) -> None:
        assert time_of({"event_timestamp": stated}, 1.0) == pytest.approx(seconds)

    def test_without_one_the_token_s_own_counts(self) -> None:
        assert time_of({}, 17.0) == 17.0

    @pytest.mark.parametrize("stated", ["1615304991", True, -1, 1e300, float("inf"), float("nan"), [1]])
    def test_what_is_no_time_is_refused(self, stated: object) -> None:
        with pytest.raises(SignalInvalidError):
            time_of({"event_timestamp": stated}, 1.0)


@pytest.mark.parametrize("roles", [["astronaut"], [], [1], {"a": 1}, 5, ["agent", "agent"]])
def test_a_value_that_no_attribute_can_hold_refuses_the_event(roles: object) -> None:
    with pytest.raises(SignalInvalidError, match="none that roles can hold"):
        plan("caep/token-claims-change", USER, {"claims": {"roles": roles}})


@pytest.mark.skipif(not VECTORS.exists(), reason="the specifications' examples are not here")
class TestExamples:
    def test_every_example_is_parsed_and_mapped(self) -> None:
        """Each SET of the specifications, its issuer trusted with everything and its identifiers hashed."""
        examples = [it["json"] for it in json.loads(VECTORS.read_text()) if it["kind"] == "SET"]
        notes = Counter(_mapped(claims).note for claims in examples)
        assert sum(notes.values()) == len(examples) >= 20
        # Those without effect: events that no rule is for, subjects of proprietary formats, and the stream's own.
        assert notes[""] >= 10
        assert set(notes) <= {"", "event", "subject", "control"}

    def test_every_subject_of_the_fragments_is_read(self) -> None:
        fragments = [it["json"] for it in json.loads(VECTORS.read_text()) if it["kind"] == "fragment"]
        subjects = [found for it in fragments if "format" in (found := it.get("sub_id", it))]
        assert len(subjects) >= 8
        for subject in subjects:
            found = plan_for(event("risc/account-disabled", subject), _anything("x"), RULES, sample().schema)
            assert found.note in ("", "subject")


def _mapped(claims: dict[str, Any]) -> Plan:
    ((uri, body),) = claims["events"].items()
    name = name_of(uri)
    assert name is not None, uri
    found = Event(
        name, body, claims["sub_id"], time_of(body, claims["iat"]), claims["iat"], claims["iss"], claims["jti"]
    )
    return plan_for(found, _anything(claims["iss"]), RULES, sample().schema)


def _anything(issuer: str) -> Transmitter:
    every = {member: tuple(_hashed(member, it) for it in FORMATS) for member in Member}
    return Transmitter("any", issuer, frozenset(), "", frozenset(), KNOWN, every)


def _hashed(member: Member, format_: str) -> Identifier:
    return Identifier(format_, FORMATS[format_], "user" if member is Member.USER else member.value, digest=True)


def _identifying(identifier: Identifier) -> Transmitter:
    return _with(IDP, identifiers={Member.USER: (identifier,)})


def _with(transmitter: Transmitter, **changes: Any) -> Transmitter:
    fields = {name: getattr(transmitter, name) for name in Transmitter.__slots__}
    return Transmitter(**{**fields, **changes})


def test_without_rules_nothing_means_anything() -> None:
    found = plan_for(event("risc/account-disabled", USER), IDP, SignalRules(), sample().schema)
    assert found.note == "event"


def test_a_transmitter_identifies_only_what_it_is_given_to() -> None:
    assert plan("caep/risk-level-change", USER, LEVELS, transmitter=MDM).note == "subject"
