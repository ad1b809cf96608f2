"""What strict mode looks at before it compiles, how policies are loaded, and how a build gives way."""

from __future__ import annotations

import re
import time

import casbin
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.engine import Finding, GiveWay, PolicyError, RowsAdapter
from pdp.engine.compiled import checks, pacing, regexes, safety
from pdp.engine.compiled.amnesia import RoleMemory
from pdp.engine.compiled.loading import load_strictly
from tests.engine import hostile
from tests.engine.compare import model_of

MODEL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
"""


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("r.a == 'x && y'", "&&"), ("r.a == 'x||y'", "||"), ("r.a == 'x!'", "!"), ("r.a == 'r.b'", "r."),
        ('r.a == "p2.b"', "p2."), ("r.a == 'x#y'", "#"), ("r.a == 'x;y'", ";"), ("r.a > 1 # why", "comment"),
        ("r.a > 1; True", "semicolon"), ("r.a == 'x\\'y'", "backslash"), ("r.a == 'x\\ny'", "backslash"),
    ],
)  # fmt: skip
def test_a_text_that_casbin_would_change_is_told(text: str, word: str) -> None:
    assert word in checks.literal_problem(text)


@pytest.mark.parametrize(
    "text",
    [
        "r.a == 'x'",
        "r.a != 'x != y'",
        "r.a == 'our.x'",
        "!r.a && r.b || r.c",
        "r.a == 'r_b'",
        "r.a == ''",
        "r.a == '!='",
    ],
)
def test_a_text_that_casbin_leaves_alone_passes(text: str) -> None:
    assert checks.literal_problem(text) == ""


def test_a_loaded_matcher_is_looked_at_as_loading_has_left_it() -> None:
    assert "r_" in checks.literal_problem("r_a == 'r_b'", loaded=True)
    assert checks.literal_problem("r_a == 'r.b'", loaded=True) == ""


def test_findings_say_where() -> None:
    assert str(Finding("p", 3, "why")) == "p row 3: why"
    assert str(Finding("model", -1, "why")) == "model: why"
    error = PolicyError((Finding("p", 0, "one"), Finding("p", 1, "two")))
    assert str(error) == "p row 0: one (and 1 more)"


# -- regular expressions -----------------------------------------------------------------------------------

REFUSED = (
    ("(", "not a regular"), ("a", "does not end"), ("^a", "does not end"), ("a$b", "does not end"),
    ("(a$)", "does not end"),
    ("(a+)+$", "inside a repeat"), ("(aa|b)*$", "inside a repeat"), ("(a?b?)*$", "inside a repeat"),
    ("(a{2,5}){3}$", "inside a repeat"), ("(a?)*$", "inside a repeat"),
    (r"(a)\1$", "back-references"), ("(?=a)$", "back-references"), ("(?!a)b$", "back-references"),
    ("(?<=a)b$", "back-references"), ("(?P<x>a)(?P=x)$", "back-references"), ("a*a*$", "next to each other"),
    ("a+b*$", "next to each other"), ("a*x?b*y?c*z?d*w?e*$", "more than four"), ("a*xa*xa*xa*xa*$", "more than four"),
    ("(?:(?:a+)b)*$", "inside a repeat"), ("a*?a*$", "next to each other"), ("a|b$", "does not end"),
    ("", "does not end"),
)  # fmt: skip


@pytest.mark.parametrize(("pattern", "reason"), REFUSED)
def test_a_pattern_that_cannot_be_trusted_is_refused(pattern: str, reason: str) -> None:
    assert reason in regexes.problem_of(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["^a$", "a$", r"a\Z", "^[a-z]+$", "^a{3}$", "^(ab)?c$", "^a+/b+$", "^(a|b)c$", "^.*$", "^/[^/]+/x/[^/]+$", "$"],
)
def test_a_bounded_pattern_passes(pattern: str) -> None:
    assert regexes.problem_of(pattern) == ""


PATTERNS = st.text(alphabet="ab()*+?|[]^$.{}1,\\Z", max_size=10).map(lambda text: text + "$")


@given(PATTERNS, st.text(alphabet="ab1\n", max_size=8))
def test_a_pattern_that_passes_matches_whole_texts_alone(pattern: str, text: str) -> None:
    if regexes.problem_of(pattern) == "" and re.match(pattern, text):
        line = text.removesuffix("\n")
        assert re.fullmatch(pattern, text) or re.fullmatch(pattern, line)


@given(PATTERNS)
def test_a_pattern_that_passes_takes_no_exponential_time(pattern: str) -> None:
    # A text on which a nested repeat would go on for ages: it comes back, or the test run stands still.
    if regexes.problem_of(pattern) == "":
        re.match(pattern, "a" * 60 + "!")
        re.match(pattern, "ab" * 40 + "!")


# -- loading -----------------------------------------------------------------------------------------------


def test_rows_are_loaded_by_type_and_copied() -> None:
    rows = [("p", "alice", "data", "read"), ("g", "alice", "admin"), ("p", "bob", "data", "read")]
    loaded = load_strictly(model_of(MODEL), RowsAdapter(rows))
    assert loaded.policy == {"p": [["alice", "data", "read"], ["bob", "data", "read"]]}
    assert loaded.grouping == {"g": [["alice", "admin"]]}


def test_loading_leaves_the_model_as_it_was() -> None:
    model = model_of(MODEL)
    load_strictly(model, RowsAdapter([("p", "alice", "data", "read")]))
    assert model["p"]["p"].policy == []
    assert load_strictly(model, None).policy == {"p": []}


@pytest.mark.parametrize("ptype", ["P", "p2", "q", "", "pp", "g2", "r2x", "e2x"])
def test_no_row_is_skipped_without_a_word(ptype: str) -> None:
    rows = [("p", "alice", "data", "read"), (ptype, "bob", "data", "read")]
    if ptype[:1] in {"r", "e"}:
        assert load_strictly(model_of(MODEL), RowsAdapter(rows)).policy == {"p": [["alice", "data", "read"]]}
        return
    with pytest.raises(PolicyError, match=repr(ptype)):
        load_strictly(model_of(MODEL), RowsAdapter(rows))


def test_an_adapter_pauses_while_it_loads() -> None:
    pauses: list[int] = []
    load_strictly(model_of(MODEL), RowsAdapter([("p", "a", "b", "c")] * 100, lambda: pauses.append(1)))
    assert len(pauses) == 4


# -- giving way --------------------------------------------------------------------------------------------


def test_a_build_rests_after_each_slice_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    rests: list[float] = []

    def rest(seconds: float) -> None:
        rests.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(pacing.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(pacing.time, "sleep", rest)
    give_way = GiveWay(work=1.0, rest=0.25)
    for _ in range(30):
        now[0] += 0.1
        give_way()
    assert rests == [0.25] * len(rests)
    assert len(rests) in {2, 3}


def test_resting_lets_other_threads_run() -> None:
    give_way = GiveWay(work=0.0, rest=0.0)
    started = time.perf_counter()
    for _ in range(10):
        give_way()
    assert time.perf_counter() > started


def test_paced_items_are_all_there() -> None:
    calls: list[int] = []
    assert list(pacing.paced(range(100), lambda: calls.append(1))) == list(range(100))
    assert len(calls) == 4
    assert list(pacing.paced((), pacing.no_pause)) == []


# -- values, and what role managers remember ---------------------------------------------------------------


@pytest.mark.parametrize("value", [hostile.Liar(), hostile.Caller(), hostile.Sizes(), int, hostile.Text("a"), len])
def test_a_class_that_can_pass_for_another_is_not_plain(value: object) -> None:
    assert safety.is_plain(type(value)) is False


def test_the_plain_classes_known_are_bounded() -> None:
    classes = [type(f"C{number}", (), {}) for number in range(safety._MAX_KNOWN + 10)]
    assert all(safety.is_plain(cls) for cls in classes)
    assert len(safety.PLAIN_CLASSES) <= safety._MAX_KNOWN


@pytest.mark.parametrize("roles", ["g = _, _", "g = _, _, _"])
def test_role_managers_are_left_with_the_names_of_the_policy(roles: str) -> None:
    domain = ("d",) if roles.count("_") > 2 else ()
    text = MODEL.replace("g = _, _", roles).replace(
        "g(r.sub, p.sub)", "g(r.sub, p.sub, 'd')" if domain else "g(r.sub, p.sub)"
    )
    rows = [("p", "admin", "data", "read"), ("g", "alice", "admin", *domain)]
    enforcer = casbin.Enforcer(model_of(text), RowsAdapter(rows))
    memory = RoleMemory(enforcer)
    for number in range(50):
        enforcer.enforce(f"stranger{number}", "data", "read")
    enforcer.enforce(hostile.Text("x"), "data", "read")
    memory.restore()
    manager = enforcer.rm_map["g"]
    known = manager.rm_map["d"].all_roles if domain else manager.all_roles
    assert set(known) == {"alice", "admin"}
    assert enforcer.enforce("alice", "data", "read") is True
