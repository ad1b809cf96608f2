"""TLS, mutual TLS, the SPIFFE id of a caller, and certificates that are replaced while serving."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
from pathlib import Path

import grpc
import grpc.aio
import httpx
import pytest

from pdp.server.rpc import Tls
from tests.server.conftest import Server, Start
from tests.server.example import path
from tests.server.pki import Authority, Pair

ALICE = "spiffe://example.org/ns/prod/sa/alice"


def tls_of(pair: Pair, client_ca: Path | None = None) -> Tls:
    return Tls(str(pair.certificate), str(pair.key), str(client_ca) if client_ca else None)


def channel_to(server: Server, authority: Authority, pair: Pair | None = None) -> grpc.aio.Channel:
    key, certificate = pair.pem if pair else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.path.read_bytes(), key, certificate)
    return grpc.aio.secure_channel(server.address, credentials)


async def who_am_i(
    server: Server, authority: Authority, pair: Pair | None = None, *metadata: tuple[str, str]
) -> dict[str, object]:
    async with channel_to(server, authority, pair) as channel:
        answer = await channel.unary_unary(path("WhoAmI"))(b"", timeout=5, metadata=metadata)
    seen: dict[str, object] = json.loads(answer)
    return seen


async def refused(server: Server, authority: Authority, pair: Pair | None) -> bool:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await who_am_i(server, authority, pair)
    return caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_tls_encrypts_and_identifies_nobody(start: Start, authority: Authority, server_pair: Pair) -> None:
    server = start(tls=tls_of(server_pair))
    forged = ("x-forwarded-client-cert", f"URI={ALICE}")
    seen = await who_am_i(server, authority, None, forged)
    assert (seen["encrypted"], seen["spiffe_id"]) == (True, None)
    context = ssl.create_default_context(cafile=str(authority.path))
    async with httpx.AsyncClient(verify=context) as client:
        assert (await client.get(f"{server.http}/healthz")).status_code == 200


async def test_mutual_tls_tells_who_calls(
    start: Start, authority: Authority, server_pair: Pair, tmp_path: Path
) -> None:
    server = start(tls=tls_of(server_pair, authority.path))
    alice = authority.issue("alice", uris=(ALICE,))
    assert (await who_am_i(server, authority, alice))["spiffe_id"] == ALICE

    forged = f"By=spiffe://example.org/pdp;Hash=00;URI={ALICE}"
    nobody = authority.issue("nobody")
    for header in ("x-forwarded-client-cert", "X-Forwarded-Client-Cert".lower()):
        seen = await who_am_i(server, authority, nobody, (header, forged), (header, forged))
        assert seen["spiffe_id"] is None
    bob = authority.issue("bob", uris=("spiffe://example.org/bob",))
    seen = await who_am_i(server, authority, bob, ("x-forwarded-client-cert", forged))
    assert seen["spiffe_id"] == "spiffe://example.org/bob"

    for index, uris in enumerate([(ALICE, "spiffe://example.org/bob"), (ALICE, ALICE)]):
        two = authority.issue(f"two-{index}", uris=uris)
        assert (await who_am_i(server, authority, two))["spiffe_id"] is None

    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "other").issue("alice", uris=(ALICE,))
    assert await refused(server, authority, stranger)
    assert await refused(server, authority, None)
    assert await refused(server, authority, authority.issue("expired", uris=(ALICE,), days=-1))


async def test_http_requires_a_client_certificate_under_mutual_tls(
    start: Start, authority: Authority, server_pair: Pair
) -> None:
    server = start(tls=tls_of(server_pair, authority.path))
    context = ssl.create_default_context(cafile=str(authority.path))
    async with httpx.AsyncClient(verify=context) as client:
        # The alert may come while the request is written, and then it is not wrapped.
        with pytest.raises((httpx.TransportError, ssl.SSLError)):
            await client.get(f"{server.http}/healthz")
    alice = authority.issue("alice", uris=(ALICE,))
    context.load_cert_chain(alice.certificate, alice.key)
    async with httpx.AsyncClient(verify=context) as client:
        answer = await client.post(f"{server.http}/v1/echo", headers={"x-forwarded-client-cert": "URI=x"})
    identified = ALICE if server.transport == "envoy" else None
    assert answer.json()["spiffe_id"] == identified


async def presented(port: int, authority: Authority) -> bytes:
    """The certificate the server shows to a new connection, DER."""
    context = ssl.create_default_context(cafile=str(authority.path))
    _reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    assert isinstance(shown, bytes)
    return shown


async def rotated(port: int, authority: Authority, pair: Pair) -> bool:
    """Whether new connections are shown this certificate within five seconds."""
    expected = ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())
    for _ in range(50):
        if await presented(port, authority) == expected:
            return True
        await asyncio.sleep(0.1)
    return False


async def test_a_replaced_certificate_is_taken_up_while_calls_go_on(
    start: Start, authority: Authority, server_pair: Pair
) -> None:
    server = start(tls=tls_of(server_pair))
    before = await presented(server.port, authority)
    fresh = authority.issue("fresh")
    async with channel_to(server, authority) as channel:
        echo = channel.unary_unary(path("Echo"))
        assert await echo(b"before") == b"before"
        shutil.copy(fresh.certificate, server_pair.certificate)  # the key does not fit yet
        await asyncio.sleep(2.5)
        assert await presented(server.port, authority) == before
        shutil.copy(fresh.key, server_pair.key)
        assert await rotated(server.port, authority, fresh)
        assert await rotated(int(server.ready["http"]), authority, fresh)
        assert await echo(b"after") == b"after"


async def test_a_replaced_client_ca_is_taken_up(
    start: Start, authority: Authority, server_pair: Pair, tmp_path: Path
) -> None:
    (tmp_path / "next").mkdir()
    successor = Authority(tmp_path / "next", "successor")
    trusted = tmp_path / "trusted.pem"
    shutil.copy(authority.path, trusted)
    server = start(tls=tls_of(server_pair, trusted))
    carol = successor.issue("carol", uris=(ALICE,))
    assert await refused(server, authority, carol)
    shutil.copy(successor.path, trusted)
    for _ in range(40):
        await asyncio.sleep(0.1)
        try:
            assert (await who_am_i(server, authority, carol))["spiffe_id"] == ALICE
        except grpc.aio.AioRpcError:
            continue
        break
    else:
        pytest.fail("the new client CA was never taken up")
    alice = authority.issue("alice", uris=(ALICE,))
    assert await refused(server, authority, alice)


async def test_unusable_certificates_stop_the_start(start: Start, authority: Authority, server_pair: Pair) -> None:
    other = authority.issue("other")
    server = start(tls=Tls(str(server_pair.certificate), str(other.key)))
    assert server.ready == {}
    code, errors = server.wait()
    assert code == 1
    assert "a worker ended before it served" in errors
