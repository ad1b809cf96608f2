"""The access review as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.

It is made to be read from the top: whether the log can be relied on, what there was in all, what was done under an
emergency claim, then each class of data subject by subject. On paper, heads repeat, rows stay whole, and there is a
place for the reviewer's signature.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from pdp.audit.report import Access, Emergency, Review
from pdp.audit.report_style import STYLE

Rows = Sequence[tuple[str, Access]]

_NOTES = (
    "Times are UTC. Identifiers are shown as they are logged: <code>~key:&hellip;</code> is a pseudonym. A subject "
    "who asked for data of several classes is in each of them."
)
_SIGN_OFF = '<div class="signoff"><span>Reviewed by</span><span>Signature</span><span>Date</span></div>'


def html_page(result: Review, origin: str, made: str, verdict: str, *, sound: bool) -> str:
    """The page.

    Args:
        result: the review.
        origin: the log's name.
        made: when the page was made, RFC 3339.
        verdict: what was found when the log was verified, in a sentence.
        sound: whether that was nothing wrong.
    """
    period = f"{_day(result.since) or 'the beginning of the log'} to {_day(result.until or made)}"
    classes = result.classes()
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>Access review: {escape(origin)}</title><style>{STYLE}</style></head><body><main>",
        f"<h1>Access review</h1><p>{escape(origin)} &middot; {escape(period)}</p>",
        f'<p class="verdict{"" if sound else " bad"}">{escape(verdict)}</p>{_tiles(result)}',
        _summary(classes) if classes else '<p class="card empty">No decision in this period.</p>',
        _emergencies(result.emergencies),
        *(_class_section(number, name, rows) for number, (name, rows) in enumerate(classes)),
        _counts("Why access was denied", "Reason", result.reasons),
        _counts("Policy revisions in force", "Revision", result.revisions),
        f"<footer><p>Made {escape(_minute(made))} UTC. {_NOTES}</p>{_SIGN_OFF}</footer>",
        "</main></body></html>\n",
    ]
    return "".join(parts)


def _tiles(result: Review) -> str:
    tiles = [
        ("", result.allowed + result.denied, "decisions"),
        ("allow", result.allowed, "allowed"),
        ("deny", result.denied, "denied"),
        ("warn", result.emergency, "emergency claims"),
        ("", result.subjects, "subjects"),
        ("", len(result.classes()), "classes of data"),
    ]
    cells = "".join(
        f'<div class="tile"><b class="{style if count else "zero"}">{count:,}</b><span>{name}</span></div>'
        for style, count, name in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def _table(heads: Iterable[tuple[str, str]], rows: Iterable[str], foot: str = "") -> str:
    """A table of `(class, title)` columns."""
    head = "".join(f'<th class="{style}">{title}</th>' if style else f"<th>{title}</th>" for style, title in heads)
    return (
        f'<div class="card"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody>{foot}</table></div>'
    )


def _summary(classes: Sequence[tuple[str, Rows]]) -> str:
    heads = [("", "Class of data"), ("n", "Subjects"), *_COUNTED, ("n", "Emergency")]
    rows = []
    for number, (name, people) in enumerate(classes):
        allowed, denied, emergency = _sums(people)
        rows.append(
            f'<tr><td class="id"><a href="#c{number}">{escape(name)}</a></td><td class="n">{len(people):,}</td>'
            f'{_outcomes(allowed, denied)}<td class="n">{_count(emergency, "warn")}</td></tr>'
        )
    return f"<h2>Classes of data</h2>{_table(heads, rows)}"


_COUNTED = (("n", "Allowed"), ("n", "Denied"), ("", ""))


def _sums(rows: Rows) -> tuple[int, int, int]:
    accesses = [access for _, access in rows]
    return sum(a.allowed for a in accesses), sum(a.denied for a in accesses), sum(a.emergency for a in accesses)


def _outcomes(allowed: int, denied: int) -> str:
    share = 100 * allowed / (allowed + denied)
    return (
        f'<td class="n">{_count(allowed, "allow")}</td><td class="n">{_count(denied, "deny")}</td>'
        f'<td><div class="bar"><i style="width:{share:.1f}%"></i><i style="width:{100 - share:.1f}%"></i></div></td>'
    )


def _count(count: int, style: str) -> str:
    return f'<span class="{style if count else "zero"}">{count:,}</span>'


def _emergencies(found: Sequence[Emergency]) -> str:
    """Each emergency claim by itself: every one of them is to be reviewed."""
    if not found:
        return ""
    heads = [("", "Time"), ("", "Subject"), ("", "Access"), ("", "Outcome"), ("", "Reason given"), ("", "Decision")]
    rows = [
        f'<tr><td class="when">{escape(_minute(one.time))}</td><td class="id"><code>{escape(one.subject)}</code></td>'
        f'<td class="words">{escape(one.action)} &middot; {escape(one.data_class)}<br>'
        f"<code>{escape(one.resource)}</code></td>"
        f'<td class="{"allow" if one.outcome == "allow" else "deny"}">{escape(one.outcome)}</td>'
        f'<td class="words">{escape(one.reason)}</td><td><code>{escape(one.decision_id)}</code></td></tr>'
        for one in sorted(found)
    ]
    return (
        f"<h2>Emergency claims <small>&middot; {len(found):,}, each to be reviewed</small></h2>{_table(heads, rows)}"
    )


def _class_section(number: int, name: str, rows: Rows) -> str:
    heads = [
        ("", "Subject"),
        *_COUNTED,
        ("n", "Resources"),
        ("", "Actions"),
        ("", "Purposes"),
        ("", "First and last"),
    ]
    allowed, denied, _ = _sums(rows)
    foot = f'<tfoot><tr><td>All</td>{_outcomes(allowed, denied)}<td colspan="4"></td></tr></tfoot>'
    people = "subject" if len(rows) == 1 else "subjects"
    return (
        f'<h2 id="c{number}">{escape(name)} <small>&middot; {len(rows):,} {people}</small></h2>'
        f"{_table(heads, (_row(subject, access) for subject, access in rows), foot)}"
    )


def _row(subject: str, access: Access) -> str:
    emergency = f'<br><small class="warn">{access.emergency:,} under emergency claim</small>'
    return (
        f'<tr><td class="id"><code>{escape(subject)}</code>{emergency if access.emergency else ""}</td>'
        f'{_outcomes(access.allowed, access.denied)}<td class="n">{len(access.resources):,}</td>'
        f'<td class="words">{_words(access.actions)}</td><td class="words">{_words(access.purposes)}</td>'
        f'<td class="when">{escape(_minute(access.first))}<br>{escape(_minute(access.last))}</td></tr>'
    )


def _words(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return " ".join(f'<span class="word">{escape(word)} <small>{count:,}</small></span>' for word, count in ordered)


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _day(time: str) -> str:
    """A time as a person writes it: the date alone where it is midnight."""
    shown = _minute(time)
    return shown.removesuffix(" 00:00") if len(shown) > len("2026-01-31") else shown


def _counts(title: str, column: str, counts: Counter[str]) -> str:
    if not counts:
        return ""
    rows = [
        f'<tr><td><code>{escape(name)}</code></td><td class="n">{count:,}</td></tr>'
        for name, count in counts.most_common()
    ]
    return f"<h2>{title}</h2>{_table([('', column), ('n', 'Decisions')], rows)}"
