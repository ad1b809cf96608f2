"""signals.yaml and latches: what is read, what is refused at its place, and that the revision covers it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdp.core.decision import Entity
from pdp.core.signals.rules import FromClaim, Identifier, Member, Moment, SignalRule, SignalRules, Transmitter
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import load
from tests.policy.example import build, place, problems_of, refused, swap, write

FILE = "signals.yaml"
TEXT = """\
version: 1
token_age: 2d
transmitters:
  idp:
    issuer: https://idp.example.com/
    audience: ["https://pdp.example.com/signals"]
    jwks_uri: https://idp.example.com/jwks.json
    algorithms: [ES256]
    authorization: idp-push
    events: [caep/session-revoked, risc/account-disabled]
    critical: [user]
    tenants: ["47"]
    subjects:
      user:
        - {format: email, suffix: "@example.com", type: user}
        - {format: iss_sub, match: {iss: "https://idp.example.com/"}, type: service}
      session:
        - {format: opaque, digest: true}
  mdm:
    issuer: https://mdm.example.com/
    audience: [us]
    jwks_uri: http://127.0.0.1:9/jwks.json
    poll_uri: https://mdm.example.com/poll
    secret: mdm-api
    events: [caep/device-compliance-change]
    subjects: {device: [{format: uri, prefix: "urn:device:"}]}
events:
  caep/device-compliance-change:
    - of: device
      set: {compliant: {claim: current_status, values: {compliant: true, not-compliant: false}}}
  caep/session-presented:
    - {of: session, when: {initiating_entity: user}, set: {auth_time: {time: event}}}
  caep/token-claims-change:
    - {of: user, set: {region: {claim: claims.region}, trained_until: {time: after}}}
# end
"""
POLL = "    poll_uri: https://mdm.example.com/poll\n"


def test_a_file_is_read() -> None:
    signals = build({FILE: TEXT}).signals
    assert signals.token_age == 2 * 86400
    assert signals.transmitters["https://idp.example.com/"] == Transmitter(
        "idp",
        "https://idp.example.com/",
        frozenset({"https://pdp.example.com/signals"}),
        "https://idp.example.com/jwks.json",
        frozenset({"ES256"}),
        frozenset({"caep/session-revoked", "risc/account-disabled"}),
        {
            Member.USER: (
                Identifier("email", "email", "user", suffix="@example.com"),
                Identifier("iss_sub", "sub", "service", {"iss": "https://idp.example.com/"}),
            ),
            Member.SESSION: (Identifier("opaque", "id", "session", digest=True),),
        },
        authorization="idp-push",
        critical=frozenset({"user"}),
        tenants=frozenset({"47"}),
    )
    mdm = signals.transmitters["https://mdm.example.com/"]
    assert (mdm.poll_uri, mdm.secret) == ("https://mdm.example.com/poll", "mdm-api")
    assert mdm.algorithms == {"RS256", "ES256"}
    assert signals.rules == {
        "caep/device-compliance-change": (
            SignalRule(
                Member.DEVICE,
                {},
                {"compliant": FromClaim(("current_status",), {"compliant": "true", "not-compliant": "false"})},
            ),
        ),
        "caep/session-presented": (
            SignalRule(Member.SESSION, {("initiating_entity",): "user"}, {"auth_time": Moment.EVENT}),
        ),
        "caep/token-claims-change": (
            SignalRule(Member.USER, {}, {"region": FromClaim(("claims", "region")), "trained_until": Moment.AFTER}),
        ),
    }


def test_a_policy_needs_none() -> None:
    assert build().signals == SignalRules()


def test_it_is_part_of_the_revision(tmp_path: Path) -> None:
    revisions = {build().revision, build({FILE: TEXT}).revision, build({FILE: TEXT.replace("2d", "3d")}).revision}
    assert len(revisions) == 3
    folder = write(tmp_path, {FILE: TEXT})
    assert load(folder, ReferenceMatcher).revision == build({FILE: TEXT}).revision
    (folder / FILE).unlink()
    assert load(folder, ReferenceMatcher).revision == build().revision


def test_a_link_that_leads_nowhere_is_not_no_file(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / FILE).symlink_to("elsewhere")
    with pytest.raises(Exception, match=r"signals\.yaml: is missing"):
        load(folder, ReferenceMatcher)


@pytest.mark.parametrize(
    ("old", "new", "needle", "problem"),
    [
        ("token_age: 2d", "token_age: 0s", "0s", "no token could be accepted"),
        ("token_age: 2d", "token_age: 91d", "91d", "too long"),
        ("  idp:", "  Idp:", "Idp:", "not a name"),
        ("issuer: https://mdm.example.com/", "issuer: https://idp.example.com/", "mdm:", "has the issuer of 'idp'"),
        ("    audience: [us]\n", "", "issuer: https://mdm", "the key 'audience' is missing"),
        ("audience: [us]", "audience: []", "[]", "the list is empty"),
        ("https://idp.example.com/jwks.json", "http://idp.example.com/jwks.json", "http://idp", "must start with https://"),
        ("https://idp.example.com/jwks.json", "file:///etc/passwd", "file:", "is not a URL"),
        ("https://idp.example.com/jwks.json", "https://a@idp.example.com/", "https://a@", "is not a URL"),
        (POLL, "    poll_uri: http://mdm.example.com/poll\n", "http://mdm", "must start with https://"),
        ("[ES256]", "[HS256]", "HS256", "'HS256' is not an algorithm"),
        ("[ES256]", "[none]", "none", "'none' is not an algorithm"),
        ("[ES256]", "[]", "[]", "the list is empty"),
        ("authorization: idp-push", "authorization: ../idp", "../idp", "a name is expected"),
        ("risc/account-disabled]", "risc/account-disable]", "risc/account-disable]", "is not an event type"),
        ("critical: [user]", "critical: [person]", "person", "is not a subject member"),
        ('subjects: {device: [{format: uri, prefix: "urn:device:"}]}', "subjects: {}", "{}", "no subject could be"),
        ("format: uri", "format: url", "url, prefix", "is not a subject identifier format"),
        ("type: service", "type: robot", "robot", "is not a subject type"),
        (", type: service}", "}", "{format: iss_sub", "the key 'type' is missing"),
        ("digest: true", "type: session", "session}", "a session has no type"),
        ("digest: true", "digest: 1", "1}", "true or false is expected"),
        ("caep/session-presented:", "caep/session-present:", "caep/session-present:", "is not an event type"),
        ("caep/session-presented:", "session-presented:", "session-presented:", "is not a name"),
        ("- of: device", "- of: tenant", "tenant\n", "is not user, device or session"),
        ("set: {compliant:", "set: {complaint:", "complaint:", "is not an attribute of the device"),
        ("not-compliant: false", "not-compliant: nope", "nope", "not a value that 'compliant' can take"),
        ("{auth_time: {time: event}}", "{}", "{}}", "sets nothing"),
        ("{auth_time: {time: event}}", "{risk: 101}", "101", "not a value that 'risk' can take"),
        ("{auth_time: {time: event}}", "{risk: {time: event}}", "event}", "risk is no time"),
        ("{auth_time: {time: event}}", "{auth_time: {time: later}}", "later", "is not event or after"),
        ("{auth_time: {time: event}}", "{auth_time: {}}", "{}}", "the key 'claim' is missing"),
        ("{initiating_entity: user}", "{initiating_entity: [user]}", "[user]}, set", "a single value is expected"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_place(old: str, new: str, needle: str, problem: str) -> None:
    assert TEXT.count(old) == 1, old
    text = TEXT.replace(old, new)
    line, column = place(text, needle)
    found = problems_of({FILE: text})
    mine = [it for it in found if (it.file, it.line, it.column) == (FILE, line, column) and problem in it.problem]
    assert mine, f"no {problem!r} at {line}:{column} among {[str(it) for it in found]}"


def test_it_ends_in_the_end_mark() -> None:
    (problem,) = problems_of({FILE: TEXT.removesuffix("# end\n")})
    assert "cut short" in problem.problem


class TestLatch:
    def test_is_read(self) -> None:
        schema = build(swap("schema.yaml", "auth_time: {type: time}", "auth_time: {type: time, latch: true}")).schema
        assert schema.entities[Entity.SESSION]["auth_time"].latch
        assert not schema.entities[Entity.SESSION]["aal"].latch

    @pytest.mark.parametrize(("old", "kind"), [("region: {type: string, values: [eu, us]}\n  trained", "string")])
    def test_only_what_has_an_order_rises(self, old: str, kind: str) -> None:
        new = old.replace("{type", "{latch: true, type")
        refused("schema.yaml", old, new, "true, type: string", f"latch has no meaning for a {kind}")

    def test_is_true_or_false(self) -> None:
        refused(
            "schema.yaml",
            "auth_time: {type: time}",
            "auth_time: {type: time, latch: 1}",
            "1}\n  amr",
            "true or false",
        )
