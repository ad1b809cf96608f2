"""A small valid policy, as files by path: the ground on which a test changes one thing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pdp.core.errors import PolicyInvalidError, PolicyProblem
from pdp.core.policy import PolicySnapshot
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import assemble
from pdp.policy.problems import Problems

MODEL: Final = """\
# The one model that the service implements.
[request_definition]
r = role, action, subject, device, session, resource, context

[policy_definition]
p = id, role, action, resource, condition, eft, obligations, basis

[role_definition]
g = _, _
g2 = _, _
g3 = _, _

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = (p.role == "*" || g(r.role, p.role)) && \\
    (p.action == "*" || g2(r.action, p.action)) && \\
    (p.resource == "*" || g3(r.resource.type, p.resource)) && eval(p.condition)
"""

SCHEMA: Final = """\
version: 1
subject_types: [user, service]
actions: [read, list, export, delete]
identifiers: {subject: pseudonym, device: pseudonym, session: pseudonym, resource: clear}
limits: {clock_skew: 5s, allow_lifetime: 60s, deny_lifetime: 5s}
step_up:
  level: aal
  times: [auth_time]
  levels:
    - {level: 2, acr: "urn:pdp:aal:2"}
    - {level: 3, acr: "urn:pdp:aal:3"}
bindings: {subject: subject, device: device}
subject:
  roles: {type: list, values: [agent, supervisor, auditor], max_age: 24h, sensitivity: clear}
  region: {type: string, values: [eu, us]}
  trained_until: {type: time, max_age: 30d, description: "When the training lapses."}
device:
  compliant: {type: bool, max_age: 15m, sensitivity: clear}
  score: {type: number, minimum: 0, maximum: 100, max_age: 15m}
session:
  subject: {type: string, max_age: 1h}
  device: {type: string}
  risk: {type: int, minimum: 0, maximum: 100, max_age: 5m, sensitivity: clear}
  aal: {type: int, minimum: 1, maximum: 3}
  auth_time: {type: time}
  amr: {type: list, values: [pwd, otp, hwk], min_items: 1, required: false, default: [pwd]}
context:
  purpose: {type: string, values: [billing, support]}
  channel: {type: string, values: [phone, chat], required: false, default: chat}
resources:
  customer:
    region: {type: string, values: [eu, us]}
    purposes: {type: list, values: [billing, support]}
    keep_until: {type: time}
  card:
    region: {type: string, values: [eu, us]}
    scanned: {type: bool}
  log: {}
# end
"""

OBLIGATIONS: Final = """\
version: 1
obligations:
  mask-pan: {type: mask, properties: {field: pan, mask: bin6_last4}, description: "First six, last four."}
  watermark: {type: watermark}
  notify: {type: notify, mandatory: false, properties: {to: privacy}}
# end
"""

ROUTES: Final = """\
version: 1
routes:
  - {method: GET, path: "/customers/{id}", action: read, resource: "customer:{id}", purpose: support}
  - {method: GET, path: "/customers/search", action: list, resource: "customer:any"}
  - {method: DELETE, path: "/customers/{id}", action: delete, resource: "customer:{id}"}
  - {method: GET, path: "/cards/{owner}/{id}", action: read, resource: "card:{owner}/{id}", extensions: {tier: gold}}
# end
"""

RULES: Final = """\
# Who may do what.
p,cust-read,agent,use,customer,"r.context.purpose in r.resource.purposes
    && r.session.risk < 50",allow,,GDPR 5(1)(b)
p,card-read,supervisor,read,card,r.session.aal >= 2 && r.resource.scanned,allow,mask-pan; notify,PCI DSS 3.4.1
p, log-read , auditor , read , log , True , allow , , HIPAA 164.312(b)

p,unhealthy,*,*,*,!r.device.compliant,deny,notify,NIST SP 800-207
p,stale-login,*,*,regional,r.context.time - r.session.auth_time > 900,deny,,PCI DSS 8.2.8
# end
"""

LINKS: Final = """\
g,supervisor,agent
g2,read,use
g2,list,use
g3,customer,regional
g3,card,regional
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


def contents(changes: Mapping[str, str | bytes | None] | None = None) -> dict[str, bytes]:
    """Give the files with some replaced, added, or (None) taken away."""
    changed = {**FILES, **(changes or {})}
    return {name: it if isinstance(it, bytes) else it.encode() for name, it in changed.items() if it is not None}


def build(changes: Mapping[str, str | bytes | None] | None = None) -> PolicySnapshot:
    """Assemble the policy with changes."""
    return assemble(contents(changes), ReferenceMatcher, Problems())


def problems_of(changes: Mapping[str, str | bytes | None]) -> tuple[PolicyProblem, ...]:
    """Give what is wrong with the policy when it is changed so; none if it loads all the same."""
    try:
        build(changes)
    except PolicyInvalidError as error:
        return error.problems
    return ()


def swap(name: str, old: str, new: str) -> dict[str, str]:
    """Replace the one place where a text stands in one of the files."""
    assert FILES[name].count(old) == 1, f"{old!r} stands {FILES[name].count(old)} times in {name}"
    return {name: FILES[name].replace(old, new)}


def write(folder: Path, changes: Mapping[str, str | bytes | None] | None = None) -> Path:
    """Write the policy into a folder."""
    for name, content in contents(changes).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def place(text: str, needle: str) -> tuple[int, int]:
    """Give the line and column of the one place where a text stands."""
    assert text.count(needle) == 1, f"{needle!r} stands {text.count(needle)} times"
    before = text[: text.index(needle)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def refused(name: str, old: str, new: str, needle: str, problem: str) -> PolicyProblem:
    """Change one place of one file, and find the problem it makes: there, and saying that.

    Args:
        name: the file.
        old: what stands there once.
        new: what is to stand there.
        needle: a text that then stands there once, where the problem is to be reported.
        problem: what it must say.
    """
    changes = swap(name, old, new)
    line, column = place(changes[name], needle)
    found = problems_of(changes)
    mine = [it for it in found if (it.file, it.line, it.column) == (name, line, column) and problem in it.problem]
    assert mine, f"no {problem!r} at {name}:{line}:{column} among {[str(it) for it in found]}"
    return mine[0]
