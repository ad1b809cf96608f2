"""State that other parts keep, read at each scrape."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import pytest

from pdp.attributes.stats import AttributeStats
from pdp.policy.trial import Counts
from pdp.telemetry import state
from pdp.telemetry.state import AttributeState, Kind, Series, StateCollector
from pdp.watching.hub import WatchStats
from tests.telemetry.scrapes import scrape, series, value


@dataclass(frozen=True)
class Policy:
    revision: str = "sha256:" + "b" * 64
    loaded_at: float = 1_800_000_000.5
    rules: int = 44
    loads: int = 3
    load_failures: int = 1
    engine_differences: int = 2


@dataclass(frozen=True)
class Audit:
    healthy: bool = False
    records: int = 12
    anchor_backlog: int = 2


@dataclass(frozen=True)
class Signals:
    received: Mapping[tuple[str, str, str], int] = field(
        default_factory=lambda: {("idp", "caep/session-revoked", "applied"): 3, ("", "", "invalid_issuer"): 1}
    )
    polls: Mapping[tuple[str, str], int] = field(default_factory=lambda: {("mdm", "done"): 5, ("mdm", "failed"): 2})


@dataclass(frozen=True)
class Risk:
    counted: int = 500
    dropped: int = 7
    lost: int = 16
    raised: int = 2
    lowered: int = 1
    notices: Mapping[tuple[str, str], int] = field(default_factory=lambda: {("soc", "delivered"): 3})


def attributes() -> AttributeState:
    """Each number its field's place, so that a mix-up shows."""
    numbers = {one.name: place for place, one in enumerate(fields(AttributeStats), start=1)}
    return AttributeStats(**numbers | {"lease_live": True, "connected": False, "reason": ""})  # type: ignore[arg-type]


def test_policy_state_is_exposed() -> None:
    collector = StateCollector()
    collector.watch("policy", state.POLICY, Policy)
    text = scrape(collector)
    assert value(text, "pdp_policy_info", revision="sha256:" + "b" * 64) == 1
    assert value(text, "pdp_policy_loaded_timestamp_seconds") == 1_800_000_000.5
    assert value(text, "pdp_policy_rules") == 44
    assert value(text, "pdp_policy_loads_total") == 3
    assert value(text, "pdp_policy_load_failures_total") == 1
    assert value(text, "pdp_engine_differences_total") == 2
    assert value(text, "pdp_state_up", part="policy") == 1


def test_a_trials_counts_are_exposed() -> None:
    collector = StateCollector()
    given = Counts(compared=100, newly_allowed=1, newly_denied=2, obligations_changed=3, skipped=4)
    collector.watch("trial", state.TRIAL, lambda: given)
    text = scrape(collector)
    assert value(text, "pdp_policy_trial_compared_total") == 100
    assert value(text, "pdp_policy_trial_newly_allowed_total") == 1
    assert value(text, "pdp_policy_trial_newly_denied_total") == 2
    assert value(text, "pdp_policy_trial_obligations_changed_total") == 3
    assert value(text, "pdp_policy_trial_skipped_total") == 4


def test_audit_state_is_exposed() -> None:
    collector = StateCollector()
    collector.watch("audit", state.AUDIT, Audit)
    text = scrape(collector)
    assert value(text, "pdp_audit_healthy") == 0
    assert value(text, "pdp_audit_records") == 12
    assert value(text, "pdp_audit_anchor_backlog") == 2


def test_the_attribute_sources_own_statistics_are_exposed() -> None:
    collector = StateCollector()
    collector.watch("attributes", state.ATTRIBUTES, attributes)
    text = scrape(collector)
    given = attributes()
    for one in state.ATTRIBUTES:
        assert value(text, one.name) == float(getattr(given, one.attribute)), one.name
    assert value(text, "pdp_attribute_lease_live") == 1
    assert value(text, "pdp_redis_connected") == 0


def test_signals_are_told_apart_by_their_labels() -> None:
    collector = StateCollector()
    collector.watch("signals", state.SIGNALS, Signals)
    text = scrape(collector)
    applied = {"transmitter": "idp", "event": "caep/session-revoked", "outcome": "applied"}
    assert value(text, "pdp_signals_total", **applied) == 3
    assert value(text, "pdp_signals_total", transmitter="", event="", outcome="invalid_issuer") == 1
    assert value(text, "pdp_signal_polls_total", transmitter="mdm", outcome="done") == 5
    assert value(text, "pdp_signal_polls_total", transmitter="mdm", outcome="failed") == 2


def test_signals_that_never_came_are_a_metric_all_the_same() -> None:
    collector = StateCollector()
    collector.watch("signals", state.SIGNALS, lambda: Signals({}, {}))
    text = scrape(collector)
    assert b"# TYPE pdp_signals_total counter" in text
    assert [name for name, _ in series(text)] == ["pdp_state_up"]


def test_the_watch_on_behaviour_is_exposed() -> None:
    collector = StateCollector()
    collector.watch("risk", state.RISK, Risk)
    text = scrape(collector)
    assert value(text, "pdp_risk_decisions_counted_total") == 500
    assert value(text, "pdp_risk_decisions_dropped_total") == 7
    assert value(text, "pdp_risk_decisions_lost_total") == 16
    assert value(text, "pdp_risk_levels_raised_total") == 2
    assert value(text, "pdp_risk_levels_lowered_total") == 1
    assert value(text, "pdp_risk_notices_total", receiver="soc", outcome="delivered") == 3


def test_watched_decisions_are_exposed() -> None:
    collector = StateCollector()
    collector.watch("watches", state.WATCHES, lambda: WatchStats(sessions=2, watches=1000, decisions=30))
    text = scrape(collector)
    assert value(text, "pdp_watch_streams") == 2
    assert value(text, "pdp_watches") == 1000
    assert value(text, "pdp_watch_decisions_total") == 30


def test_state_is_read_anew_at_each_scrape() -> None:
    rules = iter((1, 2))
    collector = StateCollector()
    collector.watch("policy", state.POLICY, lambda: Policy(rules=next(rules)))
    assert [value(scrape(collector), "pdp_policy_rules") for _ in range(2)] == [1, 2]


def test_a_part_that_cannot_be_read_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Policy:
        raise ZeroDivisionError("alice")

    collector = StateCollector()
    collector.watch("policy", state.POLICY, broken)
    collector.watch("audit", state.AUDIT, Audit)
    with caplog.at_level(logging.WARNING):
        text = scrape(collector)
    assert value(text, "pdp_state_up", part="policy") == 0
    assert value(text, "pdp_state_up", part="audit") == 1
    assert value(text, "pdp_audit_records") == 12
    assert not any(name.startswith("pdp_policy") for name, _ in series(text))
    assert "ZeroDivisionError" in caplog.text
    assert "alice" not in caplog.text


EVERY = (
    *state.ATTRIBUTES,
    *state.POLICY,
    *state.TRIAL,
    *state.AUDIT,
    *state.SIGNALS,
    *state.RISK,
    *state.WATCHES,
)


@pytest.mark.parametrize("one", EVERY, ids=lambda one: one.name)
def test_names_follow_the_conventions(one: Series) -> None:
    assert one.name.startswith("pdp_")
    assert one.name.endswith("_total") is (one.kind is Kind.COUNTER)
    assert one.name.endswith("_info") is (one.kind is Kind.INFO)
    assert one.help.endswith(".")
