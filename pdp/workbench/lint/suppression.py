"""Exemptions from findings, written where they apply, each with its reason.

::

    # lint-ignore ignores-posture: the kiosk in the lobby has no posture to report
    p,kiosk-read,...

A comment line speaks for the row or line below it (more comment lines may stand between), a comment behind a line of
YAML for that line. An exemption that exempts nothing is a finding itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pdp.policy.problems import did_you_mean
from pdp.policy.source import Source
from pdp.workbench.files import Span
from pdp.workbench.lint.findings import CODES, SUPPRESSION_MALFORMED, SUPPRESSION_UNUSED, Edit, Finding, found

_COMMENT: Final = re.compile(r"(?m)^(?P<before>[^\n]*?)(?P<comment>#\s*lint-ignore\b(?P<rest>[^\n]*))$")
_REST: Final = re.compile(r"\s+(?P<code>[a-z-]+)\s*:\s*(?P<reason>\S.*?)\s*")
_FORM: Final = "# lint-ignore code: reason"


@dataclass(frozen=True, slots=True)
class Suppression:
    """One exemption: of a code, for what starts on a 1-based line."""

    code: str
    reason: str
    line: int
    comment: Span


@dataclass(frozen=True, slots=True)
class Suppressed:
    """A finding that is exempted, and why."""

    finding: Finding
    reason: str


def suppress(
    sources: Mapping[str, Source], findings: Iterable[Finding]
) -> tuple[tuple[Finding, ...], tuple[Suppressed, ...]]:
    """Part findings into those that stand and those that are exempted; adds findings about exemptions themselves."""
    standing: list[Finding] = []
    exempted: list[Suppressed] = []
    known: dict[tuple[str, str, int], Suppression] = {}
    for source in sources.values():
        for it in _suppressions(source):
            if isinstance(it, Finding):
                standing.append(it)
            else:
                known[source.file, it.code, it.line] = it
    used = set()
    starts = {name: _row_starts(source) for name, source in sources.items()}
    for finding in findings:
        row = starts.get(finding.file, {}).get(finding.line, finding.line)
        suppression = known.get((finding.file, finding.kind.code, row))
        if suppression is None:
            standing.append(finding)
        else:
            used.add(suppression)
            exempted.append(Suppressed(finding, suppression.reason))
    standing += [_unused(it) for it in known.values() if it not in used]
    return tuple(standing), tuple(exempted)


def _suppressions(source: Source) -> Iterator[Suppression | Finding]:
    for comment in _COMMENT.finditer(source.text):
        span = Span(source, comment.start("comment"), comment.end("comment"))
        read = _REST.fullmatch(comment["rest"])
        if not read:
            problem = "an exemption without a code or a reason"
            yield found(SUPPRESSION_MALFORMED, span, problem, f"write {_FORM}")
        elif read["code"] not in CODES:
            problem = f"an exemption from an unknown code, {read['code']!r}"
            yield found(SUPPRESSION_MALFORMED, span, problem, did_you_mean(read["code"], CODES))
        else:
            line, _ = source.at(comment.start())
            own = bool(comment["before"].strip())
            yield Suppression(read["code"], read["reason"], line if own else _next_line(source, line), span)


def _next_line(source: Source, line: int) -> int:
    """Give the first line below that is neither blank nor a comment."""
    lines = source.text.split("\n")
    after = range(line, len(lines))
    return next((at + 1 for at in after if lines[at].strip() and not lines[at].lstrip().startswith("#")), line)


def _row_starts(source: Source) -> Mapping[int, int]:
    """Give for each line within a row of CSV that spans several the line on which the row starts."""
    starts: dict[int, int] = {}
    if not source.file.endswith(".csv"):
        return starts
    quotes, first = 0, 1
    for number, line in enumerate(source.text.split("\n"), 1):
        if quotes % 2 == 0:
            quotes, first = 0, number
            if line.startswith("#"):
                continue
        starts[number] = first
        quotes += line.count('"')
    return starts


def _unused(suppression: Suppression) -> Finding:
    span = suppression.comment
    problem = f"there is no {suppression.code} to exempt here"
    end = span.end + 1 if span.source.text[span.end : span.end + 1] == "\n" else span.end
    start = span.start
    alone = span.source.at(start)[1] == 1
    removal = Edit(Span(span.source, start, end if alone else span.end), "")
    return found(SUPPRESSION_UNUSED, span, problem, "delete the comment", (removal,))
