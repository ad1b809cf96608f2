"""Who can, and what can somebody: nobody is listed who cannot, nobody left out who can."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Final

import pytest

from pdp.cli.policy.asking import records_of
from pdp.core.decide import judge
from pdp.core.decision import Entity
from pdp.core.policy import PolicySnapshot
from pdp.core.request import Context, EntityRef, Request
from pdp.engine.matcher import CompiledEngine
from pdp.policy import load
from pdp.workbench.access import Finder
from pdp.workbench.testing.world import World, read_records

SAMPLE: Final = Path(__file__).parents[2] / "policies"
NOW: Final = 1_768_471_200.0
PAIRS: Final = (
    ("read", "customer", "c-1"),
    ("reveal", "payment_card", "card-2"),
    ("play", "call_recording", "rec-1"),
)


@pytest.fixture(scope="module")
def policy() -> PolicySnapshot:
    return load(SAMPLE, CompiledEngine())


@pytest.fixture(scope="module")
def world(policy: PolicySnapshot) -> World:
    return World(policy.schema, NOW, read_records(SAMPLE / "sample" / "attributes.yaml", policy.schema, NOW))


@pytest.mark.parametrize(("action", "type_", "id_"), PAIRS)
def test_the_list_is_what_the_service_allows(
    action: str, type_: str, id_: str, policy: PolicySnapshot, world: World
) -> None:
    """Every combination of what an enforcement point can state, for every session on record, decided one by one."""
    context = policy.schema.entities[Entity.CONTEXT]
    stated = [sorted(context[name].values) for name in ("purpose", "channel", "network")]
    every = frozenset(it.type for it in policy.obligations.values())
    allowed = set()
    for entity, ref in world.stored:
        if entity is not Entity.SESSION:
            continue
        fields = world.stored[entity, ref]
        for owner, subject in world.stored:
            if owner is not Entity.SUBJECT or subject.id != fields["subject"]:
                continue
            for emergency, values in product((False, True), product(*stated)):
                asked = Context(*values, emergency, "reason" if emergency else "", every)
                request = Request(subject, action, EntityRef(type_, id_), asked, ref.id, fields["device"])
                if judge(request, world.entities(request), policy, NOW).allowed:
                    allowed.add((str(subject), ref.id))
                    break
    finder = Finder(policy, records_of(world), NOW)
    listed = {(str(it.subject), it.session) for it in finder.who_can(action, type_, id_) if it.session}
    assert listed == allowed
    assert allowed


def test_what_stays_open_is_said(policy: PolicySnapshot, world: World) -> None:
    finder = Finder(policy, records_of(world), NOW)
    (alice,) = [it for it in finder.who_can("read", "customer", "c-1") if it.session == "s-1"]
    billing = next(way for way in alice.ways if way.rule.id == "customer-read-billing")
    assert billing.when == ("r.context.purpose == 'billing'",)
    assert "session-anonymiser" in dict(billing.unless)
    assert "posture-noncompliant" not in dict(billing.unless)


def test_a_type_stands_for_any_record_of_it(policy: PolicySnapshot, world: World) -> None:
    finder = Finder(policy, records_of(world), NOW)
    found = {str(it.subject): it for it in finder.who_can("reveal", "payment_card", "")}
    assert "user:dan" in found
    assert "r.resource.fraud_case == 'open'" in found["user:dan"].ways[0].when
    assert "user:alice" not in found


def test_what_somebody_can_do_is_what_they_are_listed_for(policy: PolicySnapshot, world: World) -> None:
    finder = Finder(policy, records_of(world), NOW)
    frank = EntityRef("user", "frank")
    found = {(it.action, it.resource_type) for it in finder.what_can(frank)}
    assert ("read", "audit_log") in found
    assert not {pair for pair in found if pair[0] in ("read", "play", "reveal", "export") and pair[1] != "audit_log"}
    for it in finder.what_can(frank):
        others = finder.who_can(it.action, it.resource_type, it.resource)
        assert frank in {other.subject for other in others}


def test_a_leaver_is_nowhere(policy: PolicySnapshot, world: World) -> None:
    finder = Finder(policy, records_of(world), NOW)
    assert list(finder.what_can(EntityRef("user", "grace"))) == []
