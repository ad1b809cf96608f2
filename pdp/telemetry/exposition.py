"""Metrics as text: what ``/metrics`` answers, and one text made of several workers'."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

# Types whose samples mean the same added up. Anything else is one worker's own.
_ADDITIVE: Final = frozenset({"counter", "histogram", "summary"})
_OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"
_WORKER: Final = "worker"


class Exposition(NamedTuple):
    """The body of a scrape's answer and its media type."""

    content_type: str
    body: bytes


def render(registry: CollectorRegistry, accept: str = "") -> Exposition:
    """Give the metrics in the format that a scraper prefers.

    Args:
        registry: what to expose.
        accept: the ``Accept`` header; OpenMetrics 1.0.0 where it names that, else text format 0.0.4.
    """
    # The library would put the header's own version into its answer, and fails on one that is no number.
    encode, content_type = choose_encoder(_OPENMETRICS if "application/openmetrics-text" in accept else "")
    return Exposition(content_type, encode(registry))


def merge(texts: Sequence[bytes], departed: Sequence[bytes] = ()) -> bytes:
    """Make one text of the workers' own (text format 0.0.4 in and out).

    Counters and histograms are added up. A gauge stays each worker's own, told apart by the label ``worker``.

    Args:
        texts: of each worker, in order; an empty one holds the place of a worker that is gone or did not answer.
        departed: last texts of workers that ended. Their counters go on counting, because a sum that falls would
            read as a restart of everything; their gauges are gone. ``merge((), departed)`` makes one of many.

    Raises:
        ValueError: a text is not in the format.
    """
    families: dict[str, _Merged] = {}
    for worker, text in enumerate(texts):
        for family in _parse(text):
            _into(families, family).add(family, str(worker))
    for text in departed:
        for family in _parse(text):
            if family.type in _ADDITIVE:
                _into(families, family).add(family, "")
    registry = CollectorRegistry()
    registry.register(_Given(merged.family() for merged in families.values()))
    return generate_latest(registry)


class _Merged:
    """A metric family with the samples of several workers."""

    def __init__(self, first: Metric) -> None:
        self._first = first
        self._values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def add(self, family: Metric, worker: str) -> None:
        own = {} if self._first.type in _ADDITIVE else {_WORKER: worker}
        for sample in family.samples:
            key = sample.name, tuple((sample.labels | own).items())
            self._values[key] = self._values.get(key, 0.0) + sample.value

    def family(self) -> Metric:
        merged = Metric(self._first.name, self._first.documentation, self._first.type)
        merged.samples = [Sample(name, dict(labels), value) for (name, labels), value in self._values.items()]
        return merged


class _Given(Collector):
    """Exposes families as they are given, once."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _parse(text: bytes) -> Iterator[Metric]:
    return iter(text_string_to_metric_families(text.decode()))


def _into(families: dict[str, _Merged], family: Metric) -> _Merged:
    return families.setdefault(family.name, _Merged(family))
