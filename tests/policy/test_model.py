"""model.conf: one model is understood, however it is spaced; anything else is said to be otherwise."""

from __future__ import annotations

import re

import casbin
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.policy import assemble
from pdp.policy.model import MODEL as CANONICAL
from pdp.policy.model import check_model
from pdp.policy.problems import Problems
from pdp.policy.source import Source
from tests.policy.example import MODEL, build, contents, problems_of, refused

FILE = "model.conf"
MATCHER = MODEL[MODEL.index("m = ") :]


@pytest.mark.parametrize(
    "text",
    [
        CANONICAL,
        MODEL.replace("\\\n   ", ""),
        MODEL.replace("\n", "\r\n"),
        MODEL.replace("r = ", "r=").replace(", ", " ,"),
        MODEL.replace("[matchers]", "  # a comment\n\n [matchers] "),
    ],
)
def test_white_space_and_comments_are_free(text: str) -> None:
    assert not problems_of({FILE: text})


def test_the_order_of_sections_is_free() -> None:
    head, tail = MODEL.split("[role_definition]")
    assert not problems_of({FILE: "[role_definition]" + tail + head})


def test_casbin_reads_the_file_as_the_model_that_engines_are_given() -> None:
    for section, settings in casbin.Enforcer.new_model(text=CANONICAL).items():
        for key, assertion in settings.items():
            as_written = casbin.Enforcer.new_model(text=MODEL)[section][key]
            assert as_written.tokens == assertion.tokens
            assert re.sub(r"\s", "", as_written.value) == re.sub(r"\s", "", assertion.value)


@pytest.mark.parametrize(
    ("old", "new", "needle", "problem"),
    [
        ("role, action, subject", "role, action, sub", ", device", "differs from the one model"),
        ("obligations, basis", "obligations", "\n\n[role", "differs from the one model"),
        ("g3 = _, _", "g3 = _, _, _", ", _\n\n[policy", "differs from the one model"),
        ("g3 = _, _", "g3 = _, _\ng4 = _, _", "g4", "[role_definition] has no 'g4'"),
        ("g3 = _, _", "g3 = _, _\ng3 = _, _", "g3 = _, _\n\n", "g3 is set twice"),
        ("p.eft == deny", "p.eft == denied", "ied))", "differs from the one model"),
        (" && !some(where (p.eft == deny))", "", "\n\n[matchers]", "differs from the one model"),
        (
            "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
            "!some(where (p.eft == deny))",
            "!some",
            "differs from the one model",
        ),
        ("g(r.role, p.role)", "keyMatch(r.role, p.role)", "keyMatch", "differs from the one model"),
        ('p.role == "*" ||', 'p.role == "*" && True ||', "&& True", "differs from the one model"),
        ("eval(p.condition)", "eval(p.condition) || True", "|| True", "differs from the one model"),
        ("[matchers]", "[matcher]", "matcher]", "unknown section 'matcher'"),
        ("[matchers]", "[matchers]\nm2 = True", "m2", "[matchers] has no 'm2'"),
        ("[matchers]", "what is this\n[matchers]", "what", "a line that is not understood"),
        ("# The one model that the service implements.", "r = sub, obj, act", "r = sub", "outside any section"),
    ],
)
def test_is_refused(old: str, new: str, needle: str, problem: str) -> None:
    refused(FILE, old, new, needle, problem)


@pytest.mark.parametrize("key", ["r = ", "p = ", "g = ", "g2 = ", "g3 = ", "e = ", "m = "])
def test_each_setting_must_be_there(key: str) -> None:
    lines = [line for line in CANONICAL.splitlines(keepends=True) if not line.startswith(key)]
    found = problems_of({FILE: "".join(lines)})
    assert [it.problem for it in found] == [f"[{_section(key)}] lacks {key[:-3]}"]
    assert key in found[0].help, "the help gives the line to write"


def _section(key: str) -> str:
    before = CANONICAL[: CANONICAL.index(f"\n{key}")]
    return before[before.rindex("[") + 1 : before.rindex("]")]


def test_the_help_gives_the_model_that_is_expected() -> None:
    found = refused(FILE, "g3 = _, _", "g3 = _, _, _", ", _\n\n[policy", "differs")
    assert found.help == "expected: g3 = _, _"


@given(st.integers(0, len(MATCHER) - 1), st.sampled_from('!()=|&."*grp \\\n#;x'))
def test_no_single_character_can_be_changed_in_the_matcher_unless_it_is_white_space(at: int, character: str) -> None:
    changed = MATCHER[:at] + character + MATCHER[at + 1 :]
    if re.sub(r"[\s\\]", "", changed) == re.sub(r"[\s\\]", "", MATCHER):
        return
    problems = Problems()
    check_model(Source(FILE, MODEL[: -len(MATCHER)] + changed), problems)
    assert problems, changed


def test_engines_are_given_the_canonical_text_whatever_the_file_looks_like() -> None:
    given_texts = []

    def factory(*given: object) -> object:
        given_texts.append(given[2])
        return lambda *_: ()

    assemble(contents(), factory, Problems())  # type: ignore[arg-type]
    assert given_texts == [CANONICAL]
    assert build().matcher
