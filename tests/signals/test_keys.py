"""Keys by jwks_uri: cached, rotated, slow, down; and how often a transmitter is asked for them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pdp.ports import Outcome
from pdp.signals import SetError, SetErrorCode
from tests.attributes.support import Server, eventually
from tests.signals.support import OPAQUE, World, receiving, signals_text, with_line
from tests.signals.transmitter import CAEP, Transmitter, new_key, sign

REVOKED = CAEP + "session-revoked"


async def receive(world: World, token: bytes | None = None) -> Outcome:
    return (await world.receiver.receive(token or world.transmitter.token(REVOKED, OPAQUE), "")).outcome


async def refusal(world: World, token: bytes | None = None) -> SetError:
    before = world.stored()
    with pytest.raises(SetError) as refused:
        await receive(world, token)
    assert world.stored() == before
    return refused.value


async def test_keys_are_fetched_once(world: World) -> None:
    for _ in range(5):
        await receive(world)
    assert world.transmitter.keys_fetched == 1


async def test_a_rotated_key_is_found(world: World) -> None:
    await receive(world)
    world.transmitter.rotate()
    assert await receive(world) is Outcome.OUTDATED
    assert world.transmitter.keys_fetched == 2


async def test_a_key_that_is_withdrawn_ends_with_the_next_fetch(world: World) -> None:
    old = world.transmitter.key
    await receive(world)
    world.transmitter.rotate()
    await receive(world)
    by_old = sign(world.transmitter.claims(REVOKED, OPAQUE), old)
    assert (await refusal(world, by_old)).code is SetErrorCode.INVALID_KEY


async def test_both_keys_hold_while_a_rotation_goes_on(world: World) -> None:
    old = world.transmitter.key
    world.transmitter.rotate(keep=True)
    assert await receive(world) is Outcome.APPLIED
    assert await receive(world, sign(world.transmitter.claims(REVOKED, OPAQUE), old)) is Outcome.OUTDATED


async def test_unknown_keys_are_asked_for_no_oftener_than_the_interval_allows(
    server: Server, transmitter: Transmitter
) -> None:
    async with receiving(server, transmitter, keys_interval=60.0) as world:
        await receive(world)
        for _ in range(20):
            forged = sign(transmitter.claims(REVOKED, OPAQUE), new_key())
            assert (await refusal(world, forged)).code is SetErrorCode.INVALID_KEY
        assert transmitter.keys_fetched == 1


async def test_tokens_that_come_together_share_one_fetch(world: World) -> None:
    world.transmitter.delay = 0.1
    outcomes = await asyncio.gather(*(receive(world) for _ in range(10)))
    assert outcomes.count(Outcome.APPLIED) == 1
    assert world.transmitter.keys_fetched == 1


async def test_a_token_without_kid_means_the_only_key(world: World) -> None:
    def without_kid() -> bytes:
        return sign(world.transmitter.claims(REVOKED, OPAQUE), world.transmitter.key, kid=None)

    assert await receive(world, without_kid()) is Outcome.APPLIED
    world.transmitter.published.append(new_key())
    world.transmitter.rotate(keep=True)
    await receive(world)
    assert (await refusal(world, without_kid())).code is SetErrorCode.INVALID_KEY


async def test_down_from_the_start_the_token_is_to_be_sent_again(world: World) -> None:
    world.transmitter.down = True
    token = world.transmitter.token(REVOKED, OPAQUE)
    refused = await refusal(world, token)
    assert (refused.code, refused.transient) == (SetErrorCode.AUTHENTICATION_FAILED, True)
    world.transmitter.down = False
    assert await receive(world, token) is Outcome.APPLIED


async def test_down_later_the_keys_that_are_known_go_on(server: Server, transmitter: Transmitter) -> None:
    async with receiving(server, transmitter, keys_age=0.01) as world:
        await receive(world)
        transmitter.down = True
        await asyncio.sleep(0.02)
        assert await receive(world) is Outcome.OUTDATED


async def test_but_not_beyond_the_grace(server: Server, transmitter: Transmitter) -> None:
    async with receiving(server, transmitter, keys_age=0.01, keys_grace=0.0) as world:
        await receive(world)
        transmitter.down = True
        await asyncio.sleep(0.02)
        assert (await refusal(world)).transient


async def test_down_while_rotating_a_new_key_is_not_held_against_the_token(world: World) -> None:
    await receive(world)
    world.transmitter.rotate()
    world.transmitter.down = True
    token = world.transmitter.token(REVOKED, OPAQUE)
    refused = await refusal(world, token)
    assert (refused.code, refused.transient) == (SetErrorCode.INVALID_KEY, True)
    world.transmitter.down = False
    assert await receive(world, token) is Outcome.OUTDATED


async def test_slow_is_given_up(server: Server, transmitter: Transmitter) -> None:
    async with receiving(server, transmitter, request_timeout=0.1) as world:
        transmitter.delay = 1.0
        began = time.monotonic()
        assert (await refusal(world)).transient
        assert time.monotonic() - began < 0.9


async def test_keys_of_other_uses_and_unknown_kinds_are_passed_over(world: World) -> None:
    world.transmitter.answer_keys = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": world.transmitter.key.kid},
        {**new_key(kid=world.transmitter.key.kid).as_dict(private=False), "use": "enc"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": "broken"},
        "no key",
        world.transmitter.key.as_dict(private=False),
    ]
    assert await receive(world) is Outcome.APPLIED


@pytest.mark.parametrize("document", ["no object", {"keys": "none"}, {"keys": [{}] * 101}])
async def test_what_is_no_key_set_is_as_good_as_none(world: World, document: object) -> None:
    world.transmitter.answer_jwks = document
    assert (await refusal(world)).transient


async def test_a_key_for_another_algorithm_does_not_fit(world: World) -> None:
    data = world.transmitter.key.as_dict(private=False)
    world.transmitter.answer_keys = [{**data, "alg": "ES384"}]
    assert (await refusal(world)).code is SetErrorCode.INVALID_KEY


@contextlib.asynccontextmanager
async def keeping(
    server: Server, transmitter: Transmitter, line: str = "", **settings: object
) -> AsyncIterator[World]:
    """Run a receiver that has keys at hand before they are needed."""
    text = signals_text(transmitter)
    async with receiving(server, transmitter, text=with_line(text, line) if line else text, **settings) as world:
        task = asyncio.create_task(world.receiver.keep_keys())
        try:
            yield world
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_the_first_signal_finds_the_keys_at_hand(server: Server, transmitter: Transmitter) -> None:
    async with keeping(server, transmitter) as world:
        # Not only asked for: the answer has come as well.
        await eventually(lambda: any(held.keys for held in world.receiver._keys._held.values()))
        transmitter.down = True
        assert await receive(world) is Outcome.APPLIED
        assert transmitter.keys_fetched == 1


async def test_keys_are_renewed_before_a_signal_would_have_to_wait(server: Server, transmitter: Transmitter) -> None:
    async with keeping(server, transmitter, keys_age=2.0) as world:
        await eventually(lambda: transmitter.keys_fetched >= 3)
        fetched = transmitter.keys_fetched
        assert await receive(world) is Outcome.APPLIED
        assert transmitter.keys_fetched <= fetched + 1


async def test_keys_that_cannot_be_had_are_said_once_and_tried_again(
    server: Server, transmitter: Transmitter, caplog: pytest.LogCaptureFixture
) -> None:
    transmitter.down = True
    with caplog.at_level(logging.INFO, "pdp.signals"):
        async with keeping(server, transmitter):
            await eventually(lambda: transmitter.keys_fetched >= 2)
            transmitter.down = False
            await eventually(lambda: "fetched again" in caplog.text)
    assert caplog.text.count("cannot be fetched from its jwks_uri") == 1


async def test_a_transmitter_whose_secret_is_not_here_is_left_alone(
    server: Server, transmitter: Transmitter, tmp_path: Path
) -> None:
    async with keeping(server, transmitter, "authorization: push", secrets=tmp_path):
        await asyncio.sleep(0.2)
        assert transmitter.keys_fetched == 0
        (tmp_path / "push").write_text("Bearer of-the-transmitter")
        await eventually(lambda: transmitter.keys_fetched == 1)
