"""Prometheus metrics of all workers, from any one of them.

With several workers the supervisor sets ``PROMETHEUS_MULTIPROC_DIR`` before a worker starts, and
prometheus_client keeps every value in a file there. Counters and histograms add up, over crashes too. A gauge
states its own rule with ``multiprocess_mode``; custom collectors and ``Info`` are not collected.
"""

from __future__ import annotations

import os

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition() -> bytes:
    """What ``/metrics`` answers: the text format, all workers added up."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
