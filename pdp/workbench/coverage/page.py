"""Coverage as one page of HTML that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Final

from pdp.core.policy import PolicySnapshot
from pdp.workbench.coverage.measure import Coverage, RuleCoverage, Side

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1c2430;--dim:#667085;--line:#e3e7ee;--paper:#fff;--panel:#f7f8fb;
--good:#1a7f4b;--good-bg:#dff3e7;--part:#8a5a00;--part-bg:#fdefcf;--bad:#b42318;--bad-bg:#fde4e1}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--dim:#98a2b3;--line:#2b3342;--paper:#12161d;--panel:#191f29;
--good:#6fd3a0;--good-bg:#173527;--part:#f2c464;--part-bg:#3a2e12;--bad:#ff9b8f;--bad-bg:#43201c}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 24px 80px}h1{font-size:26px;margin:0 0 4px}
h2{font-size:18px;margin:44px 0 12px}p{margin:4px 0}.dim{color:var(--dim)}
code{font:13px/1.7 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:16px;margin-top:24px}
.figure{background:var(--panel);border:1px solid var(--line);border-radius:12px;padding:16px 20px}
.figure b{font-size:30px;font-weight:600;letter-spacing:-.02em}.bar{height:6px;border-radius:3px;
background:var(--line);margin-top:10px;overflow:hidden}.bar i{display:block;height:100%}
.good{color:var(--good)}.bad{color:var(--bad)}.bar .good{background:var(--good)}.bar .bad{background:var(--bad)}
table{border-collapse:collapse;width:100%}th{font-weight:500;color:var(--dim);text-align:left;font-size:13px}
th,td{padding:7px 10px;border-bottom:1px solid var(--line);vertical-align:top}
.scroll{overflow-x:auto}.grid td{text-align:center;font-variant-numeric:tabular-nums;border:2px solid var(--paper);
border-radius:6px;min-width:88px}.grid .full{background:var(--good-bg);color:var(--good)}
.grid .some{background:var(--part-bg);color:var(--part)}.grid .none{background:var(--bad-bg);color:var(--bad)}
mark{border-radius:4px;padding:1px 3px;color:inherit}mark.both{background:var(--good-bg)}
mark.one{background:var(--part-bg)}mark.none{background:var(--bad-bg)}
details{border:1px solid var(--line);border-radius:10px;margin:10px 0;overflow:hidden}
summary{cursor:pointer;padding:10px 14px;background:var(--panel);font-weight:500}
.legend span{margin-right:18px}
"""
_WORDS: Final = {
    "rules": "rules determine a test",
    "sides": "sides of conditions tried",
    "combinations": "of role, action and type tried",
}
_BOTH: Final = 2


def page(coverage: Coverage, policy: PolicySnapshot, thresholds: Mapping[str, float], tests: int) -> str:
    """Write the page.

    Args:
        coverage: what was measured.
        policy: the policy it was measured on.
        thresholds: least percentages.
        tests: how many cases were run.
    """
    figures = "".join(_figure(name, value, thresholds[name]) for name, value in coverage.percentages.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Policy coverage</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        "<body><main>"
        f'<h1>Policy coverage</h1><p class="dim">{tests:,} tests, {len(coverage.rules)} rules, revision '
        f"<code>{escape(policy.revision[:23])}…</code></p>"
        f'<div class="figures">{figures}</div>'
        f"<h2>Who does what to which type of record</h2>{_grid(coverage)}"
        f"<h2>Rules</h2>{_legend()}{_files(coverage)}</main></body></html>\n"
    )


def _figure(name: str, value: float, least: float) -> str:
    style = "good" if value >= least else "bad"
    return (
        f'<div class="figure"><b class="{style}">{value:.1f} %</b><p>{_WORDS[name]}</p>'
        f'<p class="dim">at least {least:g} %</p>'
        f'<div class="bar"><i class="{style}" style="width:{value:.1f}%"></i></div></div>'
    )


def _grid(coverage: Coverage) -> str:
    roles = sorted({role for role, _, _ in coverage.combinations})
    kinds = sorted({kind for _, _, kind in coverage.combinations})
    head = "".join(f"<th>{escape(kind)}</th>" for kind in kinds)
    rows = "".join(
        f"<tr><th>{escape(role)}</th>{''.join(_cell(coverage, role, kind) for kind in kinds)}</tr>" for role in roles
    )
    note = '<p class="dim">Actions that some test tries, of all.</p>'
    return f'{note}<div class="scroll"><table class="grid"><tr><th></th>{head}</tr>{rows}</table></div>'


def _cell(coverage: Coverage, role: str, kind: str) -> str:
    counts = {it[1]: count for it, count in coverage.combinations.items() if it[0] == role and it[2] == kind}
    missing = sorted(action for action, count in counts.items() if not count)
    style = "full" if not missing else "none" if len(missing) == len(counts) else "some"
    title = f"no test: {', '.join(missing)}" if missing else f"{sum(counts.values()):,} tests"
    return f'<td class="{style}" title="{escape(title)}">{len(counts) - len(missing)} / {len(counts)}</td>'


def _legend() -> str:
    return (
        '<p class="dim legend"><span><mark class="both">tried both ways</mark></span>'
        '<span><mark class="one">tried one way</mark></span><span><mark class="none">never mattered</mark></span></p>'
    )


def _files(coverage: Coverage) -> str:
    files: dict[str, list[RuleCoverage]] = {}
    for it in coverage.rules:
        files.setdefault(it.rule.file, []).append(it)
    return "".join(_file(name, rules) for name, rules in files.items())


def _file(name: str, rules: Iterable[RuleCoverage]) -> str:
    found = tuple(rules)
    complete = sum(1 for it in found if it.determined and all(side.tests for side in it.sides))
    rows = "".join(map(_rule, found))
    opened = "" if complete == len(found) else " open"
    style = "good" if complete == len(found) else "bad"
    return (
        f'<details{opened}><summary>{escape(name)} <span class="{style}">{complete} of {len(found)}</span></summary>'
        f"<table><tr><th>rule</th><th>condition</th><th>tests</th></tr>{rows}</table></details>"
    )


def _rule(it: RuleCoverage) -> str:
    rule = it.rule
    style = "good" if it.determined else "bad"
    return (
        f"<tr><td><code>{escape(rule.id)}</code><br>"
        f'<span class="dim">{rule.effect.value}, line {rule.line}</span></td>'
        f'<td><code>{_marked(rule.text, it.sides)}</code></td><td class="{style}">{it.determined:,}</td></tr>'
    )


def _marked(text: str, sides: tuple[Side, ...]) -> str:
    """Give a condition with each comparison marked by the sides that were tried."""
    parts, at = [], 0
    for yes, no in zip(sides[::2], sides[1::2], strict=True):
        tried = (yes.tests > 0) + (no.tests > 0)
        style = "both" if tried == _BOTH else "one" if tried else "none"
        title = f"true in {yes.tests:,} tests, false in {no.tests:,}"
        shown = escape(text[yes.atom.start : yes.atom.end])
        parts += [escape(text[at : yes.atom.start]), f'<mark class="{style}" title="{title}">{shown}</mark>']
        at = yes.atom.end
    return "".join([*parts, escape(text[at:])])
