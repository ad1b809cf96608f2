"""A large policy to measure the workbench on: an organisation of many departments with floors under all of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path
from random import Random
from typing import Final

from pdp.policy.model import MODEL

_ACTIONS: Final = ("read", "list", "update", "export", "delete", "play", "annotate", "approve")
_PURPOSES: Final = ("support", "billing", "complaint", "fraud", "quality", "legal", "training", "marketing")
_TEAMS: Final = 200
_FLOORS: Final = (
    ("unmanaged", "!r.device.managed"),
    ("noncompliant", "!r.device.compliant"),
    ("edr-off", "r.device.edr != 'running'"),
    ("score-low", "r.device.score < 60"),
    ("risk-high", "r.session.risk >= 70"),
    ("risk-medium", "r.session.risk >= 40 && r.session.aal < 3"),
    ("idle", "r.context.time - r.session.last_activity > 900"),
    ("revoked", "r.session.revoked"),
    ("purpose", "!(r.context.purpose in r.resource.purposes)"),
    ("region", "!(r.resource.region in r.subject.regions)"),
    ("expired", "r.resource.keep_until <= r.context.time"),
    ("mfa", "r.session.aal < 2"),
)
_SCHEMA: Final = """version: 1
subject_types: [user]
actions: [{actions}]
limits: {{clock_skew: 5s, allow_lifetime: 60s, deny_lifetime: 5s}}
bindings: {{subject: subject, device: device}}
step_up: {{level: aal, times: [auth_time], levels: [{{level: 2, acr: "urn:pdp:aal:2"}}]}}
subject:
  roles: {{type: list, values: [{roles}], min_items: 1}}
  team: {{type: string}}
  regions: {{type: list, values: [eu, uk, us, apac], min_items: 1}}
device:
  managed: {{type: bool}}
  compliant: {{type: bool}}
  edr: {{type: string, values: [running, degraded, absent]}}
  score: {{type: int, minimum: 0, maximum: 100}}
session:
  subject: {{type: string}}
  device: {{type: string}}
  risk: {{type: int, minimum: 0, maximum: 100}}
  aal: {{type: int, minimum: 1, maximum: 3}}
  auth_time: {{type: time}}
  last_activity: {{type: time}}
  revoked: {{type: bool}}
context:
  purpose: {{type: string, values: [{purposes}]}}
resources:
{resources}
# end
"""
_RESOURCE: Final = (
    "  {name}: {{region: {{type: string, values: [eu, uk, us, apac]}}, team: {{type: string}}, "
    "owner: {{type: string}}, amount: {{type: int, minimum: 0}}, keep_until: {{type: time}}, "
    "purposes: {{type: list, values: [{purposes}]}}}}"
)


def write_policy(folder: Path, rules: int, seed: int = 1) -> Path:
    """Write a policy folder with about so many rules, in files of 500; every random choice follows the seed."""
    roles = [f"role_{number}" for number in range(120)]
    types = [f"{kind}_{number}" for kind, number in product(("record", "card", "note"), range(16))]
    joined = ", ".join(_PURPOSES)
    files = {
        "model.conf": MODEL,
        "schema.yaml": _SCHEMA.format(
            actions=", ".join(_ACTIONS),
            roles=", ".join(roles),
            purposes=joined,
            resources="\n".join(_RESOURCE.format(name=name, purposes=joined) for name in types),
        ),
        "obligations.yaml": "version: 1\nobligations:\n  mask: {type: mask}\n  watermark: {type: watermark}\n# end\n",
        "routes.yaml": "version: 1\nroutes: []\n# end\n",
        "policy/000-floors.csv": _joined(f"p,floor-{name},*,*,*,{text},deny,,floor" for name, text in _FLOORS),
    }
    randoms = [Random(f"{seed}/{number}") for number in range(rules - len(_FLOORS))]  # noqa: S311 - not for secrets
    rows = [_rule(random, number, roles, types) for number, random in enumerate(randoms)]
    for start in range(0, len(rows), 500):
        files[f"policy/rules-{start:05}.csv"] = _joined(rows[start : start + 500])
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def _rule(random: Random, number: int, roles: list[str], types: list[str]) -> str:
    role, type_, action = random.choice(roles), random.choice(types), random.choice(_ACTIONS)
    if number % 5 == 0:
        condition = f"r.resource.amount > {random.randrange(100, 100000)} && r.session.aal < 3"
        return f"p,deny-{number},{role},{action},{type_},{condition},deny,,limit of the department"
    parts = [f"r.context.purpose in ({', '.join(map(repr, sorted(random.sample(_PURPOSES, 2))))})"]
    parts.append(
        random.choice(
            [
                f"r.subject.team == 'team-{random.randrange(_TEAMS)}'",
                "r.resource.team == r.subject.team",
                "r.resource.owner == r.subject.id",
                f"r.resource.amount <= {random.randrange(100, 100000)}",
            ]
        )
    )
    parts.append(f"r.session.risk < {random.randrange(5, 70)}")
    owed = random.choice(["", "mask", "watermark", "mask;watermark"])
    return f'p,allow-{number},{role},{action},{type_},"{" && ".join(parts)}",allow,{owed},need of the department'


def _joined(rows: Iterable[str]) -> str:
    return "\n".join([*rows, "# end", ""])
