"""Metrics of state that another part keeps: read when scraped, so that keeping it costs nothing more.

A part gives its state as an object (a frozen dataclass, usually) with the properties of one of the protocols here.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

_log = logging.getLogger(__name__)


class AttributeState(Protocol):
    """The policy information point's state: the near cache, its lease, and the store behind it.

    Numbers of what happened run from the start of the process.
    """

    @property
    def hits(self) -> int:
        """Requests served wholly from memory."""

    @property
    def misses(self) -> int:
        """Requests that had to wait for the store."""

    @property
    def fetches(self) -> int:
        """Reads sent to the store; several requests may share one."""

    @property
    def fetch_errors(self) -> int:
        """Reads that failed or timed out."""

    @property
    def refused_versions(self) -> int:
        """Records refused because a newer one had been seen."""

    @property
    def invalidations(self) -> int:
        """Records dropped from memory because the store said that they changed."""

    @property
    def flushes(self) -> int:
        """Times that everything was dropped from memory."""

    @property
    def lapses(self) -> int:
        """Times that the lease ran out while connected."""

    @property
    def reconnects(self) -> int:
        """Invalidation connections made after the first."""

    @property
    def entries(self) -> int:
        """Records in memory."""

    @property
    def connected(self) -> bool:
        """Whether the store's invalidation connection is up."""

    @property
    def lease_live(self) -> bool:
        """Whether what is in memory may decide."""

    @property
    def lease_left(self) -> float:
        """Seconds until the lease runs out; 0 where it has."""


class PolicyState(Protocol):
    """The policy source's state. Numbers of what happened run from the start of the process."""

    @property
    def revision(self) -> str:
        """Digest of the revision in force, or empty."""

    @property
    def loaded_at(self) -> float:
        """When it came into force, in seconds since the epoch; 0 where there is none."""

    @property
    def rules(self) -> int:
        """Number of its rules."""

    @property
    def loads(self) -> int:
        """Revisions taken."""

    @property
    def load_failures(self) -> int:
        """Revisions refused."""

    @property
    def engine_differences(self) -> int:
        """Requests on which the two engines of ``shadow`` differed."""


class TrialState(Protocol):
    """A candidate policy's trial; numbers are of the present trial."""

    @property
    def compared(self) -> int:
        """Requests that both revisions decided."""

    @property
    def newly_allowed(self) -> int:
        """Requests that the candidate alone allows."""

    @property
    def newly_denied(self) -> int:
        """Requests that the candidate alone denies."""

    @property
    def obligations_changed(self) -> int:
        """Requests that both allow, under other obligations."""

    @property
    def skipped(self) -> int:
        """Requests that could not be compared."""


class AuditState(Protocol):
    """The decision log's state."""

    @property
    def healthy(self) -> bool:
        """Whether decisions can be put on record; where not, none is an allow."""

    @property
    def records(self) -> int:
        """Records in the log."""

    @property
    def anchor_backlog(self) -> int:
        """Checkpoints that wait for an anchor."""


class SignalState(Protocol):
    """The signal receiver's state. Numbers run from the start of the process."""

    @property
    def received(self) -> Mapping[tuple[str, str, str], int]:
        """Tokens by transmitter, event type, and outcome or error code; empty names where it came to none."""

    @property
    def polls(self) -> Mapping[tuple[str, str], int]:
        """Polls by transmitter and outcome."""


class RiskState(Protocol):
    """The watch on behaviour. Numbers run from the start of the process."""

    @property
    def counted(self) -> int:
        """Decisions counted."""

    @property
    def dropped(self) -> int:
        """Decisions not counted for want of room."""

    @property
    def lost(self) -> int:
        """Decisions not counted because the store did not answer."""

    @property
    def raised(self) -> int:
        """Risk levels raised."""

    @property
    def lowered(self) -> int:
        """Risk levels lowered."""

    @property
    def notices(self) -> Mapping[tuple[str, str], int]:
        """Notices of changed levels by receiver and outcome."""


class WatchState(Protocol):
    """The decisions that callers have watched."""

    @property
    def sessions(self) -> int:
        """Streams open, or kept for their callers to come back."""

    @property
    def watches(self) -> int:
        """Requests watched on them."""

    @property
    def decisions(self) -> int:
        """Decisions made for them since the start of the process."""


class Kind(enum.Enum):
    """How a property becomes a metric: a number as it stands, one that only grows, or a text as a label."""

    GAUGE = enum.auto()
    COUNTER = enum.auto()
    INFO = enum.auto()


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of a state.

    Attributes:
        name: the metric's name as exposed.
        kind: what it is.
        attribute: the property it is read from; for an info also the label's name.
        help: what it says.
        labels: where the property maps label values to numbers, the labels' names.
    """

    name: str
    kind: Kind
    attribute: str
    help: str
    labels: tuple[str, ...] = ()

    def family(self, state: object) -> Metric:
        """Give the metric family of a state."""
        value = getattr(state, self.attribute)
        if self.kind is Kind.INFO:
            return InfoMetricFamily(self.name.removesuffix("_info"), self.help, {self.attribute: value})
        of_kind = CounterMetricFamily if self.kind is Kind.COUNTER else GaugeMetricFamily
        family = of_kind(self.name, self.help, labels=self.labels)
        for of, number in value.items() if self.labels else (((), value),):
            family.add_metric(of, float(number))
        return family


ATTRIBUTES: Final = (
    Series("pdp_attribute_cache_hits_total", Kind.COUNTER, "hits", "Requests served wholly from memory."),
    Series("pdp_attribute_cache_misses_total", Kind.COUNTER, "misses", "Requests that had to wait for the store."),
    Series("pdp_attribute_cache_entries", Kind.GAUGE, "entries", "Attribute records in memory."),
    Series(
        "pdp_attribute_cache_invalidations_total",
        Kind.COUNTER,
        "invalidations",
        "Records dropped from memory because the store said that they changed.",
    ),
    Series("pdp_attribute_cache_flushes_total", Kind.COUNTER, "flushes", "Times all of memory was dropped."),
    Series(
        "pdp_attribute_refused_versions_total",
        Kind.COUNTER,
        "refused_versions",
        "Records refused because a newer one had been seen.",
    ),
    Series("pdp_attribute_lease_live", Kind.GAUGE, "lease_live", "1 while what is in memory may decide."),
    Series("pdp_attribute_lease_left_seconds", Kind.GAUGE, "lease_left", "Until the lease runs out; 0 where it has."),
    Series("pdp_attribute_lease_lapses_total", Kind.COUNTER, "lapses", "Times the lease ran out while connected."),
    Series("pdp_redis_connected", Kind.GAUGE, "connected", "1 while the invalidation connection is up."),
    Series("pdp_redis_reconnects_total", Kind.COUNTER, "reconnects", "Invalidation connections after the first."),
    Series("pdp_redis_fetches_total", Kind.COUNTER, "fetches", "Attribute reads sent to Redis."),
    Series("pdp_redis_fetch_errors_total", Kind.COUNTER, "fetch_errors", "Reads that failed or timed out."),
)
POLICY: Final = (
    Series("pdp_policy_info", Kind.INFO, "revision", "The policy revision in force."),
    Series("pdp_policy_loaded_timestamp_seconds", Kind.GAUGE, "loaded_at", "When the revision came into force."),
    Series("pdp_policy_rules", Kind.GAUGE, "rules", "Rules of the revision in force."),
    Series("pdp_policy_loads_total", Kind.COUNTER, "loads", "Policy revisions taken."),
    Series("pdp_policy_load_failures_total", Kind.COUNTER, "load_failures", "Policy revisions refused."),
    Series(
        "pdp_engine_differences_total",
        Kind.COUNTER,
        "engine_differences",
        "Requests on which the compiled and the reference engine differed; counted where both run.",
    ),
)
TRIAL: Final = (
    Series("pdp_policy_trial_compared_total", Kind.COUNTER, "compared", "Requests that the candidate decided too."),
    Series("pdp_policy_trial_newly_allowed_total", Kind.COUNTER, "newly_allowed", "Allowed by the candidate alone."),
    Series("pdp_policy_trial_newly_denied_total", Kind.COUNTER, "newly_denied", "Denied by the candidate alone."),
    Series(
        "pdp_policy_trial_obligations_changed_total",
        Kind.COUNTER,
        "obligations_changed",
        "Allowed by both revisions, under other obligations.",
    ),
    Series("pdp_policy_trial_skipped_total", Kind.COUNTER, "skipped", "Requests that could not be compared."),
)
AUDIT: Final = (
    Series("pdp_audit_healthy", Kind.GAUGE, "healthy", "1 while decisions can be put on record."),
    Series("pdp_audit_records", Kind.GAUGE, "records", "Records in the decision log."),
    Series("pdp_audit_anchor_backlog", Kind.GAUGE, "anchor_backlog", "Checkpoints that wait for an anchor."),
)
SIGNALS: Final = (
    Series(
        "pdp_signals_total",
        Kind.COUNTER,
        "received",
        "Security event tokens, by what became of them.",
        ("transmitter", "event", "outcome"),
    ),
    Series("pdp_signal_polls_total", Kind.COUNTER, "polls", "Polls for tokens.", ("transmitter", "outcome")),
)
RISK: Final = (
    Series("pdp_risk_decisions_counted_total", Kind.COUNTER, "counted", "Decisions counted as behaviour."),
    Series("pdp_risk_decisions_dropped_total", Kind.COUNTER, "dropped", "Decisions not counted for want of room."),
    Series("pdp_risk_decisions_lost_total", Kind.COUNTER, "lost", "Decisions not counted: the store did not answer."),
    Series("pdp_risk_levels_raised_total", Kind.COUNTER, "raised", "Risk levels raised."),
    Series("pdp_risk_levels_lowered_total", Kind.COUNTER, "lowered", "Risk levels lowered."),
    Series(
        "pdp_risk_notices_total",
        Kind.COUNTER,
        "notices",
        "Notices of changed risk levels, by what became of them.",
        ("receiver", "outcome"),
    ),
)
WATCHES: Final = (
    Series("pdp_watch_streams", Kind.GAUGE, "sessions", "Watch streams open, or kept for their callers to return."),
    Series("pdp_watches", Kind.GAUGE, "watches", "Requests watched."),
    Series("pdp_watch_decisions_total", Kind.COUNTER, "decisions", "Decisions made for watches."),
)


class StateCollector(Collector):
    """Exposes the states it was told of. One that cannot be read shows as down, and the scrape goes on without it."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[tuple[Series, ...], Callable[[], object]]] = {}

    def watch(self, part: str, series: tuple[Series, ...], read: Callable[[], object]) -> None:
        """Expose one part's state.

        Args:
            part: its name, a label of ``pdp_state_up``.
            series: its metrics.
            read: gives the present state; quick, and called on the thread of the scrape.
        """
        self._parts[part] = (series, read)

    def collect(self) -> Iterator[Metric]:
        """Give the metric families."""
        up = GaugeMetricFamily("pdp_state_up", "1 where the part's state could be read.", labels=("part",))
        for part, (series, read) in self._parts.items():
            families = _families(part, series, read)
            up.add_metric((part,), float(families is not None))
            yield from families or ()
        yield up


def _families(part: str, series: tuple[Series, ...], read: Callable[[], object]) -> list[Metric] | None:
    try:
        state = read()
        return [one.family(state) for one in series]
    except Exception as error:  # noqa: BLE001 - one part's failure must not hide the others' metrics
        _log.warning("state of %s cannot be read: %s", part, type(error).__name__, extra={"event": "metrics.state"})
        return None
