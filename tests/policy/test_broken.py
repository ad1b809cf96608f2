"""A policy file broken at any byte: refused with its problems, or a whole policy; never anything else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.core.errors import PolicyInvalidError
from pdp.core.policy import PolicySnapshot
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import assemble
from pdp.policy.model import MODEL as CANONICAL
from pdp.policy.problems import Problems

# As small as a policy can be with something of everything in it, because it is loaded thousands of times.
TINY = {
    "model.conf": CANONICAL,
    "schema.yaml": """\
version: 1
subject_types: [user]
actions: [read]
limits: {clock_skew: 5s, allow_lifetime: 9s, deny_lifetime: 5s}
subject:
  roles: {type: list, values: [agent]}
device: {}
session:
  risk: {type: int, maximum: 9}
context: {}
resources:
  log: {}
# end
""",
    "obligations.yaml": "version: 1\nobligations:\n  a: {type: mask}\n  b: {type: mask, mandatory: false}\n# end\n",
    "routes.yaml": """\
version: 1
routes:
  - {method: GET, path: "/a/{id}", action: read, resource: "log:{id}"}
  - {method: PUT, path: "/b/{id}", action: read, resource: "log:{id}"}
# end
""",
    "policy/a.csv": """\
g3,log,all
p,one,agent,read,all,"r.session.risk < 5
  && True",allow,a,GDPR
p,two,*,*,*,r.session.risk > 5,deny,,GDPR
# end
""",
}
WHOLE = {name: text.encode() for name, text in TINY.items()}


def attempt(name: str, content: bytes) -> PolicySnapshot | PolicyInvalidError:
    try:
        return assemble({**WHOLE, name: content}, ReferenceMatcher, Problems())
    except PolicyInvalidError as error:
        refusal = error
    assert refusal.problems
    assert all(it.file in WHOLE or it.file == "policy" for it in refusal.problems)
    return refusal


def test_whole_it_loads() -> None:
    for name, content in WHOLE.items():
        assert isinstance(attempt(name, content), PolicySnapshot)


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_cut_short_at_any_byte_it_is_refused(name: str) -> None:
    content = WHOLE[name]
    for length in range(len(content.rstrip())):
        found = attempt(name, content[:length])
        assert isinstance(found, PolicyInvalidError), content[:length][-40:]
        assert any(it.file == name for it in found.problems)


@pytest.mark.parametrize("name", sorted(WHOLE))
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_with_bytes_missing_it_is_refused_or_whole(name: str, data: st.DataObject) -> None:
    content = WHOLE[name]
    start = data.draw(st.integers(0, len(content) - 1))
    end = data.draw(st.integers(start + 1, min(start + 12, len(content))))
    attempt(name, content[:start] + content[end:])


@pytest.mark.parametrize("name", sorted(WHOLE))
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_with_bytes_changed_it_is_refused_or_whole(name: str, data: st.DataObject) -> None:
    content = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(
            st.sampled_from([content[at] ^ (1 << bit) for bit in range(8)] + list(b'"#,\n{[&*!-: '))
        )
    attempt(name, bytes(content))


@pytest.mark.parametrize("name", sorted(WHOLE))
@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=200))
def test_as_any_bytes_it_is_refused(name: str, content: bytes) -> None:
    assert isinstance(attempt(name, content), PolicyInvalidError)


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_doubled_it_is_refused_or_whole(name: str) -> None:
    attempt(name, WHOLE[name] * 2)
