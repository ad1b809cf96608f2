"""What lint can find: each kind of finding, how grave it is, and why it matters."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from pdp.workbench.files import Span


class Severity(enum.StrEnum):
    """``ERROR``: the policy does not do what it says. ``WARNING``: it is likely not meant, or will mislead."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding.

    Attributes:
        code: its name, for suppressions and reports.
        severity: how grave it is.
        why: why it matters, in a sentence.
    """

    code: str
    severity: Severity
    why: str


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement of a stretch of one file's text."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found.

    Attributes:
        kind: what kind of thing.
        file: path relative to the policy folder.
        line: 1-based; 0 where the file as a whole is meant.
        column: 1-based, in characters; 0 where the line as a whole is meant.
        length: how many characters of the line are meant, at least 1.
        problem: what was found.
        help: how to mend it.
        fix: the mending, where it is mechanical.
    """

    kind: Kind
    file: str
    line: int
    column: int
    length: int
    problem: str
    help: str
    fix: tuple[Edit, ...] = ()


REFUSED: Final = Kind("refused", Severity.ERROR, "the service refuses the whole folder and keeps the last good one")
NEVER_MATCHES: Final = Kind(
    "never-matches", Severity.ERROR, "no request can satisfy the condition, so the rule does nothing"
)
CONSTANT_PART: Final = Kind(
    "constant-part", Severity.WARNING, "a test whose outcome is fixed by the schema protects nothing"
)
REDUNDANT_PART: Final = Kind(
    "redundant-part", Severity.WARNING, "what another part already requires hides which test it is that protects"
)
REDUNDANT_COMPARISON: Final = Kind(
    "redundant-comparison", Severity.WARNING, "a truth compared with True reads like a test of something else"
)
NEGATED_OPTIONAL: Final = Kind(
    "negated-optional",
    Severity.WARNING,
    "where the attribute is absent its default stands in, and the negation turns that in favour of access",
)
CONTRADICTED: Final = Kind(
    "contradicted", Severity.ERROR, "a deny wins, so whoever reads the allow believes in access that nobody has"
)
UNREACHABLE: Final = Kind(
    "unreachable", Severity.ERROR, "denies cover all that it allows, so it never allows anything"
)
SHADOWED: Final = Kind(
    "shadowed", Severity.WARNING, "a broader rule always decides instead, so a change of this one changes nothing"
)
UNUSED_ROLE: Final = Kind("unused-role", Severity.WARNING, "who holds it is denied everything, most likely unawares")
UNUSED_ACTION: Final = Kind("unused-action", Severity.WARNING, "no rule allows it, so asking for it is in vain")
UNUSED_TYPE: Final = Kind("unused-resource-type", Severity.WARNING, "no rule allows anything on it")
UNUSED_ATTRIBUTE: Final = Kind(
    "unused-attribute", Severity.WARNING, "data is collected and kept that no decision needs (GDPR 5(1)(c))"
)
UNUSED_OBLIGATION: Final = Kind(
    "unused-obligation", Severity.WARNING, "it reads like a protection that is in place, and no rule imposes it"
)
UNUSED_ROUTE: Final = Kind("unused-route", Severity.WARNING, "every request over this route is denied")
UNTESTED_RULE: Final = Kind(
    "untested-rule", Severity.WARNING, "a change that breaks the rule would not be noticed before it ships"
)
SENSITIVE_WITHOUT_ASSURANCE: Final = Kind(
    "sensitive-without-assurance",
    Severity.ERROR,
    "a stolen password is enough to reach cardholder or health data (PCI DSS 8.4.2, HIPAA 164.312(d))",
)
SENSITIVE_WITHOUT_PURPOSE: Final = Kind(
    "sensitive-without-purpose",
    Severity.ERROR,
    "data is shown whatever it is wanted for (GDPR 5(1)(b), HIPAA 164.502(b))",
)
IGNORES_POSTURE: Final = Kind(
    "ignores-posture", Severity.ERROR, "a device in any state gets the data (NIST SP 800-207 tenet 5)"
)
SUPPRESSION_UNUSED: Final = Kind(
    "suppression-unused", Severity.WARNING, "an exemption that is left standing hides the next real finding"
)
SUPPRESSION_MALFORMED: Final = Kind(
    "suppression-malformed", Severity.ERROR, "an exemption without a known code and a reason cannot be reviewed"
)
CODES: Final = frozenset(it.code for it in list(globals().values()) if isinstance(it, Kind))


def found(kind: Kind, span: Span, problem: str, help_: str, fix: tuple[Edit, ...] = ()) -> Finding:
    """Make a finding that stands at a span; what is underlined ends with the line."""
    line, column = span.source.at(span.start)
    text = span.source.text[span.start : span.end].split("\n", 1)[0].rstrip()
    return Finding(kind, span.source.file, line, column, max(1, len(text)), problem, help_, fix)
