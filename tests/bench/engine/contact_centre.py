"""A contact centre's policy: roles, action groups, resource classes, and conditions over five attribute records."""

from __future__ import annotations

import casbin

from pdp.engine import CompiledEnforcer, RowsAdapter
from tests.bench.engine.measure import median_us

MODEL = """[request_definition]
r = role, action, subject, device, session, resource, context
[policy_definition]
p = id, role, action, resource, condition, eft, obligations, reason
[role_definition]
g = _, _
g2 = _, _
g3 = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = (p.role == "*" || g(r.role, p.role)) && (p.action == "*" || g2(r.action, p.action)) \
&& (p.resource == "*" || g3(r.resource.type, p.resource)) && eval(p.condition)
"""
_DENIES = (
    ("unmanaged", "!r.device.managed"),
    ("noncompliant", "!r.device.compliant"),
    ("patches", "r.device.patch_age_days > 30"),
    ("risk", "r.session.risk >= 80"),
    ("edr", "r.device.edr != 'running'"),
    ("idle", "r.context.time - r.session.active_at > 900"),
)
_ROLES = ("agent", "supervisor", "quality", "fraud", "privacy", "billing")
_KINDS = ("recording", "transcript", "profile", "card", "health", "ticket")


class Record:
    """Attributes of one entity."""

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)


def rows() -> list[tuple[str, ...]]:
    """About 150 rules: posture first, then what each role may do."""
    found: list[tuple[str, ...]] = [
        ("p", name, "*", "*", "*", condition, "deny", "", "posture") for name, condition in _DENIES
    ]
    for role in _ROLES:
        for kind in _KINDS:
            for action in ("read", "list", "export", "use"):
                condition = (
                    "r.session.risk < 50 && r.device.compliant && r.subject.region == r.resource.region"
                    " && r.context.time - r.session.auth_time <= 900"
                    f" && r.context.purpose in ('{role}', 'support') && \"{kind}\" in r.subject.skills"
                )
                found.append(("p", f"{role}-{action}-{kind}", role, action, kind, condition, "allow", "mask", "need"))
    found += [("g", "supervisor", "agent"), ("g", "lead", "supervisor")]
    found += [("g2", "read", "use"), ("g2", "list", "use"), ("g3", "recording", "conversation")]
    return found


def request(risk: int) -> tuple[object, ...]:
    """A supervisor reads a recording."""
    return (
        "supervisor",
        "read",
        Record(region="eu", skills=("recording", "card")),
        Record(managed=True, compliant=True, patch_age_days=3, edr="running"),
        Record(risk=risk, auth_time=1000, active_at=1500),
        Record(type="recording", region="eu"),
        Record(time=1600, purpose="support"),
    )


def measure() -> dict[str, float]:
    """Microseconds of one decision with its explanation, and pycasbin's."""
    model = casbin.Model()
    model.load_model_from_text(MODEL)
    enforcer = CompiledEnforcer(model, rows(), "strict")
    reference = casbin.Enforcer(model, RowsAdapter(rows()))
    allowed, denied = request(10), request(90)
    for asked in (allowed, denied):
        if enforcer.enforce_ex(*asked)[0] is not reference.enforce_ex(*asked)[0]:
            raise SystemExit("the engines differ on the contact centre's policy")
    return {
        "rules": len(enforcer.get_policy()),
        "matched": len(enforcer.match(*allowed)),
        "match() us": median_us(lambda: enforcer.match(*allowed)),
        "allow with explanation us": median_us(lambda: enforcer.enforce_ex(*allowed)),
        "deny with explanation us": median_us(lambda: enforcer.enforce_ex(*denied)),
        "pycasbin allow us": median_us(lambda: reference.enforce_ex(*allowed)),
    }
