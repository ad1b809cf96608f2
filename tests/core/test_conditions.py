"""The condition language: what is in it, what is not, and that it means to Casbin what it means here."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.core.condition import ConditionError, Node, check, evaluate, parse
from pdp.core.condition.nodes import conjuncts, refs, walk
from pdp.core.decision import Entity
from pdp.core.entities import context_view
from pdp.core.record import View
from pdp.core.request import Context
from pdp.core.turning import turning_points
from tests.core import world
from tests.core.policies import CONDITIONS, CONTEXTS, known
from tests.core.world import NOW

TYPES = ("customer",)


def checked(text: str, types: tuple[str, ...] = TYPES) -> Node:
    node = parse(text)
    check(node, world.schema(), types)
    return node


@pytest.mark.parametrize(
    "text",
    [
        "True",
        "r.device.compliant",
        "!r.device.compliant",
        "!!r.device.compliant",
        "((r.device.compliant))",
        "r.device.compliant == True",
        "r.session.risk<50&&r.device.compliant||!r.context.emergency",
        "r.session.risk < 50.5",
        "r.device.score >= r.session.risk",
        "r.session.aal in (2, 3)",
        "r.session.aal in (2, 2.5)",
        "'eu' == r.subject.region",
        'r.subject.region in ("eu", "us")',
        "r.subject.region == r.resource.region",
        "'agent' in r.subject.roles",
        "r.context.purpose in r.resource.purposes",
        "r.subject.id == r.session.subject",
        "r.resource.type in ('customer', 'card')",
        "r.context.time < r.subject.trained_until",
        "r.subject.trained_until >= r.context.time",
        "r.context.time - r.session.auth_time <= 900",
        "900 > r.context.time-r.session.auth_time",
        "r.session.auth_time < r.subject.trained_until",
        "'a:b@c/d+e=f.g,h-i j' == r.subject.id",
        "r.device.compliant\n  && \t r.context.emergency",
    ],
)
def test_is_a_condition(text: str) -> None:
    checked(text)


@pytest.mark.parametrize(
    ("text", "offset", "problem"),
    [
        ("", 0, "the condition ends where"),
        ("   ", 3, "the condition ends where"),
        ("r.device.compliant &&", 21, "the condition ends where"),
        ("r.device.compliant and True", 19, "unexpected 'and'"),
        ("not True", 0, "unexpected 'not'"),
        ("true", 0, "unexpected 'true'"),
        ("None == 1", 0, "unexpected 'None'"),
        ("r.session.risk == None", 18, "unexpected 'None'"),
        ("1 < r.session.risk < 5", 19, "unexpected '<'"),
        ("r.session.risk + 1 < 5", 15, "unexpected '+'"),
        ("r.session.risk * 2 < 5", 15, "unexpected '*'"),
        ("r.session.risk == -1", 18, "unexpected '-'"),
        ("r.session.risk = 1", 15, "unexpected '='"),
        ("r.session.risk == 007", 18, "unexpected '0'"),
        ("r.session.risk == 1e9", 18, "unexpected '1'"),
        ("r.session.risk == 1_0", 18, "unexpected '1'"),
        ("r.session.risk == 0x1", 18, "unexpected '0'"),
        ("r.session.risk == .5", 18, "unexpected '.'"),
        ("r.session.risk == 1.", 18, "unexpected '1'"),
        ("r.session.risk == " + "9" * 16, 18, "unexpected '9'"),
        ("r.session.amr[0] == 'otp'", 13, "unexpected '['"),
        ("r.session.delete()", 16, "unexpected '('"),
        ("len(r.session.amr) > 1", 0, "unexpected 'len'"),
        ("eval('1')", 0, "unexpected 'eval'"),
        ("lambda: 1", 6, "unexpected ':'"),
        ("r.session.risk; True", 14, "unexpected ';'"),
        ("r.session.risk # note", 15, "unexpected '#'"),
        ("1==1) || (1==1", 4, "unexpected ')'"),
        ("(True", 5, "the condition ends where"),
        ("p.role == 'agent'", 1, "unexpected '.'"),
        ("r2.session.risk < 5", 2, "unexpected '.'"),
        ("r.session < 5", 0, "is no attribute"),
        ("r.session.a.b < 5", 0, "is no attribute"),
        ("r.env.x < 5", 0, "is no attribute"),
        ("r.session._version < 5", 0, "names that start with _"),
        ("r.session.__class__ == 'x'", 0, "names that start with _"),
        ("'a\\\\b' == r.subject.id", 0, "a text with characters"),
        ("'r.x' == r.subject.id", 0, "a text with characters"),
        ("'p2.x' == r.subject.id", 0, "a text with characters"),
        ("'a!b' == r.subject.id", 0, "a text with characters"),
        ("'a&&b' == r.subject.id", 0, "a text with characters"),
        ("'a#b' == r.subject.id", 0, "a text with characters"),
        ("'é' == r.subject.id", 0, "a text with characters"),
        ("'a == r.subject.id", 0, 'unexpected "\'"'),
        ("r.subject.region in ('eu')", 20, "a choice of one"),
        ("r.subject.region in ()", 21, "unexpected ')'"),
        ("r.subject.region in 'eu'", 20, "unexpected \"'eu'\" after in"),
        ("r.context.time - 5 < r.session.auth_time", 17, "unexpected '5'"),
        ("!" * 25 + "True", 21, "nested more than 20 deep"),
        ("(" * 25 + "True", 21, "nested more than 20 deep"),
        ("x" * 4001, 4000, "a condition of more than 4000"),
        ("r.session.risk < ٣", 17, "unexpected '٣'"),
        ("r.session.r\u0456sk < 3", 11, "unexpected '\u0456'"),
    ],
)
def test_is_not_a_condition(text: str, offset: int, problem: str) -> None:
    with pytest.raises(ConditionError) as caught:
        checked(text)
    assert problem in caught.value.problem
    assert caught.value.offset == offset


@pytest.mark.parametrize(
    ("text", "offset", "problem"),
    [
        ("r.session.risk", 0, "neither true nor false"),
        ("'a'", 0, "neither true nor false"),
        ("r.device.compliant && 1", 22, "neither true nor false"),
        ("!r.session.risk", 1, "neither true nor false"),
        ("r.device.compliant == 1", 0, "a bool is never equal to a int"),
        ("r.session.risk == '18'", 0, "a int is never equal to a string"),
        ("r.session.risk == True", 0, "a int is never equal to a bool"),
        ("r.session.auth_time < 5", 0, "a time is never equal to a int"),
        ("r.subject.roles == r.session.amr", 0, "lists cannot be compared"),
        ("r.subject.region < 'z'", 19, "is never 'z'"),
        ("r.subject.id < 'z'", 0, "a string has no order"),
        ("r.device.compliant < True", 0, "a bool has no order"),
        ("(r.device.compliant && True) == True", 0, "a comparison cannot be compared again"),
        ("r.subject.region == 'eup'", 20, "subject.region is never 'eup'"),
        ("'agnet' in r.subject.roles", 0, "subject.roles is never 'agnet'"),
        ("r.subject.region in ('eu', 'asia')", 27, "subject.region is never 'asia'"),
        ("r.session.aal in (1, 'a')", 21, "a string among int values"),
        ("r.subject.region in r.subject.id", 20, "in needs a list"),
        ("r.session.risk in r.session.amr", 0, "lists hold texts"),
        ("(r.session.risk && True) in (True, False)", 0, "only an attribute or a constant"),
        ("r.context.time - r.session.auth_time in (10, 20)", 0, "only an attribute or a constant"),
        ("r.context.time == r.session.auth_time", 0, "equality with the present time"),
        ("r.context.time - r.session.auth_time == 5", 0, "equality with the present time"),
        ("r.context.time - r.session.auth_time < r.session.risk", 39, "an age is compared with a number"),
        ("r.context.time < r.context.time", 17, "the present time compared with itself"),
        ("r.context.time - r.context.time < 5", 0, "an age is the present time less another"),
        ("r.session.auth_time - r.context.time < 5", 0, "an age is the present time less another"),
        ("r.session.risk - r.session.aal < 5", 0, "only times may be subtracted"),
        ("r.session.riskk < 5", 0, "session has no attribute 'riskk'"),
        ("r.context.id == 'x'", 0, "context has no attribute 'id'"),
        ("r.resource.scanned", 0, "resource type customer has no attribute 'scanned'"),
    ],
)
def test_does_not_fit_the_schema(text: str, offset: int, problem: str) -> None:
    node = parse(text)
    with pytest.raises(ConditionError) as caught:
        check(node, world.schema(), TYPES)
    assert problem in caught.value.problem
    assert caught.value.offset == offset


def test_an_attribute_of_the_resource_must_be_of_every_type() -> None:
    checked("r.resource.region == 'eu'", ("customer", "card"))
    with pytest.raises(ConditionError, match="card has no attribute 'purposes'"):
        checked("'billing' in r.resource.purposes", ("customer", "card"))
    with pytest.raises(ConditionError, match="no resource type"):
        checked("r.resource.region == 'eu'", ())


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_refused_at_a_place_in_it(text: str) -> None:
    try:
        parse(text)
    except ConditionError as error:
        offset = error.offset
    else:
        offset = 0
    assert 0 <= offset <= len(text)


@given(CONDITIONS)
def test_every_part_knows_where_it_stands(text: str) -> None:
    node = parse(text)
    for part in walk(node):
        assert _framed(text[part.start : part.end]) == type(part).__name__


def _framed(text: str) -> str:
    """Give the kind of node a piece of a condition is by itself; choices need something to be chosen."""
    try:
        return type(parse(text)).__name__
    except ConditionError:
        return type(parse(f"r.session.aal in {text}").right).__name__  # type: ignore[attr-defined]


def views(found: dict[str, dict[str, object]], asked: Context) -> dict[Entity, View]:
    records = world.entities(**found)
    given_ = {entity: held.view for entity, held in zip(Entity, records, strict=False) if held}
    return {**given_, Entity.CONTEXT: context_view(asked, world.schema(), NOW)}


@settings(max_examples=300, deadline=None)
@given(CONDITIONS, known(), CONTEXTS)
def test_it_means_to_casbin_what_it_means_here(
    text: str, found: dict[str, dict[str, object]], asked: Context
) -> None:
    seen = views(found, asked)
    expected = evaluate(checked(text), lambda entity, name: getattr(seen[entity], name))
    matcher = world.policy([world.row("one-rule", text)]).matcher
    assert type(expected) is bool
    assert list(matcher("agent", "read", *(seen[entity] for entity in Entity))) == ([0] if expected else [])


@given(CONDITIONS)
def test_what_a_condition_reads_is_known_beforehand(text: str) -> None:
    read: set[tuple[Entity, str]] = set()
    seen = views({}, world.context())

    def lookup(entity: Entity, name: str) -> object:
        read.add((entity, name))
        return getattr(seen[entity], name)

    node = parse(text)
    evaluate(node, lookup)
    assert read <= refs(node)


@given(CONDITIONS)
def test_a_condition_is_the_conjunction_of_its_conjuncts(text: str) -> None:
    seen = views({}, world.context())

    def value(node: Node) -> bool:
        return bool(evaluate(node, lambda entity, name: getattr(seen[entity], name)))

    assert value(parse(text)) == all(map(value, conjuncts(parse(text))))


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("r.session.risk < 5", set()),
        ("r.context.time < r.subject.trained_until", {(0, "trained_until", 0)}),
        (
            "r.subject.trained_until >= r.context.time || r.resource.keep_until < r.context.time",
            {(0, "trained_until", 0), (3, "keep_until", 0)},
        ),
        ("r.context.time - r.session.auth_time < 300", {(2, "auth_time", 300)}),
        ("!(300.5 < r.context.time - r.session.auth_time)", {(2, "auth_time", 300.5)}),
    ],
)
def test_the_moments_at_which_time_alone_changes_it_are_known(text: str, points: set[tuple[int, str, float]]) -> None:
    assert {tuple(point) for point in turning_points(checked(text))} == points
