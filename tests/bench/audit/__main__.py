"""The decision log measured: appending beside plain JSON lines and SQLite, verifying, searching, recovering.

Run: python -m tests.bench.audit [--quick] [--records 5000000] [--segment-gigabytes 1] [--json build/bench-audit.json]

Latency is added latency: from the call of append to its return, in the coroutine that awaits it. CPU is of the whole
process, background threads included. Peers promise the same durability and prove nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.audit import appending, reading
from tests.bench.audit.measure import Result


def show(console: Console, results: list[Result]) -> None:
    table = Table(title="decision log", title_justify="left")
    for name in ("what", "measured", "beside"):
        table.add_column(name)
    for result in results:
        table.add_row(result.what, result.measured, result.beside)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute or so: smaller logs")
    parser.add_argument("--records", type=int, default=0, help="records to verify and search")
    parser.add_argument("--segment-gigabytes", type=float, default=0.0, help="size of the segment to recover")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    records = options.records or (300_000 if options.quick else 5_000_000)
    gigabytes = options.segment_gigabytes or (0.05 if options.quick else 1.0)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="pdp-bench-audit-") as folder:
        results += appending.measure(Path(folder), 8_000 if options.quick else 40_000)
        results += reading.measure(Path(folder), records)
        results += reading.measure_recovery(Path(folder), gigabytes)
    show(Console(), results)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        value = {"python": platform.python_version(), "results": {r.what: r.figures for r in results}}
        options.json.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
