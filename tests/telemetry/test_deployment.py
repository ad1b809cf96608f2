"""The dashboard, the collector's configuration and the documentation speak of what is really there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pdp.core.decision import AttributeUse, Entity
from pdp.core.reasons import Reason
from pdp.core.request import EntityRef
from pdp.core.signals.events import Event
from pdp.core.signals.plan import Plan, Write
from pdp.core.trace import Step
from pdp.policy.trial import Counts
from pdp.ports import Applied, Outcome
from pdp.signals.tracing import Times, trace_signal
from pdp.telemetry.settings import TelemetrySettings
from pdp.telemetry.setup import Telemetry, build
from pdp.telemetry.spans import SpanFactory
from pdp.watching.hub import WatchStats
from pdp.watching.story import Story
from tests.telemetry.answers import NOW, PSEUDONYM, allow, deny
from tests.telemetry.scrapes import Series, series
from tests.telemetry.test_state import Audit, Policy, Risk, Signals, attributes

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy/grafana/pdp.json").read_text())
COLLECTOR = yaml.safe_load((ROOT / "deploy/otel-collector/config.yaml").read_text())
DOCUMENT = (ROOT / "docs/telemetry.md").read_text()
NOT_METRICS = {
    *("instance", "reason", "effect", "part", "revision", "cached", "le"),
    *("transmitter", "event", "outcome", "receiver"),
}
WORDS = {"rate", "sum", "by", "min", "max", "count", "increase", "changes", "histogram_quantile", "label_values"}


@pytest.fixture(scope="module")
def scraped() -> Series:
    """Every sample of a PDP all of whose parts are watched."""
    telemetry = build(TelemetrySettings(traces_url="http://127.0.0.1:9/v1/traces"))
    telemetry.watch_policy(Policy)
    telemetry.watch_trial(Counts)
    telemetry.watch_attributes(attributes)
    telemetry.watch_audit(Audit)
    telemetry.watch_signals(Signals)
    telemetry.watch_risk(Risk)
    telemetry.watch_watches(lambda: WatchStats(sessions=1, watches=2, decisions=3))
    text = telemetry.render_metrics().body
    telemetry.shutdown(0.0)
    return series(text)


@pytest.fixture(scope="module")
def exposed(scraped: Series) -> dict[str, set[str]]:
    """The labels of each metric that a PDP exposes."""
    labels: dict[str, set[str]] = {}
    for name, pairs in scraped:
        labels.setdefault(name, set()).update(label for label, _ in pairs)
    return labels


class Steps(list[Step]):
    """Remembers the steps it is told of."""

    ended = list.append

    def samples(self, trace_id: str) -> bool:
        return True


def steps() -> list[Step]:
    """Give the steps from a signal to a message."""
    told = Steps()
    event = Event("caep/session-revoked", {}, {}, NOW, NOW, "https://idp.example.com/", "jti")
    plan = Plan(Entity.SESSION, EntityRef("session", "s-1"), (Write("revoked", "true", latch=True),))
    trace_signal(told, "idp", event, plan, Applied(Outcome.APPLIED, 7), Times(NOW, NOW, NOW))
    story = Story(told, Entity.SESSION, 7, NOW)
    story.decided([deny()], NOW)
    story.messages = 1
    story.told(NOW)
    assert len(told) == 6
    return told


def emitted() -> set[str]:
    """Every attribute that a span or its resource may have."""
    spans = SpanFactory("0", PSEUDONYM)
    uses = tuple(AttributeUse(entity, 1, NOW) for entity in Entity if entity is not Entity.CONTEXT)
    everything = allow()._replace(decision=allow().decision._replace(attributes=uses))
    others = deny(Reason.STEP_UP_REQUIRED, step_up=True), deny(Reason.CONDITION_ERROR)
    made = [spans.make(work) for work in (everything, *others, *steps())]
    return {key for span in made for key in (*(span.attributes or {}), *span.resource.attributes)}


def expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def names(expression: str) -> set[str]:
    unquoted = re.sub(r'"[^"]*"|\[[^]]*\]', "", expression)
    return set(re.findall(r"[a-z_]{2,}", unquoted)) - WORDS - NOT_METRICS


@pytest.mark.parametrize("expression", list(expressions()))
def test_the_dashboard_asks_for_metrics_that_are_exposed(expression: str, exposed: dict[str, set[str]]) -> None:
    asked = names(expression)
    assert asked
    assert asked <= set(exposed)


@pytest.mark.parametrize("expression", list(expressions()))
def test_the_dashboard_groups_by_labels_that_are_there(expression: str, exposed: dict[str, set[str]]) -> None:
    grouped = {label.strip() for found in re.findall(r"by \(([^)]*)\)", expression) for label in found.split(",")}
    chosen = set(re.findall(r'(\w+)=~?"', expression))
    (known,) = {frozenset().union(*(exposed[name] for name in names(expression)))}
    assert (grouped | chosen) - {"instance"} <= known


@pytest.mark.parametrize("expression", list(expressions()))
def test_the_dashboards_expressions_are_balanced(expression: str) -> None:
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)


def test_every_part_that_can_be_watched_is(scraped: Series) -> None:
    watched = {dict(pairs)["part"] for name, pairs in scraped if name == "pdp_state_up"}
    assert watched == {name.removeprefix("watch_") for name in dir(Telemetry) if name.startswith("watch_")}


def test_every_metric_of_ours_is_on_the_dashboard(exposed: dict[str, set[str]]) -> None:
    asked = set().union(*map(names, expressions()))
    ours = {re.sub(r"^(pdp_decision_duration_seconds).*", r"\1_bucket", name) for name in exposed if "pdp_" in name}
    assert ours <= asked


def test_the_dashboards_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_the_collector_lets_through_what_spans_have_and_no_more() -> None:
    allowed = COLLECTOR["processors"]["redaction"]["allowed_keys"]
    assert COLLECTOR["processors"]["redaction"]["allow_all_keys"] is False
    assert len(allowed) == len(set(allowed))
    assert set(allowed) - {"deployment.environment.name"} == emitted()


def test_the_collectors_pipelines_are_made_of_what_is_declared() -> None:
    for name, pipeline in COLLECTOR["service"]["pipelines"].items():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(COLLECTOR[kind]), name
        assert pipeline["processors"][0] == "memory_limiter"
    assert "redaction" in COLLECTOR["service"]["pipelines"]["traces"]["processors"]
    assert set(COLLECTOR["service"]["extensions"]) <= set(COLLECTOR["extensions"])


def test_every_metric_is_documented_and_no_other(exposed: dict[str, set[str]]) -> None:
    rows = re.findall(r"^\| ([^|]*pdp_[^|]*) \|", DOCUMENT, re.MULTILINE)
    documented = {row.strip("`") for row in rows}
    assert len(documented) == len(rows)
    ours = {re.sub(r"(_seconds)_(bucket|sum|count)$", r"\1", name) for name in exposed if name.startswith("pdp_")}
    assert documented == ours


def test_every_attribute_of_a_span_is_documented_and_no_other() -> None:
    rows = re.findall(r"^\| (`[a-z].*?) \|", DOCUMENT.split("## Metrics")[0], re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    own: set[Any] = {re.sub(r"attributes\.\w+", "attributes.<entity>", key) for key in emitted()}
    assert documented == {key for key in own if not re.match(r"service\.|telemetry\.|process\.", key)}


def test_the_settings_in_the_documentation_are_settings() -> None:
    for name in re.findall(r"^([a-z_]+) = ", DOCUMENT, re.MULTILINE) + re.findall(r"telemetry\.([a-z_]+)`", DOCUMENT):
        assert hasattr(TelemetrySettings(), name), name
