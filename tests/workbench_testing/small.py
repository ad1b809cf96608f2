"""A small policy folder with tests of its own: the ground on which a test changes one thing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pdp.core.errors import PolicyInvalidError, PolicyProblem
from pdp.core.policy import PolicySnapshot
from pdp.engine.matcher import CompiledEngine
from pdp.policy import load
from pdp.policy.model import MODEL
from pdp.workbench.testing import Result, Suite, read_suites, run

NOW: Final = 1768471200.0  # 2026-01-15T10:00:00Z

SCHEMA: Final = """\
version: 1
subject_types: [user]
actions: [read, update]
limits: {clock_skew: 5s, allow_lifetime: 60s, deny_lifetime: 5s}
subject:
  roles: {type: list, values: [clerk, lead], min_items: 1, max_age: 24h, sensitivity: clear}
  team: {type: string, sensitivity: clear}
device:
  compliant: {type: bool, max_age: 15m, sensitivity: clear}
session:
  aal: {type: int, minimum: 1, maximum: 3, sensitivity: clear}
context:
  purpose: {type: string, values: [billing, support, audit]}
resources:
  invoice:
    team: {type: string, sensitivity: clear}
    made_at: {type: time, sensitivity: clear}
  health_note:
    team: {type: string, sensitivity: clear}
# end
"""

RULES: Final = """\
p,floor-posture,*,*,*,!r.device.compliant,deny,alert,Posture
p,note-mfa,*,*,health_note,r.session.aal < 2,deny,,HIPAA
p,invoice-read,clerk,read,invoice,"r.context.purpose in ('billing', 'support')
    && r.context.time - r.resource.made_at <= 86400",allow,mask,Billing
p,note-read,lead,read,health_note,r.resource.team == r.subject.team,allow,mask;watermark,Care
g,lead,clerk
g3,health_note,special
p,special-update,lead,update,special,r.session.aal >= 3,allow,,Care
# end
"""

OBLIGATIONS: Final = """\
version: 1
obligations:
  mask: {type: mask}
  watermark: {type: watermark}
  alert: {type: notify, mandatory: false}
# end
"""

ROUTES: Final = """\
version: 1
routes:
  - {method: GET, path: "/invoices/{id}", action: read, resource: "invoice:{id}"}
# end
"""

HEAD: Final = """\
version: 1
now: 2026-01-15T10:00:00Z
subjects:
  user:ann: {roles: [clerk], team: north}
  user:leo: {roles: [lead], team: north}
devices:
  d-1: {compliant: true}
  d-2: {compliant: false}
sessions:
  s-1: {aal: 1}
  s-2: {aal: 2}
  s-3: {aal: 3}
resources:
  invoice:i-1: {team: north, made_at: "-1h"}
  health_note:n-1: {team: north}
defaults: {subject: user:ann, action: read, resource: invoice:i-1, session: s-2, device: d-1, purpose: billing}
"""

CASES: Final = """\
cases:
  - name: a clerk reads an invoice
    each: {purpose: [billing, support]}
    expect: {effect: allow, reasons: [PERMITTED(invoice-read)], obligations: [mask]}
  - name: for work alone
    request: {purpose: audit}
    expect: {effect: deny, reasons: [NO_MATCHING_PERMIT]}
  - name: of today
    given: {resource/invoice:i-1: {made_at: "-24h"}}
    expect: {effect: allow, valid_for: 0}
  - name: and not of yesterday
    given: {resource/invoice:i-1: {made_at: "-86401s"}}
    expect: {effect: deny, reasons: [NO_MATCHING_PERMIT]}
  - name: on a device in order
    request: {device: d-2}
    expect: {effect: deny, reasons: [DENIED_BY_RULE(floor-posture)], obligations: [alert]}
  - name: a lead reads the team's note
    request: {subject: user:leo, resource: health_note:n-1}
    expect: {effect: allow, rules: [note-read], obligations: [mask, watermark]}
  - name: not another team's
    request: {subject: user:leo, resource: health_note:n-1}
    given: {resource/health_note:n-1: {team: south}}
    expect: {effect: deny}
  - name: not with a password alone
    request: {subject: user:leo, resource: health_note:n-1, session: s-1}
    expect: {effect: deny, reasons: [DENIED_BY_RULE(note-mfa)]}
"""

MATRIX: Final = """\
matrices:
  - name: changes
    request: {session: s-3}
    who: {clerk: {subject: user:ann}, lead: {subject: user:leo}}
    actions: [read, update]
    resources: {invoice: "invoice:i-1", note: "health_note:n-1"}
    allow:
      clerk: {invoice: [read]}
      lead:
        invoice: [read]
        note: {read: {obligations: [mask, watermark]}, update: {reasons: [PERMITTED(special-update)]}}
    deny:
      clerk: {note: {update: {reasons: [NO_MATCHING_PERMIT]}}}
  - name: the strongest is needed to change
    request: {session: s-2}
    who: {lead: {subject: user:leo}}
    actions: [update]
    resources: {note: "health_note:n-1"}
"""


def write(folder: Path, tests: str | None = None, **files: str) -> Path:
    """Write a policy folder; ``tests`` follows ``HEAD`` in its one file of tests. Give the folder."""
    contents = {
        "model.conf": MODEL,
        "schema.yaml": files.get("schema", SCHEMA),
        "obligations.yaml": files.get("obligations", OBLIGATIONS),
        "routes.yaml": ROUTES,
        "policy/rules.csv": files.get("rules", RULES),
        "tests/all.yaml": files.get("head", HEAD) + (CASES + MATRIX if tests is None else tests) + "# end\n",
    }
    if "review" in files:
        contents["review.yaml"] = files["review"]
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def loaded(folder: Path) -> PolicySnapshot:
    """Load a folder's policy."""
    return load(folder, CompiledEngine())


def suites_of(folder: Path) -> tuple[Suite, ...]:
    """Read a folder's tests."""
    return read_suites(folder, loaded(folder))


def results_of(folder: Path) -> list[Result]:
    """Run a folder's tests."""
    policy = loaded(folder)
    return list(run(read_suites(folder, policy), policy))


def refused(folder: Path) -> tuple[PolicyProblem, ...]:
    """Read a folder's tests, which must be refused; give why."""
    try:
        suites_of(folder)
    except PolicyInvalidError as error:
        return error.problems
    raise AssertionError("the tests were not refused")
