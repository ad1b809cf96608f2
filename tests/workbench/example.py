"""A small policy that lint finds nothing in: the ground on which a test changes one thing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pdp.core.policy import PolicySnapshot
from pdp.engine.matcher import CompiledEngine
from pdp.policy.model import MODEL
from pdp.workbench.files import PolicyFiles, read_policy
from pdp.workbench.lint import Finding, Report, lint

Change = tuple[str, str, str]
"""A file, a text that stands in it once, and what is to stand there instead."""

SCHEMA: Final = """\
version: 1
subject_types: [user]
actions: [read, update, export]
limits: {clock_skew: 5s, allow_lifetime: 60s, deny_lifetime: 5s}
step_up:
  level: aal
  times: [auth_time]
  levels: [{level: 2, acr: "urn:pdp:aal:2"}]
bindings: {subject: subject, device: device}
subject:
  roles: {type: list, values: [clerk, lead, officer], min_items: 1, sensitivity: clear}
  team: {type: string, sensitivity: clear}
  status: {type: string, values: [active, suspended], sensitivity: clear}
device:
  compliant: {type: bool, sensitivity: clear}
session:
  subject: {type: string}
  device: {type: string}
  aal: {type: int, minimum: 1, maximum: 3, sensitivity: clear}
  risk: {type: int, minimum: 0, maximum: 100, sensitivity: clear}
  auth_time: {type: time, sensitivity: clear}
  vpn: {type: bool, required: false, default: false, sensitivity: clear}
context:
  purpose: {type: string, values: [billing, support, care]}
resources:
  invoice:
    team: {type: string, sensitivity: clear}
    amount: {type: int, minimum: 0, sensitivity: clear}
    owner: {type: string}
    tags: {type: list, values: [draft, final, disputed], sensitivity: clear}
  health_note:
    team: {type: string, sensitivity: clear}
    sealed: {type: bool, sensitivity: clear}
    state: {type: string, values: [open, closed], required: false, default: open, sensitivity: clear}
# end
"""

OBLIGATIONS: Final = """\
version: 1
obligations:
  mask-text: {type: mask, properties: {field: diagnosis}}
  watermark: {type: watermark}
  alert: {type: notify, mandatory: false}
# end
"""

ROUTES: Final = """\
version: 1
routes:
  - {method: GET, path: "/invoices/{id}", action: read, resource: "invoice:{id}", purpose: billing}
  - {method: GET, path: "/notes/{id}", action: read, resource: "health_note:{id}", purpose: care}
# end
"""

RULES: Final = """\
# Floors for everybody.
p,floor-posture,*,*,*,!r.device.compliant,deny,alert,"Tenet 5"
p,floor-status,*,*,*,r.subject.status != 'active',deny,,"Leavers"
p,floor-age,*,*,*,r.context.time - r.session.auth_time > 3600,deny,,"Sign in hourly"
p,note-mfa,*,*,health_note,r.session.aal < 2 || r.session.risk >= 80 && !r.session.vpn,deny,,"HIPAA"
p,note-sealed,*,*,health_note,r.resource.sealed && r.resource.state == 'open',deny,,"Sealed"

p,invoice-read,clerk,read,invoice,r.context.purpose == 'billing' && r.resource.team == r.subject.team,allow,,"Billing"
p,invoice-own,clerk,change,invoice,r.resource.owner == r.subject.id && r.resource.amount <= 1000,allow,,"Own work"
p,invoice-big,lead,change,invoice,"r.resource.amount <= 5000 && !('disputed' in r.resource.tags)",allow,watermark,x
p,note-read,lead,read,health_note,r.context.purpose == 'care' && r.resource.team == r.subject.team,allow,mask-text,x
p,note-out,officer,export,health_note,r.context.purpose == 'care',allow,,"Officer"
# end
"""

LINKS: Final = """\
g,lead,clerk
g2,update,change
g2,export,change
# end
"""

FILES: Final[Mapping[str, str]] = {
    "model.conf": MODEL,
    "schema.yaml": SCHEMA,
    "obligations.yaml": OBLIGATIONS,
    "routes.yaml": ROUTES,
    "policy/links.csv": LINKS,
    "policy/rules.csv": RULES,
}


def write(folder: Path, *changes: Change, files: Mapping[str, str] | None = None) -> Path:
    """Write the policy into a folder.

    Args:
        folder: where to.
        changes: file, a text that stands there once, and what is to stand there instead.
        files: further files, or whole contents that replace some.
    """
    texts = {**FILES, **(files or {})}
    for name, old, new in changes:
        assert texts[name].count(old) == 1, f"{old!r} stands {texts[name].count(old)} times in {name}"
        texts[name] = texts[name].replace(old, new)
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def add_rule(row: str) -> Change:
    """Give the change that adds a rule at the end."""
    return ("policy/rules.csv", "# end", f"{row}\n# end")


def opened(folder: Path, *changes: Change, files: Mapping[str, str] | None = None) -> PolicyFiles:
    """Write the policy and read it, with an engine."""
    return read_policy(write(folder, *changes, files=files), CompiledEngine())


def policy_of(folder: Path, *changes: Change) -> PolicySnapshot:
    """Write the policy and give its revision."""
    policy = opened(folder, *changes).policy
    assert policy is not None
    return policy


def report_of(folder: Path, *changes: Change, files: Mapping[str, str] | None = None) -> Report:
    """Write the policy and lint it."""
    return lint(opened(folder, *changes, files=files))


def place_of(finding: Finding, folder: Path) -> str:
    """Give the text that a finding underlines."""
    line = (folder / finding.file).read_text().split("\n")[finding.line - 1]
    return line[finding.column - 1 : finding.column - 1 + finding.length]


def place(text: str, needle: str) -> tuple[int, int]:
    """Give the line and column of the last place where a text stands."""
    before = text[: text.rindex(needle)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")
