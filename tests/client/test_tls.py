"""Mutual TLS by real certificates: who is answered, and identities that are replaced while the client runs."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pdp.client import AsyncClient, ClientSettings, ClientTls, UnansweredError
from pdp.client import transport as module
from tests.client.live import DEVICE, MASKS, READ, Live, alive, settled
from tests.server.pki import Authority, Pair

CRM, STRANGER = "spiffe://example.org/crm", "spiffe://example.org/stranger"


@dataclass(frozen=True)
class Guarded:
    """A service that admits one caller, over mutual TLS."""

    live: Live
    authority: Authority
    folder: Path

    def files(self, pair: Pair | None, name: str) -> ClientTls:
        """Give a client files of its own, which may be replaced."""
        if pair is None:
            return ClientTls(self.authority.path)
        mine = ClientTls(self.authority.path, self.folder / f"{name}.crt", self.folder / f"{name}.key")
        self.replace(mine, pair)
        return mine

    def replace(self, mine: ClientTls, pair: Pair) -> None:
        """Write another identity over a client's files, the key last."""
        assert mine.certificate
        assert mine.private_key
        for source, target in ((pair.certificate, mine.certificate), (pair.key, mine.private_key)):
            shutil.copy(source, target.with_suffix(".new"))
            target.with_suffix(".new").replace(target)

    def client(self, tls: ClientTls, **changes: object) -> AsyncClient:
        return AsyncClient(self.live.settings(tls=tls, **changes), MASKS)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("pki")
    authority = Authority(folder, "authority")
    server = authority.issue("server")
    settings = {
        "tls.certificate": server.certificate,
        "tls.private_key": server.key,
        "tls.client_ca": authority.path,
        "server.callers": CRM,
    }
    with alive(*(part for name, value in settings.items() for part in ("--set", f"{name}={value}"))) as live:
        yield Guarded(live, authority, folder)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CERTIFICATE_CHECK", 0.05)


async def test_who_is_admitted_is_answered_and_watches(guarded: Guarded) -> None:
    tls = guarded.files(guarded.authority.issue("crm", uris=(CRM,)), "admitted")
    async with guarded.client(tls) as client:
        await settled(client)
        assert (await client.check(READ)).allowed


@pytest.mark.parametrize(
    ("uris", "days", "said"),
    [((STRANGER,), 1, "PERMISSION_DENIED"), ((), 1, "UNAUTHENTICATED"), ((CRM,), -1, None), (None, 1, None)],
    ids=["another caller", "no identity", "expired", "no certificate"],
)
async def test_nobody_else_is(guarded: Guarded, uris: tuple[str, ...] | None, days: int, said: str | None) -> None:
    pair = None if uris is None else guarded.authority.issue(f"other{days}", uris=uris, days=days)
    async with guarded.client(guarded.files(pair, "nobody"), staleness=0) as client:
        with pytest.raises(UnansweredError, match=said):
            await client.check(READ)


async def test_a_certificate_of_another_authority_is_no_identity(guarded: Guarded, tmp_path: Path) -> None:
    tls = guarded.files(Authority(tmp_path, "others").issue("crm", uris=(CRM,)), "forged")
    async with guarded.client(tls, staleness=0, timeout=1.0) as client:
        with pytest.raises(UnansweredError):
            await client.check(READ)


async def test_a_service_that_nobody_vouches_for_is_not_asked(guarded: Guarded, tmp_path: Path) -> None:
    pair = guarded.authority.issue("crm", uris=(CRM,))
    tls = ClientTls(Authority(tmp_path, "others").path, pair.certificate, pair.key)
    async with guarded.client(tls, staleness=0, timeout=1.0) as client:
        with pytest.raises(UnansweredError):
            await client.check(READ)


async def test_a_service_of_another_name_is_not_asked(guarded: Guarded) -> None:
    pair = guarded.authority.issue("crm", uris=(CRM,))
    tls = ClientTls(guarded.authority.path, pair.certificate, pair.key, server_name="pdp.elsewhere")
    async with guarded.client(tls, staleness=0, timeout=1.0) as client:
        with pytest.raises(UnansweredError):
            await client.check(READ)


async def test_a_replaced_identity_is_taken_up_and_what_is_held_stays(guarded: Guarded) -> None:
    tls = guarded.files(guarded.authority.issue("crm", uris=(CRM,)), "rotating")
    async with guarded.client(tls) as client, guarded.live.writer() as writer:
        await settled(client)
        held = client.held(READ)
        assert held
        guarded.replace(tls, guarded.authority.issue("crm", uris=(CRM,)))
        await _reconnected(client)
        # Resumed by its cursor: nothing had to be asked anew, and what changes from now on arrives.
        again = client.held(READ)
        assert again
        assert again.id == held.id
        await writer.patch(*DEVICE, {"compliant": False})
        async with asyncio.timeout(10):
            while (it := client.held(READ)) is None or it.allowed:
                await asyncio.sleep(0.01)


async def test_an_identity_that_is_not_admitted_any_more_ends_it(guarded: Guarded) -> None:
    tls = guarded.files(guarded.authority.issue("crm", uris=(CRM,)), "demoted")
    async with guarded.client(tls, staleness=0.5) as client:
        await settled(client)
        guarded.replace(tls, guarded.authority.issue("stranger", uris=(STRANGER,)))
        async with asyncio.timeout(10):
            while client.held(READ) is not None:
                await asyncio.sleep(0.01)
        with pytest.raises(UnansweredError, match="PERMISSION_DENIED"):
            await client.check(READ)


async def test_half_an_identity_is_waited_out(guarded: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    tls = guarded.files(guarded.authority.issue("crm", uris=(CRM,)), "halved")
    pair = guarded.authority.issue("crm", uris=(CRM,))
    async with guarded.client(tls) as client:
        await settled(client)
        with caplog.at_level(logging.WARNING, "pdp.client"):
            shutil.copy(pair.certificate, str(tls.certificate))
            async with asyncio.timeout(10):
                while "cannot be used yet" not in caplog.text:
                    await asyncio.sleep(0.01)
        assert (await client.check(READ)).allowed
        assert client._transport is not None
        assert client._transport.generation == 0
        shutil.copy(pair.key, str(tls.private_key))
        await _reconnected(client)
        assert (await client.check(READ)).allowed


async def test_files_that_cannot_be_used_stop_the_start(tmp_path: Path) -> None:
    client = AsyncClient(ClientSettings(("127.0.0.1:1",), tls=ClientTls(tmp_path / "none.pem")))
    with pytest.raises(OSError, match=r"none\.pem|No such file"):
        await client.start()


async def _reconnected(client: AsyncClient) -> None:
    """Wait until the watch goes on with the files that were replaced."""
    transport, watch = client._transport, client._watch
    assert transport
    assert watch
    async with asyncio.timeout(10):
        while transport.generation == 0:
            await asyncio.sleep(0.01)
        while watch.ready.is_set():
            await asyncio.sleep(0.001)
        await watch.ready.wait()
