"""Lint: what is wrong, or likely not meant, in a policy folder."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from pdp.core.policy import PolicySnapshot
from pdp.policy.problems import Problems
from pdp.workbench.files import PolicyFiles
from pdp.workbench.lint.conditions import check_conditions
from pdp.workbench.lint.findings import (
    CONTRADICTED,
    NEVER_MATCHES,
    REFUSED,
    UNREACHABLE,
    UNTESTED_RULE,
    Edit,
    Finding,
    Kind,
    Severity,
    found,
)
from pdp.workbench.lint.fixing import apply_fixes
from pdp.workbench.lint.reach import check_reach
from pdp.workbench.lint.refused import check_loads
from pdp.workbench.lint.safeguards import check_safeguards
from pdp.workbench.lint.settings import Settings, default_settings, read_settings
from pdp.workbench.lint.subject import Subject
from pdp.workbench.lint.suppression import Suppressed, suppress
from pdp.workbench.lint.unused import check_unused

__all__ = [
    "Edit",
    "Finding",
    "Kind",
    "Report",
    "Settings",
    "Severity",
    "Suppressed",
    "apply_fixes",
    "default_settings",
    "lint",
]


@dataclass(frozen=True)
class Report:
    """What lint found.

    Attributes:
        findings: what stands, by file and line.
        suppressed: what is exempted, with the reasons.
    """

    findings: tuple[Finding, ...]
    suppressed: tuple[Suppressed, ...]


def lint(files: PolicyFiles, tested: Collection[str] | None = None) -> Report:
    """Look at a policy folder.

    Args:
        files: the folder.
        tested: ids of the rules that some test reaches; None where that is not known, and not looked at.
    """
    problems = Problems()
    settings = read_settings(files.folder, files.policy, problems) if files.policy else None
    findings = list(check_loads(files))
    findings += [
        Finding(REFUSED, it.file, it.line, max(1, it.column), 1, it.problem, it.help) for it in problems.in_order()
    ]
    if files.policy and settings:
        findings += _checks(Subject(files, files.policy, settings))
        findings += _untested(files, files.policy, tested) if tested is not None else ()
        standing, suppressed = suppress(files.sources, findings)
    else:
        standing, suppressed = tuple(findings), ()
    return Report(tuple(sorted(standing, key=lambda it: (it.file, it.line, it.column, it.kind.code))), suppressed)


def _checks(subject: Subject) -> list[Finding]:
    findings = list(check_conditions(subject))
    never = _rules_of(subject, findings, {NEVER_MATCHES})
    findings += check_reach(subject, never)
    findings += check_safeguards(subject, never | _rules_of(subject, findings, {CONTRADICTED, UNREACHABLE}))
    return [*findings, *check_unused(subject)]


def _rules_of(subject: Subject, findings: Collection[Finding], kinds: set[Kind]) -> frozenset[str]:
    """Give the ids of the rules that findings of some kinds are about."""
    places = {(it.file, it.line) for it in findings if it.kind in kinds}
    if not places:
        return frozenset()
    return frozenset(
        rule.id for rule in subject.policy.rules if any(_spans(subject, rule.index, it) for it in places)
    )


def _spans(subject: Subject, index: int, place: tuple[str, int]) -> bool:
    row = subject.files.rows[index]
    first, _ = row.id.source.at(row.id.start)
    last, _ = row.basis.source.at(row.basis.start)
    return row.id.source.file == place[0] and first <= place[1] <= last


def _untested(files: PolicyFiles, policy: PolicySnapshot, tested: Collection[str]) -> Iterator[Finding]:
    for rule in policy.rules:
        if rule.id not in tested:
            problem = f"no test reaches {rule.id}"
            yield found(UNTESTED_RULE, files.field(rule, "id"), problem, "write a case in tests/ that it decides")
