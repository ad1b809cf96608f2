"""Strategies: conditions that pass the checks, rules, worlds, and an oracle that shares no code with the engine."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from pdp.core.condition import evaluate, parse
from pdp.core.decision import Effect, Entity
from pdp.core.entities import Entities, context_view
from pdp.core.policy import PolicySnapshot, Rule
from pdp.core.request import Request
from tests.core import world

ATOMS: Final = (
    "True",
    "False",
    "r.device.compliant",
    "r.context.emergency",
    "r.device.score >= 80",
    "r.device.score > 49.5",
    "r.session.risk < 50",
    "20 <= r.session.risk",
    "r.session.aal >= 2",
    "r.session.aal == 3",
    "r.session.aal in (1, 3)",
    "r.subject.region == 'eu'",
    'r.subject.region != "us"',
    "r.subject.region == r.resource.region",
    "r.subject.region in ('eu', 'us')",
    "'supervisor' in r.subject.roles",
    "'otp' in r.session.amr",
    "r.context.purpose in r.resource.purposes",
    "r.context.purpose == 'billing'",
    "r.context.channel in ('phone', 'chat')",
    "r.subject.id == 'alice'",
    "r.resource.type != 'card'",
    "r.subject.trained_until > r.context.time",
    "r.context.time - r.session.auth_time < 300",
    "r.resource.keep_until >= r.context.time",
    "r.session.auth_time <= r.subject.trained_until",
)


def _combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    spaced = st.sampled_from(["&&", "||", " && ", " || ", "\n&& "])
    return st.one_of(
        inner.map(lambda it: f"!({it})"),
        inner.map(lambda it: f"({it})"),
        st.tuples(inner, spaced, inner).map(lambda parts: f"({parts[0]}){parts[1]}({parts[2]})"),
        st.tuples(st.sampled_from(ATOMS), spaced, st.sampled_from(ATOMS)).map("".join),
    )


CONDITIONS: Final = st.recursive(st.sampled_from(ATOMS), _combined, max_leaves=5)
ROLES: Final = st.sampled_from(["*", "agent", "supervisor", "auditor"])
ACTIONS: Final = st.sampled_from(["*", "read", "use", "delete"])
RESOURCES: Final = st.sampled_from(["*", "customer", "regional"])
OWED: Final = st.sampled_from(["", "mask-pan", "watermark", "notify", "mask-pan;notify", "watermark; mask-pan"])


@st.composite
def rows(draw: st.DrawFn, effects: tuple[str, ...] = ("allow", "deny"), prefix: str = "rule") -> str:
    """Give one rule; its id is to be made unique by whoever collects several."""
    resource = draw(RESOURCES)
    condition = draw(CONDITIONS)
    if resource != "customer":
        # Resource types share no attribute but the region.
        for name in ("purposes", "keep_until"):
            if f"r.resource.{name}" in condition:
                resource = "customer"
        if resource == "*" and "r.resource.region" in condition:
            resource = "regional"
    effect = draw(st.sampled_from(effects))
    return world.row(prefix, condition, effect, draw(ROLES), draw(ACTIONS), resource, draw(OWED))


def numbered(found: list[str], prefix: str = "rule") -> list[str]:
    """Make ids unique."""
    return [line.replace(f"p,{prefix},", f"p,{prefix}-{at},", 1) for at, line in enumerate(found)]


POLICIES: Final = st.lists(rows(), max_size=6).map(numbered)

SUBJECTS: Final = st.fixed_dictionaries(
    {
        "roles": st.lists(st.sampled_from(["agent", "supervisor", "auditor"]), unique=True),
        "region": st.sampled_from(["eu", "us"]),
        "trained_until": st.integers(-100, 100).map(lambda it: int(world.NOW) + it),
    }
)
DEVICES: Final = st.fixed_dictionaries({"compliant": st.booleans(), "score": st.sampled_from([0, 49.5, 80, 100])})
SESSIONS: Final = st.fixed_dictionaries(
    {
        "risk": st.sampled_from([0, 20, 49, 50, 100]),
        "aal": st.integers(1, 3),
        "auth_time": st.sampled_from([0, 250, 299, 300, 301, 5000]).map(lambda it: int(world.NOW) - it),
        "amr": st.lists(st.sampled_from(["pwd", "otp", "hwk"]), unique=True, min_size=1),
    }
)
CUSTOMERS: Final = st.fixed_dictionaries(
    {
        "region": st.sampled_from(["eu", "us"]),
        "purposes": st.lists(st.sampled_from(["billing", "support"]), unique=True),
        "keep_until": st.integers(-2, 100).map(lambda it: int(world.NOW) + it),
    }
)
CONTEXTS: Final = st.builds(
    world.context,
    purpose=st.sampled_from(["support", "billing"]),
    channel=st.sampled_from(["", "phone", "chat"]),
    emergency=st.booleans(),
    supported_obligations=st.frozensets(st.sampled_from(["mask", "watermark", "notify"])),
)
REQUESTS: Final = st.builds(world.request, action=st.sampled_from(["read", "list", "delete"]), context=CONTEXTS)


@st.composite
def known(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """Give sound values for all four parties."""
    return {
        "subject": draw(SUBJECTS),
        "device": draw(DEVICES),
        "session": draw(SESSIONS),
        "resource": draw(CUSTOMERS),
    }


def matching(snapshot: PolicySnapshot, request: Request, entities: Entities, now: float) -> list[Rule]:
    """Say which rules match, by the definition: columns by inheritance, conditions by their own evaluation."""
    views = {entity: record.view for entity, record in zip(Entity, entities, strict=False) if record}
    views[Entity.CONTEXT] = context_view(request.context, snapshot.schema, now)
    hierarchy = snapshot.hierarchy
    roles = {above for role in views[Entity.SUBJECT].__dict__["roles"] for above in (*hierarchy.roles[role], "*")}
    actions = {*hierarchy.actions[request.action], "*"}
    resources = {*hierarchy.resources[request.resource.type], "*"}
    return [
        rule
        for rule in snapshot.rules
        if rule.role in roles
        and rule.action in actions
        and rule.resource in resources
        and evaluate(parse(rule.text), lambda entity, name: getattr(views[entity], name))
    ]


def allowed_by_definition(snapshot: PolicySnapshot, request: Request, entities: Entities, now: float) -> bool:
    """Say whether the request is allowed: some feasible permit matches, and no deny does."""
    found = matching(snapshot, request, entities, now)

    def feasible(rule: Rule) -> bool:
        owed = [snapshot.obligations[name] for name in rule.obligations]
        return all(not it.mandatory or it.type in request.context.supported_obligations for it in owed)

    return not any(it.effect is Effect.DENY for it in found) and any(feasible(it) for it in found)
