"""Push delivery over HTTP: what a transmitter is answered (RFC 8935, sections 2.2 to 2.4)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from pdp.api.signals import SignalPush
from pdp.server.rpc import HttpRequest, HttpResponse, Peer
from tests.attributes.support import Server, running
from tests.signals.support import EXECUTABLE, OPAQUE, SESSION, World, receiving
from tests.signals.transmitter import CAEP, Transmitter

TYPE = "application/secevent+jwt"
PATH = "/signals/push"


@pytest.fixture
def server() -> Iterator[Server]:
    with running(EXECUTABLE) as one:
        yield one


@pytest.fixture
async def receiver(server: Server) -> AsyncIterator[World]:
    with Transmitter() as transmitter:
        async with receiving(server, transmitter) as one:
            yield one


async def push(world: World, body: bytes, **headers: str) -> HttpResponse:
    handler = SignalPush(world.receiver, PATH).handlers()["POST", PATH]
    named = {name.replace("_", "-"): value for name, value in {"content_type": TYPE, **headers}.items()}
    return await handler(HttpRequest("POST", PATH, "", named, body, Peer()))


def error_of(answer: HttpResponse) -> dict[str, str]:
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-language"] == "en"
    found = json.loads(answer.body)
    assert set(found) == {"err", "description"}
    return found


async def test_an_accepted_token_is_answered_202_and_nothing_more(receiver: World) -> None:
    answer = await push(receiver, receiver.transmitter.token(CAEP + "session-revoked", OPAQUE) + b"\r\n")
    assert answer == HttpResponse(202)
    assert await receiver.attribute(SESSION, "revoked") is True


async def test_so_is_one_that_comes_again(receiver: World) -> None:
    token = receiver.transmitter.token(CAEP + "session-revoked", OPAQUE)
    assert [(await push(receiver, token)).status for _ in range(2)] == [202, 202]


@pytest.mark.parametrize("content_type", ["", "application/json", "application/jwt", "text/plain"])
async def test_another_content_type_is_refused(receiver: World, content_type: str) -> None:
    before = receiver.stored()
    token = receiver.transmitter.token(CAEP + "session-revoked", OPAQUE)
    answer = await push(receiver, token, content_type=content_type)
    assert (answer.status, error_of(answer)["err"]) == (400, "invalid_request")
    assert receiver.stored() == before


async def test_parameters_of_the_content_type_are_passed_over(receiver: World) -> None:
    token = receiver.transmitter.token(CAEP + "session-revoked", OPAQUE)
    assert (await push(receiver, token, content_type="Application/SecEvent+JWT; charset=utf-8")).status == 202


async def test_a_refusal_says_its_code_and_never_a_value(receiver: World) -> None:
    token = receiver.transmitter.token(CAEP + "session-revoked", OPAQUE, aud="https://private.example.com")
    answer = await push(receiver, token)
    assert (answer.status, error_of(answer)["err"]) == (400, "invalid_audience")
    assert b"private" not in answer.body


async def test_what_is_not_the_token_s_fault_is_to_be_sent_again(receiver: World) -> None:
    receiver.transmitter.down = True
    answer = await push(receiver, receiver.transmitter.token(CAEP + "session-revoked", OPAQUE))
    assert (answer.status, error_of(answer)["err"]) == (503, "authentication_failed")
    assert int(answer.headers["retry-after"]) > 0


def test_without_a_path_nothing_is_pushed(receiver: World) -> None:
    assert SignalPush(receiver.receiver, "").handlers() == {}
