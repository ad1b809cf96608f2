"""Records and questions to draw from, for the small policy with a few more rules: mostly right, and some wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from pdp.core.decision import Entity
from pdp.core.request import EntityRef
from pdp.workbench.impact.questions import Circumstances, Question
from pdp.workbench.testing.world import Stored
from tests.workbench_testing.small import NOW, SCHEMA

_ROLES = ('["clerk"]', '["lead"]', '["lead","clerk"]', '["boss"]', "[]")
MORE_RULES = """\
p,own-only,clerk,update,invoice,r.resource.team == r.subject.id || r.device.id == 'd-1',allow,,Care
p,vpn,*,read,*,r.context.purpose == 'audit' && r.session.aal < 3,deny,alert,Risk
p,old-note,clerk,*,special,r.resource.made_at <= r.session.opened_at,deny,,Age
"""
MORE_SCHEMA = (
    SCHEMA.replace("subject:\n", "bindings: {subject: subject, device: device}\nsubject:\n", 1)
    .replace("  aal:", "  opened_at: {type: time}\n  subject: {type: string}\n  device: {type: string}\n  aal:")
    .replace("  health_note:\n", "  health_note:\n    made_at: {type: time}\n")
)


_TIMES = [str(int(NOW) + at) for at in (-90_000, -86_400, -1, 0, 1)]
_TEAMS = ["north", "south", "ann"]
_VALUES = {
    Entity.SUBJECT: {"roles": [*_ROLES], "team": _TEAMS},
    Entity.DEVICE: {"compliant": ["true", "false", "yes"]},
    Entity.SESSION: {"aal": ["1", "2", "3", "4"], "opened_at": _TIMES, "subject": ["ann", "leo"], "device": ["d-1"]},
    Entity.RESOURCE: {"team": _TEAMS, "made_at": _TIMES},
}
_OWNERS = [
    *((Entity.SUBJECT, EntityRef("user", it)) for it in ("ann", "leo")),
    *((Entity.DEVICE, EntityRef("device", it)) for it in ("d-1", "d-2")),
    *((Entity.SESSION, EntityRef("session", it)) for it in ("s-1", "s-2")),
    *((Entity.RESOURCE, EntityRef(kind, it)) for kind in ("invoice", "health_note") for it in ("x-1", "x-2")),
]


@st.composite
def records(draw: st.DrawFn) -> Stored:
    """Records of everybody, nearly all of them right: a few fields are missing, wrong or of another time."""
    stored = {
        owner: {name: draw(st.sampled_from(texts)) for name, texts in _VALUES[owner[0]].items()} for owner in _OWNERS
    }
    for owner in draw(st.lists(st.sampled_from(_OWNERS), max_size=3)):
        name = draw(st.sampled_from([*_VALUES[owner[0]], "_issued_at"]))
        text = draw(st.sampled_from([None, "?", str(int(NOW) - 3600)]))
        stored[owner] = {key: it for key, it in {**stored[owner], name: text}.items() if it is not None}
    for owner in draw(st.lists(st.sampled_from(_OWNERS), max_size=1)):
        stored.pop(owner, None)
    return stored


def _mostly(usual: list[Any], odd: list[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from([*usual * 6, *odd])


_STATED = st.builds(
    Circumstances,
    _mostly(["billing", "support", "audit"], ["", "other"]),
    emergency=_mostly([False], [True]),
    supports=st.sampled_from([None, (), ("mask",), ("mask", "watermark")]),
)
QUESTIONS = st.builds(
    Question,
    _mostly(["user:ann", "user:leo"], ["user:who", "robot:ann", "user:", "ann"]),
    _mostly(["read", "update"], ["burn", "No Name"]),
    st.tuples(_mostly(["invoice", "health_note"], ["thing"]), _mostly(["x-1", "x-2"], ["x-3", "i 1"])),
    _mostly(["s-1", "s-2"], ["", "s-3"]),
    _mostly(["d-1", "d-2"], ["", "d-3"]),
    _STATED,
    st.sampled_from(["allow", "deny"]),
)


def twins(question: Question) -> Iterator[Question]:
    """Give a question, and those that differ from it in one party: the likeliest to be taken for it."""
    yield question
    yield from (question._replace(subject=it) for it in ("user:ann", "user:leo", "user:who"))
    yield from (question._replace(device=it) for it in ("d-1", "d-2", "d-3", ""))
    yield from (question._replace(session=it) for it in ("s-1", "s-2", "s-3", ""))
    yield from (question._replace(resource=(question.resource[0], it)) for it in ("x-1", "x-2", "x-3"))
    yield from (question._replace(stated=question.stated._replace(supports=it)) for it in ((), ("mask",)))
