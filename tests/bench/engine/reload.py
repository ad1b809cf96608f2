"""Decisions while a new snapshot is built beside them."""

from __future__ import annotations

import gc
import statistics
import sys
import threading
import time

import casbin

from pdp.engine import CompiledEnforcer, GiveWay
from tests.bench.engine.policies import ABAC, spread

RULES = 10_000
RELOADS = 100


def measure() -> dict[str, float]:
    """Latency of decisions, one each 0.2 ms, during 100 reloads of 10,000 rules with one rule changed each.

    The interpreter is set as the service sets it while it takes up a policy: brisk switches between threads, and no
    full garbage collection.
    """
    gc.collect()
    gc.freeze()
    switching, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(0.0005)
    gc.set_threshold(*thresholds[:2], 1 << 30)
    case = spread(RULES)
    model = casbin.Model()
    model.load_model_from_text(ABAC)
    current = [CompiledEnforcer(model, case.rows, "strict")]
    request = case.requests["first"]
    done = threading.Event()
    costs: list[float] = []

    def build() -> None:
        for number in range(RELOADS):
            rows = list(case.rows)
            rows[number] = ("p", f"r.sub.age > {1000 + number}", *rows[number][2:])
            started = time.perf_counter()
            current[0] = current[0].recompiled(rows, checkpoint=GiveWay())
            costs.append(time.perf_counter() - started)
        done.set()

    thread = threading.Thread(target=build)
    thread.start()
    latencies: list[float] = []
    while not done.is_set():
        due = time.perf_counter() + 0.0002
        time.sleep(0.0002)
        current[0].match(*request)
        latencies.append(time.perf_counter() - due)
    thread.join()
    sys.setswitchinterval(switching)
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    cuts = statistics.quantiles(latencies, n=1000)
    return {
        "decisions": len(latencies),
        "p50 ms": cuts[499] * 1000,
        "p99 ms": cuts[989] * 1000,
        "p99.9 ms": cuts[998] * 1000,
        "max ms": max(latencies) * 1000,
        "reload median s": statistics.median(costs),
    }
