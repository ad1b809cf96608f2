"""The access review as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from pdp.audit.report import Access, Review

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f27;--soft:#5b6472;--line:#e2e6ec;--page:#f5f6f8;--card:#fff;--allow:#1a7f52;
--deny:#b93a32;--warn:#a8690a;--track:#edf0f4}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaee;--soft:#9aa4b2;--line:#2c323c;--page:#14171c;--card:#1c2027;
--allow:#4cc38a;--deny:#f2776d;--warn:#e0a545;--track:#2a303a}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:40px 24px 64px}h1{font-size:28px;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:18px;margin:40px 0 12px}h2 small{font-weight:400;color:var(--soft)}p{margin:0;color:var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:28px 0 0}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:10px}.tile{padding:14px 16px}
.tile b{display:block;font-size:26px;font-variant-numeric:tabular-nums;line-height:1.2}.tile span{color:var(--soft)}
.allow{color:var(--allow)}.deny{color:var(--deny)}.warn{color:var(--warn)}.card{overflow-x:auto}
table{border-collapse:collapse;width:100%}th,td{padding:9px 14px;text-align:left;border-top:1px solid var(--line);
vertical-align:top}thead th{border-top:0;font-weight:600;font-size:12px;color:var(--soft);white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}code{font:13px ui-monospace,Menlo,Consolas,monospace;
overflow-wrap:anywhere}td small{color:var(--soft);white-space:nowrap}
.bar{display:flex;height:8px;width:120px;border-radius:4px;overflow:hidden;background:var(--track);margin-top:7px}
.bar i{display:block;background:var(--allow)}.bar i+i{background:var(--deny)}footer{margin-top:40px;font-size:13px}
@media print{body{background:#fff}main{max-width:none;padding:0}.card,.tile{break-inside:avoid}}
"""


def html_page(result: Review, origin: str, made: str, verified: str) -> str:
    """The page.

    Args:
        result: the review.
        origin: the log's name.
        made: when the page was made, RFC 3339.
        verified: what was found when the log was verified, in a sentence.
    """
    period = f"{result.since or 'the beginning of the log'} to {result.until or made}"
    classes = "".join(_class_section(name, rows) for name, rows in result.classes())
    empty = "" if classes else '<div class="card"><table><tr><td>No decision in this period.</td></tr></table></div>'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Access review: {escape(origin)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>Access review</h1><p>{escape(origin)} &middot; {escape(period)}</p>{_tiles(result)}{classes}{empty}"
        f"{_counts('Why access was denied', 'Reason', result.reasons)}"
        f"{_counts('Policy revisions in force', 'Revision', result.revisions)}"
        f"<footer><p>Made {escape(made)}. {escape(verified)} Identifiers are shown as they are logged: "
        "<code>~key:&hellip;</code> is a pseudonym.</p></footer></main></body></html>\n"
    )


def _tiles(result: Review) -> str:
    tiles = [
        ("", f"{result.allowed + result.denied:,}", "decisions"),
        ("allow", f"{result.allowed:,}", "allowed"),
        ("deny", f"{result.denied:,}", "denied"),
        ("warn" if result.emergency else "", f"{result.emergency:,}", "under emergency claim"),
        ("", f"{result.subjects:,}", "subjects"),
        ("", f"{len(result.classes()):,}", "classes of data"),
    ]
    cells = "".join(
        f'<div class="tile"><b class="{style}">{value}</b><span>{name}</span></div>' for style, value, name in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def _class_section(name: str, rows: Sequence[tuple[str, Access]]) -> str:
    head = (
        '<thead><tr><th>Subject</th><th class="n">Allowed</th><th class="n">Denied</th><th></th>'
        '<th class="n">Resources</th><th>Actions</th><th>Purposes</th><th>First and last</th></tr></thead>'
    )
    body = "".join(_row(subject, access) for subject, access in rows)
    people = "subject" if len(rows) == 1 else "subjects"
    return (
        f"<h2>{escape(name)} <small>&middot; {len(rows):,} {people}</small></h2>"
        f'<div class="card"><table>{head}<tbody>{body}</tbody></table></div>'
    )


def _row(subject: str, access: Access) -> str:
    total = access.allowed + access.denied
    share = 100 * access.allowed / total
    emergency = (
        f'<br><small class="warn">{access.emergency:,} under emergency claim</small>' if access.emergency else ""
    )
    return (
        f"<tr><td><code>{escape(subject)}</code>{emergency}</td>"
        f'<td class="n allow">{access.allowed:,}</td><td class="n deny">{access.denied:,}</td>'
        f'<td><div class="bar"><i style="width:{share:.1f}%"></i><i style="width:{100 - share:.1f}%"></i></div></td>'
        f'<td class="n">{len(access.resources):,}</td><td>{_words(access.actions)}</td>'
        f"<td>{_words(access.purposes)}</td>"
        f"<td><small>{escape(_minute(access.first))}<br>{escape(_minute(access.last))}</small></td></tr>"
    )


def _words(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return "<br>".join(f"{escape(word)} <small>{count:,}</small>" for word, count in ordered)


def _minute(time: str) -> str:
    return time[:16].replace("T", " ") + " UTC"


def _counts(title: str, column: str, counts: Counter[str]) -> str:
    if not counts:
        return ""
    cells = [(escape(name), f"{count:,}") for name, count in counts.most_common()]
    rows = "".join(f'<tr><td><code>{name}</code></td><td class="n">{count}</td></tr>' for name, count in cells)
    head = f'<thead><tr><th>{column}</th><th class="n">Decisions</th></tr></thead>'
    return f'<h2>{title}</h2><div class="card"><table>{head}<tbody>{rows}</tbody></table></div>'
