"""The compiled engine beside pycasbin and Cedar: the same policies, requests and decisions, in one run.

Run: python -m tests.bench.engine [--quick] [--json build/bench-engine.json]
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import casbin
from rich.console import Console
from rich.table import Table

from pdp.engine import CompiledEnforcer, RowsAdapter
from tests.bench.engine import cedar, contact_centre, reload
from tests.bench.engine.measure import bytes_of, median_us, timed
from tests.bench.engine.policies import Case, one_bucket, rbac, spread

SIZES = (10, 100, 1_000, 10_000, 100_000)
PEER_LIMIT = 10_000
Result = dict[str, Any]


def _model(text: str) -> casbin.Model:
    model = casbin.Model()
    model.load_model_from_text(text)
    return model


def measure_case(case: Case) -> list[Result]:
    """Every request of a case on every engine; all must give the expected decision."""
    strict, seconds = timed(lambda: CompiledEnforcer(_model(case.model), case.rows, "strict"))
    exact = CompiledEnforcer(_model(case.model), RowsAdapter(case.rows), "exact")
    reference = casbin.Enforcer(_model(case.model), RowsAdapter(case.rows)) if case.rules <= PEER_LIMIT else None
    results = []
    for which, request in case.requests.items():
        calls: dict[str, Callable[[], Any] | None] = {
            "match": lambda request=request: strict.match(*request),
            "strict": lambda request=request: strict.enforce(*request),
            "exact": lambda request=request: exact.enforce(*request),
            "pycasbin": reference and (lambda request=request: reference.enforce(*request)),
            "cedar": cedar.decide(case, which) if case.rules <= PEER_LIMIT else None,
        }
        result: Result = {"policy": case.name, "rules": case.rules, "request": which, "compile_s": seconds}
        for engine, call in calls.items():
            if call is not None:
                _check(call(), case.expected[which], engine)
                result[engine] = median_us(call)
        results.append(result)
    return results


def _check(answer: object, expected: bool, engine: str) -> None:  # noqa: FBT001
    if bool(answer) is not expected:
        raise SystemExit(f"{engine} answers {answer!r}, expected {expected}")


def memory(rules: int = 10_000) -> Result:
    """Bytes a rule, without the text of the rows, which the caller brings."""
    found: Result = {"rules": rules}
    for case in (spread(rules), one_bucket(rules), rbac(rules)):
        enforcer, size = bytes_of(lambda case=case: CompiledEnforcer(_model(case.model), case.rows, "strict"))
        for request in case.requests.values():
            enforcer.match(*request)
        found[case.name] = size / rules
    return found


def compile_seconds(rules: int = 10_000) -> Result:
    """Seconds to compile, from rows in memory."""
    return {
        case.name: timed(lambda case=case: CompiledEnforcer(_model(case.model), case.rows, "strict"))[1]
        for case in (spread(rules), one_bucket(rules), rbac(rules))
    } | {"rules": rules}


def print_decisions(console: Console, results: list[Result]) -> None:
    """The decisions as a table, with ratios to each peer."""
    table = Table(title="one decision, median, microseconds; in brackets: times the compiled engine (strict)")
    for heading in ("policy", "rules", "match", "match()", "strict", "exact", "pycasbin", "cedar"):
        table.add_column(heading, justify="left" if heading in {"policy", "match"} else "right")
    for result in results:
        cells = [result["policy"], f"{result['rules']:,}", result["request"]]
        cells += [f"{result[engine]:.2f}" for engine in ("match", "strict", "exact")]
        for peer in ("pycasbin", "cedar"):
            cost = result.get(peer)
            cells.append("-" if cost is None else f"{cost:,.0f} ({cost / result['strict']:,.0f}x)")
        table.add_row(*cells)
    console.print(table)


def growth(results: list[Result]) -> dict[str, float]:
    """By policy, the cost of the slowest request at the most rules, over that at the fewest."""
    found = {}
    for name in {result["policy"] for result in results}:
        costs: dict[int, list[float]] = {}
        for result in results:
            if result["policy"] == name:
                costs.setdefault(result["rules"], []).append(result["match"])
        found[name] = max(costs[max(costs)]) / max(costs[min(costs)])
    return found


def main() -> int:
    """Measure everything, print it, write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("build/bench-engine.json"))
    parser.add_argument("--quick", action="store_true", help="up to 1,000 rules")
    arguments = parser.parse_args()
    sizes = SIZES[:3] if arguments.quick else SIZES
    console = Console(width=150)
    results = [result for size in sizes for make in (spread, one_bucket, rbac) for result in measure_case(make(size))]
    print_decisions(console, results)
    report = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "decisions": results,
        "growth": growth(results),
        "memory_bytes_per_rule": memory(),
        "compile_seconds": compile_seconds(),
        "contact_centre": contact_centre.measure(),
        "reload": reload.measure(),
    }
    for name in ("growth", "memory_bytes_per_rule", "compile_seconds", "contact_centre", "reload"):
        console.print(f"[bold]{name}[/]: " + ", ".join(f"{key} {value:,.3g}" for key, value in report[name].items()))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {arguments.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
