"""Applying the mendings of findings to texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pdp.workbench.lint.findings import Edit, Finding


def apply_fixes(findings: Iterable[Finding]) -> Mapping[str, str]:
    """Give the new text of each file that some finding's mending changes.

    Of mendings that overlap only the first is applied; the others are found again in what it leaves.
    """
    by_file: dict[str, list[Edit]] = {}
    for finding in findings:
        for edit in finding.fix:
            by_file.setdefault(edit.span.source.file, []).append(edit)
    return {file: _applied(edits) for file, edits in by_file.items()}


def _applied(edits: list[Edit]) -> str:
    text = edits[0].span.source.text
    parts: list[str] = []
    at = 0
    for edit in sorted(edits, key=lambda it: it.span.start):
        if edit.span.start >= at:
            parts += [text[at : edit.span.start], edit.text]
            at = edit.span.end
    return "".join(parts) + text[at:]
