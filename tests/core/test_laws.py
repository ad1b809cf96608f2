"""The laws every decision obeys, over generated policies and worlds. One group of tests for each, by its number.

Laws 8 to 10, and the part of law 6 that is about caches and batches, are promises of the service and its adapters
and are tested there.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.core.decide import decide
from pdp.core.decision import Decision, Effect, Entity
from pdp.core.entities import Entities
from pdp.core.explain import Outcome, explain
from pdp.core.policy import MatchError, PolicySnapshot
from pdp.core.reasons import Reason
from pdp.core.record import parse_record
from pdp.core.request import EntityRef, Request
from tests.core import world
from tests.core.policies import (
    POLICIES,
    REQUESTS,
    allowed_by_definition,
    known,
    matching,
    numbered,
    rows,
)
from tests.core.world import NOW, ask, entities, policy, reasons, request, row

laws = settings(max_examples=60, deadline=None)
Known = dict[str, dict[str, Any]]


def outcome(decision: Decision) -> tuple[Any, ...]:
    """Give what must not depend on the order of rules."""
    obligations = frozenset(it.id for it in decision.obligations)
    return decision.effect, frozenset(decision.causes), frozenset(decision.rules), obligations, decision.step_up


class TestLaw1DefaultDeny:
    def test_an_empty_policy_denies(self) -> None:
        decision = ask([])
        assert (decision.effect, reasons(decision)) == (Effect.DENY, ["NO_MATCHING_PERMIT"])

    @laws
    @given(POLICIES, REQUESTS, known())
    def test_without_a_matching_permit_it_is_a_deny(self, lines: list[str], asked: Request, found: Known) -> None:
        snapshot, who = policy(lines), entities(**found)
        permits = [it for it in matching(snapshot, asked, who, NOW) if it.effect is Effect.ALLOW]
        decision = decide(asked, who, snapshot, NOW)
        assert permits or not decision.allowed

    @laws
    @given(POLICIES, REQUESTS, known())
    def test_a_decision_is_what_its_definition_says(self, lines: list[str], asked: Request, found: Known) -> None:
        snapshot, who = policy(lines), entities(**found)
        assert decide(asked, who, snapshot, NOW).allowed == allowed_by_definition(snapshot, asked, who, NOW)

    @pytest.mark.parametrize(
        ("asked", "reason"),
        [
            (request(action="fly"), "ACTION_UNKNOWN"),
            (request(subject=EntityRef("robot", "alice")), "TYPE_UNKNOWN(subject.type)"),
            (request(resource=EntityRef("secret", "x")), "TYPE_UNKNOWN(resource.type)"),
        ],
    )
    def test_a_name_the_schema_does_not_know_is_a_deny_even_where_everything_is_allowed(
        self, asked: Request, reason: str
    ) -> None:
        decision = ask([row("all", "True", action="*", resource="*")], asked)
        assert (decision.effect, reasons(decision), decision.valid_until) == (Effect.DENY, [reason], NOW)


class TestLaw2DenyTrumps:
    @laws
    @given(POLICIES, rows(("deny",), "added"), REQUESTS, known())
    def test_adding_a_deny_never_creates_an_allow(
        self, lines: list[str], deny: str, asked: Request, found: Known
    ) -> None:
        who = entities(**found)
        before = decide(asked, who, policy(lines), NOW)
        after = decide(asked, who, policy([*lines, deny]), NOW)
        assert before.allowed or not after.allowed

    @laws
    @given(POLICIES, REQUESTS, known())
    def test_a_matching_deny_decides(self, lines: list[str], asked: Request, found: Known) -> None:
        snapshot, who = policy(lines), entities(**found)
        denies = [it.id for it in matching(snapshot, asked, who, NOW) if it.effect is Effect.DENY]
        decision = decide(asked, who, snapshot, NOW)
        if denies:
            assert decision.rules == tuple(denies)
            about = [cause.about for cause in decision.causes if cause.code is Reason.DENIED_BY_RULE]
            assert about == denies


class TestLaw3OrderDoesNotMatter:
    @laws
    @given(POLICIES, REQUESTS, known(), st.randoms(use_true_random=False))
    def test_order(self, lines: list[str], asked: Request, found: Known, random: Any) -> None:
        who, shuffled = entities(**found), list(lines)
        random.shuffle(shuffled)
        one, other = decide(asked, who, policy(lines), NOW), decide(asked, who, policy(shuffled), NOW)
        assert outcome(one) == outcome(other)
        assert one.valid_until == other.valid_until

    @laws
    @given(POLICIES, REQUESTS, known())
    def test_duplicates(self, lines: list[str], asked: Request, found: Known) -> None:
        who = entities(**found)
        again = [line.replace("p,rule-", "p,twice-", 1) for line in lines]
        one, other = decide(asked, who, policy(lines), NOW), decide(asked, who, policy([*again, *lines]), NOW)
        assert one.effect == other.effect
        assert {it.id for it in one.obligations} == {it.id for it in other.obligations}


ALLOW_ALL = row("all", "True", action="*", resource="*")
READS_EVERYTHING = row(
    "reader",
    "r.subject.region == 'eu' && r.device.compliant && r.device.score > 1 && r.session.risk < 50 "
    "&& r.session.aal > 1 && r.resource.region == 'eu' && r.resource.keep_until > r.context.time",
)
NEEDED = [
    (Entity.SUBJECT, "roles"),
    (Entity.SUBJECT, "region"),
    (Entity.DEVICE, "compliant"),
    (Entity.DEVICE, "score"),
    (Entity.SESSION, "risk"),
    (Entity.SESSION, "aal"),
    (Entity.SESSION, "subject"),
    (Entity.SESSION, "device"),
    (Entity.RESOURCE, "region"),
    (Entity.RESOURCE, "keep_until"),
]
WRONG = [
    "",
    "null",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e9",
    "-1",
    "1000.5",
    "TRUE",
    "yes",
    "[]x",
    "[1]",
    "{}",
    " 1",
    "٣",
    "x",
]


def with_stored(entity: Entity, change: dict[str, str | None], issued_at: float = NOW - 1) -> Entities:
    """Give the world with the stored text of one record changed."""
    base = {"subject": world.SUBJECT, "device": world.DEVICE, "session": world.SESSION, "resource": world.CUSTOMER}
    fields: dict[str, str | None] = {name: world.text(value) for name, value in base[entity.value].items()}
    fields |= {"_version": "1", "_issued_at": str(issued_at)} | change
    stored = {name: value for name, value in fields.items() if value is not None}
    present = getattr(entities(), entity.value)
    declared = world.schema().attributes_of(entity, present.ref.type)
    return entities()._replace(**{entity.value: parse_record(present.ref, declared, stored, 5.0)})


class TestLaw4WhatCannotBeKnownIsADeny:
    def test_the_world_is_one_in_which_it_is_allowed(self) -> None:
        assert ask([ALLOW_ALL, READS_EVERYTHING]).allowed

    @pytest.mark.parametrize(("entity", "name"), NEEDED)
    def test_missing(self, entity: Entity, name: str) -> None:
        decision = ask([ALLOW_ALL, READS_EVERYTHING], known=with_stored(entity, {name: None}))
        assert (decision.effect, reasons(decision)) == (Effect.DENY, [f"ATTRIBUTE_MISSING({entity}.{name})"])

    @pytest.mark.parametrize("wrong", WRONG)
    @pytest.mark.parametrize(("entity", "name"), NEEDED)
    def test_of_the_wrong_type_or_out_of_range(self, entity: Entity, name: str, wrong: str) -> None:
        decision = ask([ALLOW_ALL, READS_EVERYTHING], known=with_stored(entity, {name: wrong}))
        # To the two attributes that may hold any text, a wrong one is somebody else's.
        reason = "SESSION_MISMATCH" if name in ("subject", "device") else "ATTRIBUTE_INVALID"
        assert (decision.effect, reasons(decision)) == (Effect.DENY, [f"{reason}({entity}.{name})"])

    @pytest.mark.parametrize("entity", [Entity.SUBJECT, Entity.DEVICE, Entity.SESSION])
    def test_stale(self, entity: Entity) -> None:
        old = with_stored(entity, {}, issued_at=NOW - 10 * 86400)
        decision = ask([ALLOW_ALL, READS_EVERYTHING], known=old)
        assert decision.effect is Effect.DENY
        assert reasons(decision)[0].startswith(f"ATTRIBUTE_STALE({entity}.")

    @pytest.mark.parametrize(
        ("entity", "name"), [(it, name) for it, name in NEEDED if name not in ("subject", "device")]
    )
    def test_from_the_future(self, entity: Entity, name: str) -> None:
        ahead = with_stored(entity, {f"{name}@issued_at": str(NOW + 6)})
        decision = ask([ALLOW_ALL, READS_EVERYTHING], known=ahead)
        assert (decision.effect, reasons(decision)) == (Effect.DENY, [f"ATTRIBUTE_FROM_FUTURE({entity}.{name})"])

    @pytest.mark.parametrize(
        "change",
        [
            {"_version": None},
            {"_version": "0"},
            {"_version": "x"},
            {"_version": "1.5"},
            {"_issued_at": None},
            {"_issued_at": "nan"},
            {"_issued_at": "inf"},
            {"_issued_at": "soon"},
        ],
    )
    @pytest.mark.parametrize("entity", [Entity.SUBJECT, Entity.DEVICE, Entity.SESSION, Entity.RESOURCE])
    def test_a_record_without_a_sound_version_or_time(self, entity: Entity, change: dict[str, str | None]) -> None:
        decision = ask([ALLOW_ALL, READS_EVERYTHING], known=with_stored(entity, change))
        assert decision.effect is Effect.DENY
        assert reasons(decision)[0].startswith(f"ATTRIBUTE_INVALID({entity}.")

    @pytest.mark.parametrize("entity", ["subject", "device", "session", "resource"])
    def test_unknown(self, entity: str) -> None:
        decision = ask([ALLOW_ALL, READS_EVERYTHING], known=entities(**{entity: None}))
        assert (decision.effect, reasons(decision)) == (Effect.DENY, [f"{entity.upper()}_UNKNOWN"])

    def test_a_purpose_that_the_schema_does_not_know(self) -> None:
        asked = request(context=world.context(purpose="gossip"))
        decision = ask([ALLOW_ALL, row("two", "r.context.purpose == 'support'", "deny")], asked)
        assert (decision.effect, reasons(decision)) == (Effect.DENY, ["ATTRIBUTE_INVALID(context.purpose)"])

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"subject": "mallory"}, "SESSION_MISMATCH(session.subject)"),
            ({"device": "d-2"}, "SESSION_MISMATCH(session.device)"),
        ],
    )
    def test_a_session_of_somebody_else(self, change: dict[str, str], reason: str) -> None:
        decision = ask([ALLOW_ALL], known=entities(session=change))
        assert (decision.effect, reasons(decision)) == (Effect.DENY, [reason])

    @pytest.mark.parametrize("indexes", [(), (0,), (0, 1)])
    def test_a_matcher_that_fails(self, indexes: tuple[int, ...]) -> None:
        def fail(*_: object) -> tuple[int, ...]:
            raise MatchError(indexes, "no")

        whole = policy([ALLOW_ALL, READS_EVERYTHING])
        snapshot = PolicySnapshot(
            "sha256:x", whole.rules, fail, whole.hierarchy, whole.schema, whole.obligations, whole.routes
        )
        decision = decide(request(), entities(), snapshot, NOW)
        assert (decision.effect, decision.fault, decision.valid_until) == (Effect.DENY, True, NOW)
        assert [it.about for it in decision.causes] == [whole.rules[at].id for at in indexes] or indexes == ()

    @laws
    @given(POLICIES, REQUESTS, known(), st.data())
    def test_no_attribute_taken_away_ever_turns_a_deny_into_an_allow(
        self, lines: list[str], asked: Request, found: Known, data: st.DataObject
    ) -> None:
        snapshot = policy(lines)
        before = decide(asked, entities(**found), snapshot, NOW)
        entity = data.draw(st.sampled_from(sorted(found)))
        name = data.draw(st.sampled_from(sorted(found[entity])))
        present = getattr(entities(**found), entity)
        values = {key: value for key, value in present.view.__dict__.items() if key not in (name, "id", "type")}
        lesser = world.record(Entity(entity), present.ref.id, values)
        after = decide(asked, entities(**found)._replace(**{entity: lesser}), snapshot, NOW)
        # An attribute with a default stands for its default when it is absent.
        assert before.allowed or not after.allowed or name == "amr"


# Conditions that hold the more, the better things stand; a deny has the opposite of one.
BETTER = (
    "True",
    "r.session.risk < 50",
    "r.session.risk <= 20",
    "r.device.compliant",
    "r.device.score >= 80",
    "r.session.aal >= 2",
    "'otp' in r.session.amr",
    "r.context.time - r.session.auth_time < 300",
    "r.subject.trained_until > r.context.time",
    "r.resource.keep_until >= r.context.time",
    "'supervisor' in r.subject.roles",
)
GOOD = st.recursive(
    st.sampled_from(BETTER),
    lambda inner: st.tuples(inner, st.sampled_from([" && ", " || "]), inner).map(
        lambda it: f"({it[0]}){it[1]}({it[2]})"
    ),
    max_leaves=4,
)
MONOTONE = st.lists(
    st.one_of(
        st.tuples(GOOD, st.sampled_from(["*", "agent", "supervisor"])).map(
            lambda it: row("rule", it[0], "allow", it[1])
        ),
        # A deny for one role only would be lifted by the loss of that role.
        GOOD.map(lambda it: row("rule", f"!({it})", "deny", "*", "*")),
    ),
    min_size=1,
    max_size=5,
).map(numbered)


def worse(found: Known, data: st.DataObject) -> Known:
    """Draw a world that is worse in some ways and better in none."""
    subject, device, session = dict(found["subject"]), dict(found["device"]), dict(found["session"])
    session["risk"] = data.draw(st.integers(session["risk"], 100))
    session["aal"] = data.draw(st.integers(1, session["aal"]))
    session["auth_time"] -= data.draw(st.integers(0, 1000))
    session["amr"] = data.draw(st.sampled_from([session["amr"], ["pwd"]]))
    device["compliant"] = device["compliant"] and data.draw(st.booleans())
    device["score"] = data.draw(st.sampled_from([it for it in (0, 49.5, 80, 100) if it <= device["score"]]))
    subject["roles"] = [role for role in subject["roles"] if data.draw(st.booleans())]
    subject["trained_until"] -= data.draw(st.integers(0, 1000))
    return {**found, "subject": subject, "device": device, "session": session}


class TestLaw5Monotone:
    @laws
    @given(MONOTONE, known(), st.data())
    def test_nothing_that_gets_worse_turns_a_deny_into_an_allow(
        self, lines: list[str], found: Known, data: st.DataObject
    ) -> None:
        snapshot = policy(lines)
        before = decide(request(), entities(**found), snapshot, NOW)
        after = decide(request(), entities(**worse(found, data)), snapshot, NOW)
        assert before.allowed or not after.allowed

    @laws
    @given(MONOTONE, known(), st.floats(0, 2_000_000))
    def test_no_passing_of_time_turns_a_deny_into_an_allow(
        self, lines: list[str], found: Known, later: float
    ) -> None:
        snapshot, who = policy(lines), entities(**found)
        before = decide(request(), who, snapshot, NOW)
        assert before.allowed or not decide(request(), who, snapshot, NOW + later).allowed

    @laws
    @given(POLICIES, REQUESTS, known(), st.frozensets(st.sampled_from(["mask", "watermark", "notify"])))
    def test_no_lesser_enforcement_point_is_allowed_more(
        self, lines: list[str], asked: Request, found: Known, fewer: frozenset[str]
    ) -> None:
        snapshot, who = policy(lines), entities(**found)
        able = asked.context.supported_obligations
        lesser = asked._replace(context=asked.context._replace(supported_obligations=able & fewer))
        assert decide(asked, who, snapshot, NOW).allowed or not decide(lesser, who, snapshot, NOW).allowed

    @pytest.mark.parametrize("risk", ["nan", "NaN", "inf", "-inf", "-1", "101", "true", "1.0", "1e1", ""])
    def test_a_risk_that_is_no_number_in_its_range_is_an_error(self, risk: str) -> None:
        lines = [row("low", "!(r.session.risk > 50)")]
        decision = ask(lines, known=with_stored(Entity.SESSION, {"risk": risk}))
        assert (decision.effect, reasons(decision)) == (Effect.DENY, ["ATTRIBUTE_INVALID(session.risk)"])


class TestLaw6ExplainIsDecide:
    @laws
    @given(POLICIES, REQUESTS, known())
    def test_the_explained_decision_is_the_decision(self, lines: list[str], asked: Request, found: Known) -> None:
        snapshot, who = policy(lines), entities(**found)
        explained = explain(asked, who, snapshot, NOW)
        assert explained.decision == decide(asked, who, snapshot, NOW)

    @laws
    @given(POLICIES, REQUESTS, known())
    def test_the_rules_said_to_match_are_those_that_match(
        self, lines: list[str], asked: Request, found: Known
    ) -> None:
        snapshot, who = policy(lines), entities(**found)
        traces = explain(asked, who, snapshot, NOW).rules
        expected = [rule.id for rule in matching(snapshot, asked, who, NOW)]
        assert [it.rule.id for it in traces if it.outcome is Outcome.TRUE] == expected
        assert all(it.outcome is not Outcome.UNKNOWN for it in traces)

    @laws
    @given(POLICIES, REQUESTS, known(), st.sampled_from(["device", "session", "resource"]))
    def test_it_explains_a_decision_for_want_of_knowledge_too(
        self, lines: list[str], asked: Request, found: Known, lost: str
    ) -> None:
        snapshot, who = policy(lines), entities(**found)._replace(**{lost: None})
        assert explain(asked, who, snapshot, NOW).decision == decide(asked, who, snapshot, NOW)

    @laws
    @given(POLICIES, REQUESTS, known())
    def test_deciding_again_gives_the_same(self, lines: list[str], asked: Request, found: Known) -> None:
        snapshot, who = policy(lines), entities(**found)
        assert decide(asked, who, snapshot, NOW) == decide(asked, who, snapshot, NOW)


class TestLaw7OneRevisionOneVersion:
    @laws
    @given(POLICIES, REQUESTS, known(), st.tuples(*[st.integers(1, 99)] * 4))
    def test_a_decision_names_its_revision_and_the_versions_it_rests_on(
        self, lines: list[str], asked: Request, found: Known, versions: tuple[int, ...]
    ) -> None:
        records = entities(**found)
        who = Entities(
            *(
                world.record(entity, held.ref.id, values, version=version)
                for entity, held, values, version in zip(
                    (Entity.SUBJECT, Entity.DEVICE, Entity.SESSION, Entity.RESOURCE),
                    records,
                    (
                        found["subject"],
                        found["device"],
                        {"subject": "alice", "device": "d-1", **found["session"]},
                        found["resource"],
                    ),
                    versions,
                    strict=True,
                )
                if held is not None
            )
        )
        decision = decide(asked, who, policy(lines, "sha256:abc"), NOW)
        assert decision.revision == "sha256:abc"
        by_entity = dict(zip(Entity, versions, strict=False))
        assert {use.entity: use.version for use in decision.attributes}.items() <= by_entity.items()
