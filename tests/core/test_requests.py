"""Requests: names from an allow-listed alphabet, and the trace they belong to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.core.decision import Entity
from pdp.core.entities import refs
from pdp.core.errors import InvalidRequestError
from pdp.core.request import Context, EntityRef, Request, validate
from pdp.core.trace import TraceParent, parse_traceparent
from tests.core.world import context, request

PLACES = {
    "subject.type": lambda it: request(subject=EntityRef(it, "alice")),
    "subject.id": lambda it: request(subject=EntityRef("user", it)),
    "action.name": lambda it: request(action=it),
    "resource.type": lambda it: request(resource=EntityRef(it, "c-1")),
    "resource.id": lambda it: request(resource=EntityRef("customer", it)),
    "session.id": lambda it: request(session=it),
    "device.id": lambda it: request(device=it),
    "context.purpose": lambda it: request(context=context(purpose=it)),
    "context.channel": lambda it: request(context=context(channel=it)),
    "context.network": lambda it: request(context=context(network=it)),
}
BAD = [
    "a\0b",
    "a b",
    "a\nb",
    "a|b",
    "ünïcode",
    "\u0430lice",
    "../x",
    "-x",
    "x" * 256,
    "a\u200bb",
    "a\r\n",
    "a%2Fb",
    "\ud800",
    "a'b",
]


def test_a_plain_request_passes() -> None:
    validate(request())
    validate(request(session="", device="", context=Context()))
    validate(request(subject=EntityRef("user", "alice@example.org/x+y=z~_:1")))


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("place", PLACES)
def test_a_name_outside_the_alphabet_is_refused_by_field_and_not_repeated(place: str, bad: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validate(PLACES[place](bad))
    assert caught.value.field == place
    assert bad not in str(caught.value)


@pytest.mark.parametrize("place", ["subject.type", "subject.id", "action.name", "resource.type", "resource.id"])
def test_a_missing_name_is_said_to_be_missing(place: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validate(PLACES[place](""))
    assert str(caught.value) == f"{place}: is missing"


@pytest.mark.parametrize(
    ("circumstances", "problem"),
    [
        (Context(emergency=True), "is required with emergency"),
        (Context(emergency_reason="fire"), "is given without emergency"),
        (Context(emergency=True, emergency_reason="x" * 513), "is longer than 512"),
    ],
)
def test_emergency_and_its_reason_go_together(circumstances: Context, problem: str) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        validate(request(context=circumstances))


def test_an_obligation_type_outside_the_alphabet_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match=r"context\.supported_obligations"):
        validate(request(context=context(supported_obligations=frozenset({"mask", "Mask!"}))))


@given(st.sampled_from(sorted(PLACES)), st.text(max_size=20))
def test_whatever_passes_is_plain_ascii(place: str, text: str) -> None:
    asked = PLACES[place](text)
    try:
        validate(asked)
    except InvalidRequestError as error:
        refused = error.field
    else:
        refused = ""
    assert refused in ("", place)
    assert refused or text == "" or (text.isascii() and text.isprintable() and " " not in text)


def test_records_are_asked_for_the_parties_that_are_named() -> None:
    asked = request()
    assert dict(refs(asked)) == {
        Entity.SUBJECT: asked.subject,
        Entity.RESOURCE: asked.resource,
        Entity.DEVICE: EntityRef("device", "d-1"),
        Entity.SESSION: EntityRef("session", "s-1"),
    }
    assert [entity for entity, _ in refs(Request(asked.subject, "read", asked.resource))] == [
        Entity.SUBJECT,
        Entity.RESOURCE,
    ]


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "parent"),
    [
        (f"00-{TRACE}-{SPAN}-01", TraceParent(TRACE, SPAN, sampled=True)),
        (f"00-{TRACE}-{SPAN}-00", TraceParent(TRACE, SPAN, sampled=False)),
        (f"00-{TRACE}-{SPAN}-03", TraceParent(TRACE, SPAN, sampled=True)),
        (f"cc-{TRACE}-{SPAN}-01-what-will-be", TraceParent(TRACE, SPAN, sampled=True)),
        ("", None),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-1", None),
        (f"00-{TRACE}-{SPAN}-01\n", None),
    ],
)
def test_a_traceparent_is_read_or_a_new_trace_starts(header: str, parent: TraceParent | None) -> None:
    assert parse_traceparent(header) == parent
