"""The abstraction says the truth: what it finds evaluates so, and what it rules out no value brings about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdp.core.condition import Node, check, evaluate, parse
from pdp.core.decision import Entity
from pdp.core.entities import Entities, context_view, view_of
from pdp.core.schema import Schema
from pdp.policy import load_schema
from pdp.workbench.logic.candidates import candidates_of
from pdp.workbench.logic.formula import Among, Either, Every, Has
from pdp.workbench.logic.search import BudgetExceededError, Searcher
from pdp.workbench.logic.space import Space
from pdp.workbench.logic.translate import Translator
from pdp.workbench.logic.witness import Witness, make_witness
from tests.workbench.example import write

ATOMS: Final = (
    "r.session.vpn",
    "r.device.compliant == False",
    "r.device.compliant == r.session.vpn",
    "r.session.aal < 2",
    "2 <= r.session.aal",
    "r.session.risk > 50",
    "r.session.risk != 50",
    "r.session.risk in (49, 51)",
    "r.session.risk <= r.resource.amount",
    "r.resource.amount < r.session.aal",
    "r.resource.amount == r.session.risk",
    "r.context.time - r.session.auth_time > 900",
    "r.context.time - r.session.auth_time <= 900.5",
    "r.session.auth_time < r.context.time",
    "r.context.purpose == 'care'",
    "r.context.purpose in ('care', 'billing')",
    "r.subject.team == 'north'",
    "r.resource.team == r.subject.team",
    "r.resource.owner == r.subject.id",
    "r.resource.owner != r.resource.team",
    "r.session.subject == r.resource.owner",
    "'draft' in r.resource.tags",
    "r.resource.team in r.resource.tags",
    "r.subject.team in r.subject.roles",
    "'clerk' in r.subject.roles",
    "r.subject.type == 'user'",
    "True",
    "'a' == 'b'",
)


def conditions() -> st.SearchStrategy[str]:
    """Combine atoms."""
    return st.recursive(
        st.sampled_from(ATOMS),
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=4).map(lambda parts: "(" + " && ".join(parts) + ")"),
            st.lists(inner, min_size=2, max_size=4).map(lambda parts: "(" + " || ".join(parts) + ")"),
            inner.map(lambda part: f"!({part})"),
        ),
        max_leaves=8,
    )


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Schema:
    return load_schema(write(tmp_path_factory.mktemp("policy")) / "schema.yaml")


def lookup_of(schema: Schema, entities: Entities, witness: Witness) -> Callable[[Entity, str], Any]:
    context = context_view(witness.request.context, schema, witness.now)
    return lambda entity, name: getattr(context if entity is Entity.CONTEXT else view_of(entities, entity), name)


def solved(schema: Schema, node: Node, extra: tuple[Node, ...] = ()) -> Witness | None:
    space = Space(schema, "invoice", [node, *extra])
    translator = Translator(space)
    state = Searcher(space.floors).find(space.initial, [translator.formula(node)])
    return None if state is None else make_witness(space, state, "read", frozenset())


def parsed(schema: Schema, text: str) -> Node:
    node = parse(text)
    check(node, schema, ["invoice"])
    return node


@settings(max_examples=300, deadline=None)
@given(text=conditions())
def test_what_is_found_evaluates_so(schema: Schema, text: str) -> None:
    node = parsed(schema, text)
    witness = solved(schema, node)
    if witness is not None:
        assert evaluate(node, lookup_of(schema, witness.entities, witness)) is True
    negated = parsed(schema, f"!({text})")
    other = solved(schema, negated)
    if other is not None:
        assert evaluate(node, lookup_of(schema, other.entities, other)) is False
    assert witness is not None or other is not None


@settings(max_examples=150, deadline=None)
@given(text=conditions(), seeds=st.lists(conditions(), min_size=4, max_size=8))
def test_what_is_ruled_out_no_value_brings_about(schema: Schema, text: str, seeds: list[str]) -> None:
    """Whatever other conditions lead to, a condition without a witness is false there."""
    node = parsed(schema, text)
    if solved(schema, node) is not None:
        return
    for seed in seeds:
        other = parsed(schema, seed)
        witness = solved(schema, other, extra=(node,))
        if witness is not None:
            assert evaluate(node, lookup_of(schema, witness.entities, witness)) is False


@settings(max_examples=200, deadline=None)
@given(text=conditions(), other=conditions())
def test_a_value_known_beforehand_is_the_value_found(schema: Schema, text: str, other: str) -> None:
    """The three-valued reading of a state agrees with every choice that the state leaves."""
    one, two = parsed(schema, text), parsed(schema, other)
    space = Space(schema, "invoice", [one, two])
    translator = Translator(space)
    state = Searcher(space.floors).find(space.initial, [translator.formula(one)])
    if state is None:
        return
    known = translator.formula(two).value(state)
    witness = make_witness(space, state, "read", frozenset())
    if known is not None:
        assert evaluate(two, lookup_of(schema, witness.entities, witness)) is known


@pytest.mark.parametrize(
    ("text", "satisfiable"),
    [
        ("r.session.aal > 2 && r.session.aal < 3", False),
        ("r.session.aal > 1 && r.session.aal < 3", True),
        ("r.session.risk > 100", False),
        ("r.resource.amount < 0", False),
        ("r.session.risk < r.resource.amount && r.resource.amount < r.session.aal", True),
        ("r.session.risk < r.resource.amount && r.resource.amount < r.session.aal && r.session.risk > 1", False),
        ("r.session.risk < r.resource.amount && r.resource.amount < r.session.aal && r.session.risk > 0", True),
        ("r.resource.owner == r.subject.id && r.subject.id == 'a' && r.resource.owner == 'b'", False),
        ("r.resource.owner != r.subject.id && r.resource.owner != 'a' && r.subject.id != 'a'", True),
        ("r.session.subject != r.subject.id", False),
        ("r.subject.id == 'has space'", False),
        ("r.subject.team == 'has space'", True),
        ("r.subject.type != 'user'", False),
        ("r.resource.type == 'health_note'", False),
        ("!('clerk' in r.subject.roles) && !('lead' in r.subject.roles) && !('officer' in r.subject.roles)", False),
        ("!('clerk' in r.subject.roles) && !('lead' in r.subject.roles)", True),
        ("!('draft' in r.resource.tags) && !('final' in r.resource.tags) && !('disputed' in r.resource.tags)", True),
        ("r.resource.team in r.resource.tags && !(r.resource.team in ('draft', 'final', 'disputed'))", False),
        ("r.context.time - r.session.auth_time > 900 && r.session.auth_time > r.context.time", False),
        ("r.context.time - r.session.auth_time > 900.5 && r.context.time - r.session.auth_time < 901", False),
        ("r.context.time - r.session.auth_time > 900 && r.context.time - r.session.auth_time < 901.5", True),
    ],
)
def test_borders(schema: Schema, text: str, satisfiable: bool) -> None:  # noqa: FBT001 - a column of the table
    assert (solved(schema, parsed(schema, text)) is not None) is satisfiable


def test_the_search_says_when_it_gives_up() -> None:
    """Seven pigeons in six holes: no narrowing helps, and splitting takes long."""
    holes, pigeons = 6, 7
    full = (1 << holes) - 1
    every = [Among(at, full, full) for at in range(pigeons)]
    apart = [
        Either((Among(one, full & ~(1 << hole), full), Among(two, full & ~(1 << hole), full)))
        for hole in range(holes)
        for one in range(pigeons)
        for two in range(one)
    ]
    with pytest.raises(BudgetExceededError):
        Searcher((), steps=50).find([full] * pigeons, [*every, *apart])
    assert Searcher((), steps=100_000).find([full] * pigeons, [*every, *apart]) is None
    fewer = [it for it in apart if max(it.slots) < holes]
    assert Searcher((), steps=100_000).find([full] * holes, fewer) is not None


def test_the_cheapest_is_the_cheapest() -> None:
    full = 0b111
    choice = Either((Among(0, 0b100, full), Every((Among(1, 0b10, full), Among(2, 0b10, full)))))
    present = [0b001, 0b001, 0b001]

    def price(state: list[int]) -> int:
        return sum(weight for at, weight in enumerate(weights) if not state[at] & present[at])

    weights = [5, 1, 1]
    found = Searcher(()).cheapest([full] * 3, [choice], price, 100)
    assert found is not None
    assert (price(found), found[0] & present[0]) == (2, 1)
    weights = [1, 1, 1]
    assert (found := Searcher(()).cheapest([full] * 3, [choice], price, 100)) is not None
    assert (price(found), found[0]) == (1, 0b100)
    assert Searcher(()).cheapest([full] * 3, [choice], price, 1) is None


def test_a_list_keeps_its_least_number_of_items() -> None:
    searcher = Searcher([(1, 2)])
    without = [Has(0, 1, 1 << at, wanted=False) for at in range(3)]
    assert searcher.find([0, 0b111], without[:1]) is not None
    assert searcher.find([0, 0b111], without[:2]) is None


def test_numbers_between_constants_are_kept_apart(schema: Schema) -> None:
    amount = schema.resources["invoice"]["amount"]
    both = candidates_of([amount, amount], [10, 13])
    assert [it for it in both if isinstance(it, int) and 9 < it < 14] == [10, 11, 12, 13]
    assert 0 in both
