"""The measurement as a table, as JSON and as a chart."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

Row = dict[str, Any]
"""One server under one load: server, load, kind, per_second, p50, p95, p99 (µs), cpu (µs a decision), and where the
server is ours to look at: cpu_seconds, rss_largest, rss_total (MiB), ready (s)."""

_COLUMNS = (
    ("decisions/s", "per_second", "{:,.0f}"),
    ("p50 ms", "p50", "{:.2f}"),
    ("p95 ms", "p95", "{:.2f}"),
    ("p99 ms", "p99", "{:.2f}"),
    ("CPU s", "cpu_seconds", "{:.2f}"),
    ("CPU µs each", "cpu", "{:.1f}"),
    ("RSS MiB", "rss_total", "{:.0f}"),
    ("largest", "rss_largest", "{:.0f}"),
)


def show(rows: Sequence[Row], baseline: str, console: Console) -> None:
    """Print a table for each load, with the ratio of throughput to the baseline server's."""
    for load in dict.fromkeys(row["load"] for row in rows):
        chosen = [row for row in rows if row["load"] == load]
        base = next((row for row in chosen if row["server"] == baseline), None)
        table = Table(title=load, title_justify="left")
        table.add_column("server")
        for title, _, _ in _COLUMNS:
            table.add_column(title, justify="right")
        table.add_column(f"x {baseline}", justify="right")
        for row in chosen:
            cells = [form.format(row[key]) if row.get(key) is not None else "" for _, key, form in _COLUMNS]
            ratio = f"{row['per_second'] / base['per_second']:.2f}" if base else ""
            table.add_row(row["server"], *cells, ratio)
        console.print(table)


def write(rows: Sequence[Row], folder: Path, facts: Row) -> tuple[Path, Path]:
    """Write ``dataplane.json`` and ``dataplane.png``; give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    data, chart = folder / "dataplane.json", folder / "dataplane.png"
    machine = {"cpus": psutil.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    data.write_text(json.dumps({**facts, **machine, "rows": list(rows)}, indent=1) + "\n")
    _draw(rows, chart)
    return data, chart


def _draw(rows: Sequence[Row], file: Path) -> None:
    import matplotlib as mpl  # noqa: PLC0415 - a second to import, and only the end of a run needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    loads = list(dict.fromkeys(row["load"] for row in rows))
    servers = list(dict.fromkeys(row["server"] for row in rows))
    colours = dict(zip(servers, plt.get_cmap("tab10").colors, strict=False))
    figure, axes = plt.subplots(2, len(loads), figsize=(3.4 * len(loads), 6.4), squeeze=False)
    for column, load in enumerate(loads):
        chosen = [row for row in rows if row["load"] == load]
        names = [row["server"] for row in chosen]
        paints = [colours[name] for name in names]
        axes[0][column].bar(names, [row["per_second"] for row in chosen], color=paints)
        axes[0][column].set_title(load, fontsize=9)
        for key, shade in (("p99", 0.45), ("p50", 1.0)):
            axes[1][column].bar(names, [row[key] or 0 for row in chosen], color=paints, alpha=shade)
        for axis in (axes[0][column], axes[1][column]):
            axis.tick_params(axis="x", rotation=30, labelsize=7)
            axis.tick_params(axis="y", labelsize=7)
    axes[0][0].set_ylabel("decisions a second")
    axes[1][0].set_ylabel("ms a call: p50 dark, p99 light")
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    plt.close(figure)
