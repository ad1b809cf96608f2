"""Answers as records: encoding one straight away gives what encoding its record gives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.audit.decoding import decoder
from pdp.audit.encoding import Encoded, RecordEncoder
from pdp.audit.framing import INLINE
from pdp.audit.identifiers import IdentifierPolicy, Identifiers, Treatment
from pdp.audit.records import record_of
from pdp.audit.sealing import Sealer
from pdp.core.decision import AttributeUse, Decision, Effect, Entity, Obligation
from pdp.core.reasons import Cause, Reason
from pdp.core.request import Context, EntityRef, Request
from pdp.ports import Answer, Caller
from pdp.signing.pseudonyms import PseudonymKey

TIME = "2026-01-31T08:00:00.000001Z"
POLICIES = [
    IdentifierPolicy(),
    IdentifierPolicy(*[Treatment.CLEAR] * 5),
    IdentifierPolicy(*[Treatment.OMIT] * 5, resource_types={"customer": Treatment.PSEUDONYM}),
]

words = st.sampled_from(["a", "b", "customer", 'quote " and %s', "é", "\0", ""])
refs = st.builds(EntityRef, words, words)
contexts = st.builds(Context, words, emergency=st.booleans(), emergency_reason=words)
requests = st.one_of(st.none(), st.builds(Request, refs, words, refs, contexts, words, words))
causes = st.lists(st.builds(Cause, st.sampled_from(Reason), words), min_size=1, max_size=2).map(tuple)
uses = st.lists(
    st.builds(AttributeUse, st.sampled_from(list(Entity)), st.integers(1, 1 << 60), st.just(0.0)),
    max_size=3,
    unique_by=lambda use: use.entity,
).map(tuple)
decisions = st.builds(
    Decision,
    st.sampled_from(Effect),
    causes,
    st.lists(words, max_size=2).map(tuple),
    st.lists(st.builds(Obligation, words, st.just("mask")), max_size=2).map(tuple),
    words,
    uses,
)
callers = st.builds(Caller, words, st.just("evaluate"), st.none(), st.just(0.0))
answers = st.builds(
    Answer, words, words, st.just(0.0), requests, callers, decisions, st.just(0.0), cached=st.booleans()
)


def encoder(policy: IdentifierPolicy = POLICIES[0], sealer: Sealer | None = None) -> RecordEncoder:
    made = RecordEncoder("w0", Identifiers(policy, PseudonymKey("1", b"k" * 32)))
    made.start_segment(sealer)
    return made


def texts(encoded: list[Encoded], sealer: Sealer | None = None) -> list[dict[str, Any]]:
    """The records as a reader of the segment finds them."""
    reader, found = decoder(sealed=sealer is not None, sealer=sealer), []
    for seq, (tag, stored, leaf_input, definition) in enumerate(encoded):
        if definition is not None:
            reader.define(seq, definition)
        assert reader.leaf_input(tag, seq, stored) == leaf_input
        found.append(json.loads(reader.text(tag, seq, stored)))
    return found


@given(st.lists(answers, min_size=1, max_size=6), st.sampled_from(POLICIES), st.booleans())
def test_an_answer_is_encoded_as_its_record_is(given: list[Answer], policy: IdentifierPolicy, sealed: bool) -> None:  # noqa: FBT001
    sealer = Sealer(b"d" * 32) if sealed else None
    fused, plain = encoder(policy, sealer), encoder(policy, sealer)
    twice = [*given, *given]
    straight = [fused.encode(answer, seq, TIME) for seq, answer in enumerate(twice)]
    assert straight == [plain.encode(record_of(answer), seq, TIME) for seq, answer in enumerate(twice)]
    assert [record["seq"] for record in texts(straight, sealer)] == list(range(len(twice)))


def answer(number: int, **changes: Any) -> Answer:
    request = Request(EntityRef("user", "alice"), "read", EntityRef("customer", f"c-{number}"), Context("billing"))
    decision = Decision(Effect.ALLOW, (Cause(Reason.PERMITTED, "r-1"),), ("r-1",), (), "sha256:00")
    caller = Caller("spiffe://example.org/pep", "evaluate", None, 0.0)
    made = Answer(f"{number:032x}", "f" * 32, 1.0, request, caller, decision, 0.0, cached=True)
    return made._replace(**changes)


@pytest.mark.parametrize(
    "change",
    [
        {"effect": Effect.DENY},
        {"causes": (Cause(Reason.PERMITTED, "r-2"),)},
        {"causes": (Cause(Reason.ROUTE_UNKNOWN, "r-1"),)},
        {"rules": ("r-2",)},
        {"obligations": (Obligation("mask-pan", "mask"),)},
        {"revision": "sha256:01"},
        {"attributes": (AttributeUse(Entity.SUBJECT, 1, 0.0),)},
    ],
)
def test_whatever_differs_in_a_decision_differs_in_its_record(change: dict[str, Any]) -> None:
    """No two decisions share a template by mistake."""
    first, second = answer(1), answer(2, decision=answer(2).decision._replace(**change))
    made = encoder()
    found = texts([made.encode(one, seq, TIME) for seq, one in enumerate((first, second, first, second))])
    for seq, one in enumerate((first, second, first, second)):
        expected = record_of(one)
        for name in ("kind", "outcome", "reasons", "obligations", "revision", "attribute_versions"):
            assert found[seq][name] == expected[name]
        assert found[seq]["rules"] == list(one.decision.rules)


@pytest.mark.parametrize(
    "change",
    [
        {"action": "export"},
        {"resource": EntityRef("payment", "c-2")},
        {"context": Context("fraud_review")},
        {"context": Context()},
        {"session": "s-1"},
        {"device": "d-1"},
        {"subject": EntityRef("service", "alice")},
    ],
)
def test_whatever_differs_in_a_request_differs_in_its_record(change: dict[str, Any]) -> None:
    request = answer(1).request
    assert request is not None
    first, second = answer(1), answer(2, request=request._replace(**change))
    made = encoder(POLICIES[1])
    found = texts([made.encode(one, seq, TIME) for seq, one in enumerate((first, second, first, second))])
    for seq, one in enumerate((first, second, first, second)):
        expected = record_of(one)
        for name in ("subject", "action", "resource", "purpose", "session", "device", "caller"):
            assert found[seq][name] == expected[name]


def test_an_answer_beyond_the_last_template_is_stored_whole_and_entire() -> None:
    made = encoder()
    for number in range(4096):
        changed = answer(number).decision._replace(rules=(f"r-{number}",))
        assert made.encode(answer(number, decision=changed), number, TIME)[0] != INLINE
    changed = answer(1).decision._replace(rules=("one more",))
    for _ in range(2):
        tag, stored, _, definition = made.encode(answer(1, decision=changed), 4096, TIME)
        assert (tag, definition) == (INLINE, None)
        assert json.loads(stored)["rules"] == ["one more"]
        assert json.loads(stored)["subject"].startswith("~1:")
