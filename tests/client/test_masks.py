"""Masks show what they are meant to and never more, in JSON-like data and in messages."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import any_pb2, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from pdp.client import (
    Decision,
    Handlers,
    Mask,
    Notify,
    Obligation,
    ObligationFailedError,
    Question,
    Reason,
    Watermark,
)
from pdp.client.masks import LEFT_OUT, bin6_last4, cards_in_text, city, initials, last4, pseudonym, year
from pdp.v1 import policy_decision_pb2 as rpc
from pdp.v1 import request_pb2

KEY = b"k" * 32
PAN = "4111 1111 1111 1111"
QUESTION = Question(("user", "alice"), "read", ("customer", "c-1"))


def owed(field: str, mask: str) -> Obligation:
    return Obligation(f"mask-{field}", "mask", mandatory=True, properties={"field": field, "mask": mask})


def show(field: str, mask: str, data: Any) -> Any:
    return Mask(KEY).transform(owed(field, mask), QUESTION, data)


@pytest.mark.parametrize(
    ("mask", "value", "shown"),
    [
        (last4, "AB123456C", "*****456C"),
        (last4, "1234", "****"),
        (last4, 123456789, LEFT_OUT),
        (year, "1815-12-10", "1815"),
        (year, "1815-12-10T10:00:00Z", "1815"),
        (year, "10.12.1815", LEFT_OUT),
        (city, {"street": "1 Main", "city": "Leeds"}, {"city": "Leeds"}),
        (city, "1 Main, Leeds", LEFT_OUT),
        (city, {"city": {"street": "1 Main"}}, LEFT_OUT),
        (bin6_last4, PAN, "4111 11** **** 1111"),
        (bin6_last4, "4111-1111-1111-1111", "4111-11**-****-1111"),
        (bin6_last4, "4111", LEFT_OUT),
        (bin6_last4, 4111111111111111, LEFT_OUT),
        (initials, "Ada King  Lovelace", "A. K. L."),
        (initials, None, LEFT_OUT),
    ],
)
def test_each_mask_shows_a_part_or_nothing(mask: Any, value: Any, shown: Any) -> None:
    assert mask(value) == shown


def test_a_field_is_masked_wherever_it_is() -> None:
    data = {
        "rows": [{"pan": PAN, "n": 1}, {"deep": {"pan": [PAN, 7]}}],
        "note": f"card {PAN}, call 0123456789",
        "x": None,
    }
    masked = "4111 11** **** 1111"
    assert show("pan", "bin6_last4", data) == {
        "rows": [{"pan": masked, "n": 1}, {"deep": {"pan": [masked]}}],
        "note": f"card {masked}, call 0123456789",
        "x": None,
    }
    assert data["rows"][0]["pan"] == PAN  # type: ignore[index]
    assert show("pan", "redact", {"pan": PAN, "a": 1}) == {"a": 1}
    with pytest.raises(TypeError):
        show("pan", "redact", {"a": object()})


@given(st.text("0123456789 -", min_size=13, max_size=40))
def test_no_more_than_ten_digits_of_a_card_are_shown(text: str) -> None:
    shown = bin6_last4(text)
    assert shown is LEFT_OUT or sum(map(str.isdigit, shown)) == 10
    for number in (PAN, "378282246310005", "30569309025904"):
        assert number not in cards_in_text(f"a{number}b {text}")


@given(st.text(), st.text())
def test_a_pseudonym_is_stable_and_tells_people_apart(one: str, other: str) -> None:
    assert pseudonym(KEY, one) == pseudonym(KEY, one)
    assert (pseudonym(KEY, one) == pseudonym(KEY, other)) == (one == other)
    assert pseudonym(b"o" * 32, one) != pseudonym(KEY, one)


def test_a_message_is_masked_in_place() -> None:
    message = rpc.BatchEvaluateRequest()
    item = message.items.add(session_id="s-123456789")
    item.context.emergency_reason = f"customer said {PAN}"
    item.context.supported_obligations.extend([PAN, "mask"])
    show("session_id", "last4", message)
    assert message.items[0].session_id == "*******6789"
    show("nothing", "bin6_last4", message)
    assert message.items[0].context.emergency_reason == "customer said 4111 11** **** 1111"
    assert list(message.items[0].context.supported_obligations) == ["4111 11** **** 1111", "mask"]
    show("supported_obligations", "redact", message)
    assert not message.items[0].context.supported_obligations
    show("subject", "last4", rpc.EvaluateRequest(subject=request_pb2.Subject(id="a")))


def test_a_field_of_another_kind_is_left_out_whole() -> None:
    message = rpc.EvaluateRequest(subject=request_pb2.Subject(id="a"))
    message.context.emergency = True
    show("subject", "last4", message)
    show("emergency", "last4", message)
    assert not message.HasField("subject")
    assert not message.context.emergency


def test_structs_are_masked_as_json_and_any_is_refused() -> None:
    struct = struct_pb2.Struct()
    struct.update({"name": "Ada King", "list": [{"name": "B C"}], "n": 1, "b": True, "z": None})
    show("name", "initials", struct)
    assert dict(struct)["name"] == "A. K."
    assert struct["list"][0]["name"] == "B. C."
    assert (struct["n"], struct["b"], struct["z"]) == (1, True, None)
    with pytest.raises(TypeError):
        show("name", "initials", any_pb2.Any())


def test_only_what_is_understood_is_vouched_for() -> None:
    assert Mask(KEY).understands(owed("pan", "pseudonym"))
    assert not Mask().understands(owed("pan", "pseudonym"))
    assert not Mask(KEY).understands(owed("pan", "blur"))
    assert not Mask(KEY).understands(owed("", "redact"))
    extra = Obligation("m", "mask", mandatory=True, properties={"field": "a", "mask": "redact", "unless": "b"})
    assert not Mask(KEY).understands(extra)
    with pytest.raises(ValueError, match="32 bytes"):
        Mask(b"short")
    with pytest.raises(ValueError, match="two handlers"):
        Handlers([Mask(), Mask()])


def allow(*obligations: Obligation, allowed: bool = True) -> Decision:
    return Decision(allowed, "d", (Reason("PERMITTED"),), obligations)


def test_an_allow_that_owes_what_is_not_understood_is_a_deny() -> None:
    handlers = Handlers([Mask()])
    assert handlers.vet(allow(owed("a", "redact"))).allowed
    refused = handlers.vet(allow(owed("a", "redact"), owed("b", "blur")))
    assert not refused.allowed
    assert refused.reasons == (Reason("OBLIGATION_UNSUPPORTED", "mask-b"),)
    assert handlers.vet(allow(owed("b", "blur")._replace(mandatory=False))).allowed
    assert not Handlers().vet(allow(Obligation("n", "notify", mandatory=True, properties={}))).allowed


async def test_a_notice_that_fails_fails_the_allow_and_advice_does_not() -> None:
    told: list[str] = []

    def broken(obligation: Obligation, _question: Question, _decision: Decision) -> None:
        told.append(obligation.id)
        raise ConnectionError("customer 4111111111111111")

    async def works(obligation: Obligation, _question: Question, _decision: Decision) -> None:
        told.append(obligation.id)

    must = Obligation("tell", "notify", mandatory=True, properties={"to": "customer"})
    with pytest.raises(ObligationFailedError, match=r"tell: failed: ConnectionError$"):
        await Handlers([Notify(broken)]).before(QUESTION, allow(must))
    await Handlers([Notify(broken)]).before(QUESTION, allow(must._replace(mandatory=False)))
    await Handlers([Notify(broken)]).before(QUESTION, allow(must, allowed=False))
    await Handlers([Notify(works, "review")]).before(QUESTION, allow(must._replace(type="review")))
    assert told == ["tell"] * 4
    with pytest.raises(ObligationFailedError, match=r"failed: ObligationFailedError"):
        await Handlers().before(QUESTION, allow(must))


def test_a_watermark_says_who_and_when() -> None:
    mark = Obligation("watermark", "watermark", mandatory=True, properties={"text": "subject_and_time"})
    handlers = Handlers([Watermark(clock=lambda: 0.0)])
    shown = handlers.transform(QUESTION, allow(mark), {"a": 1})
    assert shown == {"a": 1, "watermark": "user:alice 1970-01-01T00:00:00Z"}
    with pytest.raises(ObligationFailedError):
        handlers.transform(QUESTION, allow(mark), [1])
    assert not Watermark().understands(mark._replace(properties={"text": "logo"}))
    placed = Handlers([Watermark(lambda data, text: (data, text), lambda: 0.0)])
    assert placed.transform(QUESTION, allow(mark), [1]) == ([1], "user:alice 1970-01-01T00:00:00Z")
