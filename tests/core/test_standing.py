"""What is kept of a subject's standing never changes an answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.core import standing as module
from pdp.core.decide import decide
from pdp.core.entities import Entities
from pdp.core.record import Record
from pdp.core.request import Context, EntityRef, Request
from pdp.core.standing import Standing, standing_of
from tests.core.policies import POLICIES, REQUESTS, known
from tests.core.world import EVERY_OBLIGATION, NOW, entities, policy, request, row

Known = dict[str, dict[str, Any]]
TRAINED = row("trained", "r.subject.trained_until > r.context.time && r.session.risk < 50")
REGION = row("region", "r.resource.region == r.subject.region && r.device.compliant")


def fresh(found: Entities) -> Entities:
    """Give the same records with nothing kept beside them."""
    return Entities(*(None if record is None else replace(record) for record in found))


@given(
    POLICIES,
    st.lists(
        st.tuples(REQUESTS, st.sampled_from([0, 1]), st.sampled_from([0, 0.4, 1, 61, 3600, 90000, -5])), max_size=8
    ),
    st.tuples(known(), known()),
)
def test_it_decides_as_if_nothing_were_kept(
    lines: list[str], steps: list[tuple[Request, int, float]], found: tuple[Known, Known]
) -> None:
    snapshots, worlds, now = (policy(lines), policy(lines, "sha256:other")), [entities(**it) for it in found], NOW
    for number, (asked, which, passed) in enumerate(steps):
        now += passed
        # The subject's record stays while the other parties' come and go.
        records = worlds[which]._replace(subject=worlds[0].subject)
        snapshot = snapshots[number % 2]
        assert decide(asked, records, snapshot, now) == decide(asked, fresh(records), replace(snapshot), now)


def test_it_is_kept_from_one_resource_to_the_next() -> None:
    found, snapshot = entities(), policy([TRAINED, REGION])
    first = standing_of(request(), found, snapshot, NOW)
    other = request(resource=EntityRef("customer", "c-2"))
    assert isinstance(first, Standing)
    assert standing_of(other, found._replace(resource=None), snapshot, NOW + 1) is first


def test_it_is_not_kept_beyond_the_moment_at_which_time_may_change_it() -> None:
    found, snapshot = entities(), policy([TRAINED])
    first = standing_of(request(), found, snapshot, NOW)
    assert isinstance(first, Standing)
    assert NOW < first.until <= NOW + 86400
    assert standing_of(request(), found, snapshot, first.until) is not first


def test_it_is_not_kept_for_a_clock_that_stepped_back() -> None:
    found, snapshot = entities(), policy([TRAINED])
    first = standing_of(request(), found, snapshot, NOW)
    assert standing_of(request(), found, snapshot, NOW - 1) is not first


def test_it_is_not_kept_for_another_revision_session_device_or_context() -> None:
    found, snapshot = entities(), policy([TRAINED])
    first = standing_of(request(), found, snapshot, NOW)
    assert standing_of(request(), found, policy([TRAINED]), NOW) is not first
    for position in ("subject", "device", "session"):
        record: Record = getattr(found, position)
        changed = found._replace(**{position: replace(record, version=record.version + 1)})
        assert standing_of(request(), changed, snapshot, NOW) is not first
    for asked in (request(session=""), request(device="d-2"), request(action="list"), request(context=Context())):
        assert standing_of(asked, found, snapshot, NOW) is not first


def test_what_stands_in_the_way_is_not_kept() -> None:
    snapshot = policy([TRAINED])
    mismatched = standing_of(request(device="d-2"), entities(), snapshot, NOW)
    assert isinstance(mismatched, Standing)
    assert mismatched.obstacle is not None
    assert not snapshot.standings


def test_a_changed_copy_of_a_revision_keeps_nothing_of_it() -> None:
    snapshot = policy([TRAINED])
    decide(request(), entities(), snapshot, NOW)
    assert snapshot.standings
    assert snapshot.verdicts
    copy = replace(snapshot, revision="sha256:other")
    assert not copy.standings
    assert not copy.verdicts


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 64)
    found, snapshot = entities(), policy([TRAINED])
    for number in range(200):
        context = Context(supported_obligations=EVERY_OBLIGATION | {f"kind_{number}"})
        standing_of(request(context=context), found, snapshot, NOW)
        assert 1 <= len(snapshot.standings) <= 64
