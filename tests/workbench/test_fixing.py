"""What --fix mends, and the layout it leaves: nothing that a rule means changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdp.core.policy import PolicySnapshot
from pdp.policy.source import Source
from pdp.workbench.files import read_policy
from pdp.workbench.layout import format_condition, format_rules
from pdp.workbench.lint import apply_fixes, lint
from tests.workbench.example import RULES, add_rule, opened, policy_of

SAMPLE = Path(__file__).parents[2] / "policies"


def mended(folder: Path, condition: str) -> str:
    """Give a condition as the mendings leave it."""
    files = opened(folder, add_rule(f'p,odd,lead,read,invoice,"{condition}",deny,,reason'))
    texts = apply_fixes(lint(files).findings)
    for name, text in texts.items():
        (folder / name).write_text(text)
    policy = read_policy(folder).policy
    assert policy is not None
    return next(rule.text for rule in policy.rules if rule.id == "odd")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("r.session.risk > 5 and r.session.aal == 2", "r.session.risk > 5 && r.session.aal == 2"),
        ("r.session.risk > 5 or r.session.aal == 2", "r.session.risk > 5 || r.session.aal == 2"),
        ("r.context.purpose in ('care')", "r.context.purpose == 'care'"),
        ("r.session.vpn == True", "r.session.vpn"),
        ("r.session.vpn != False && r.session.risk > 5", "r.session.vpn && r.session.risk > 5"),
        ("r.session.risk > 5 && False == r.session.vpn", "r.session.risk > 5 && !r.session.vpn"),
    ],
)
def test_slips_are_mended(written: str, meant: str, tmp_path: Path) -> None:
    assert mended(tmp_path, written) == meant


def test_what_is_no_slip_is_left_to_a_person(tmp_path: Path) -> None:
    files = opened(tmp_path, add_rule("p,odd,lead,read,invoice,r.session.rsk > 5 && r.session.aal == 2,deny,,reason"))
    findings = lint(files).findings
    assert findings
    assert apply_fixes(findings) == {}


def test_a_file_cut_short_is_never_completed(tmp_path: Path) -> None:
    """The mark is missing because a write was not finished, and only a person knows what else is."""
    files = opened(tmp_path, ("policy/rules.csv", "# end\n", ""))
    assert "cut short" in lint(files).findings[0].problem
    assert apply_fixes(lint(files).findings) == {}


@pytest.mark.parametrize(
    ("written", "laid_out"),
    [
        ("r.a.b==1&&!( r.a.c<2 )", "r.a.b == 1 && !(r.a.c < 2)"),
        ('r.a.b  in ( "x","y" )', "r.a.b in ('x', 'y')"),
        ("r.context.time-r.a.t<=5", "r.context.time - r.a.t <= 5"),
        ("r.a.b == 'two  spaces'", "r.a.b == 'two  spaces'"),
        ("r.a.b\n\n&& r.a.c", "r.a.b\n    && r.a.c"),
        (
            "!(r.a.b\n&& (r.a.c\n|| r.a.d))\n&& r.a.e",
            "!(r.a.b\n        && (r.a.c\n            || r.a.d))\n    && r.a.e",
        ),
        ("(r.a.b\n) && r.a.c", "(r.a.b\n    ) && r.a.c"),
    ],
)
def test_conditions_are_laid_out(written: str, laid_out: str) -> None:
    assert format_condition(written) == laid_out
    assert format_condition(laid_out) == laid_out


def test_a_file_is_laid_out() -> None:
    text = """

#  Notes  \r
 p , one , * , read , * ,  "r.a.b ==  1" , deny ,  x ; y , says ""nothing"" \r


p,two,*,read,*,"r.a.b in ('x', 'y')
   && r.a.c",allow,,"words
   and words"
g , lead , clerk

# end"""
    source = Source("policy/a.csv", text.replace('""nothing""', "nothing"))
    assert format_rules(source) == (
        "#  Notes\n"
        'p,one,*,read,*,r.a.b == 1,deny,x;y,"says nothing"\n'
        "\n"
        "p,two,*,read,*,\"r.a.b in ('x', 'y')\n    && r.a.c\",allow,,\"words and words\"\n"
        "g,lead,clerk\n"
        "# end\n"
    )


@pytest.mark.parametrize("broken", ['p,"open', 'p,a"b,c'])
def test_what_cannot_be_read_is_left_alone(broken: str) -> None:
    assert format_rules(Source("policy/a.csv", broken)) is None


def test_layout_is_stable_and_keeps_the_meaning(tmp_path: Path) -> None:
    crooked = RULES.replace(" && ", "&&").replace(" <= ", "<=").replace(",allow,", " ,  allow  , ")
    files = opened(tmp_path, files={"policy/rules.csv": crooked})
    before = policy_of(tmp_path / "straight")
    for source in files.rule_sources:
        once = format_rules(source)
        assert once is not None
        assert format_rules(Source(source.file, once)) == once
        (tmp_path / source.file).write_text(once)
    after = read_policy(tmp_path).policy
    assert after is not None
    assert _meaning(after) == _meaning(before)


def test_the_sample_is_laid_out() -> None:
    for source in read_policy(SAMPLE).rule_sources:
        assert format_rules(source) == source.text


def _meaning(policy: PolicySnapshot) -> list[tuple[object, ...]]:
    return [(it.id, it.role, it.action, it.resource, it.text, it.effect, it.obligations) for it in policy.rules]
