"""Users with the least the work needs, and connections that nobody can listen to."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pdp.attributes import AttributesInvalidError, open_writer
from pdp.core.errors import AttributesUnavailableError
from tests.attributes.support import (
    ALL,
    EXECUTABLES,
    SCHEMA,
    SESSION,
    Server,
    eventually,
    free_port,
    in_time,
    patient,
    risk_in,
    running,
    started,
    version_of,
    write_all,
)

# As docs/attributes.md gives them.
READER_7 = "resetkeys %R~attr:* -@all +hmget +pttl +ping +client|tracking"
READER_6 = "resetkeys ~attr:* -@all +hmget +pttl +ping +client|tracking"
WRITER = "resetkeys ~attr:* -@all +eval +hgetall +hset +hdel +del +expire +time +hmget +pttl"


def _reader(executable: str) -> str:
    return READER_7 if version_of(executable) >= (7,) else READER_6


async def test_the_documented_reader_is_enough(executable: str) -> None:
    with running(executable, f"user pdp on >p%w:/@ {_reader(executable)}") as server:
        client = server.client()
        write_all(client)
        async with started(patient(server.url, username="pdp", password="p%w:/@")) as source:
            assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 5
            client.hset("attr:session:session:s-1", "risk", 6)
            await eventually(lambda: source.peek(ALL, SCHEMA) is None)
            assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 6
        async with started(patient(server.url.replace("unix://", "unix://pdp:p%25w%3A%2F%40@"))) as source:
            assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 6


@pytest.mark.parametrize("missing", ["hmget", "pttl"])
async def test_a_reader_that_may_not_read_denies_and_is_told_why(executable: str, missing: str) -> None:
    with running(executable, f"user pdp on >pw {_reader(executable)} -{missing}") as server:
        write_all(server.client())
        async with started(patient(server.url, username="pdp", password="pw")) as source:
            with pytest.raises(AttributesUnavailableError, match="NoPermissionError"):
                await source.load(ALL, SCHEMA, in_time())
            assert source.peek(ALL, SCHEMA) is None


async def test_a_reader_that_may_not_track_still_reads_and_caches_nothing(executable: str) -> None:
    with running(executable, f"user pdp on >pw {_reader(executable).removesuffix(' +client|tracking')}") as server:
        write_all(server.client())
        async with started(patient(server.url, username="pdp", password="pw"), wait=False) as source:
            await eventually(lambda: source.ready() == "attribute store: NoPermissionError")
            assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 5
            assert source.peek(ALL, SCHEMA) is None


async def test_the_documented_writer_is_enough(executable: str) -> None:
    with running(executable, f"user feed on >pw {WRITER}") as server:
        async with open_writer(patient(server.url, username="feed", password="pw"), SCHEMA) as writer:
            await writer.put(*SESSION, {"risk": 5})
            await writer.patch(*SESSION, {"risk": 6})
            assert (await writer.read(*SESSION)).record is not None
            await writer.delete(*SESSION)


async def test_the_reader_may_not_write(executable: str) -> None:
    with running(executable, f"user pdp on >pw {_reader(executable)}") as server:
        async with open_writer(patient(server.url, username="pdp", password="pw"), SCHEMA) as writer:
            with pytest.raises(AttributesUnavailableError, match="NoPermissionError"):
                await writer.put(*SESSION, {"risk": 5})
            with pytest.raises(AttributesInvalidError):
                await writer.put(*SESSION, {"risk": 500})


class Pki:
    """An authority of the test's own, and a certificate for 127.0.0.1 under it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.ca_file, self.cert_file, self.key_file = (folder / f"{name}.{kind}" for kind in ("ca", "cert", "key"))
        authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root = self._certificate("authority", authority, "authority", authority, ca=True)
        leaf = self._certificate("127.0.0.1", key, "authority", authority, ca=False)
        pem = serialization.Encoding.PEM
        self.ca_file.write_bytes(root.public_bytes(pem))
        self.cert_file.write_bytes(leaf.public_bytes(pem))
        plain = serialization.NoEncryption()
        self.key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))

    @staticmethod
    def _certificate(
        name: str, key: ec.EllipticCurvePrivateKey, issuer: str, by: ec.EllipticCurvePrivateKey, *, ca: bool
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
            .add_extension(_usage(ca=ca), critical=True)
        )
        return (builder if ca else builder.add_extension(address, critical=False)).sign(by, hashes.SHA256())


def _usage(*, ca: bool) -> x509.KeyUsage:
    """Say what a key is for; Python 3.13 asks (RFC 5280 section 4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path, "ours")


@pytest.fixture
def secure(pki: Pki) -> Iterator[tuple[Server, int]]:
    """A server that speaks TLS and asks for a client certificate; only the installed one is built with TLS."""
    if "installed" not in EXECUTABLES:
        pytest.skip("needs a redis-server with TLS on PATH")
    port = free_port()
    lines = [f"tls-port {port}", f"tls-cert-file {pki.cert_file}", f"tls-key-file {pki.key_file}"]
    with running(EXECUTABLES["installed"], *lines, f"tls-ca-cert-file {pki.ca_file}") as server:
        write_all(server.client())
        yield server, port


def _files(pki: Pki) -> dict[str, str]:
    return {"ca_file": str(pki.ca_file), "cert_file": str(pki.cert_file), "key_file": str(pki.key_file)}


async def test_mutual_tls(secure: tuple[Server, int], pki: Pki) -> None:
    async with started(patient(f"rediss://127.0.0.1:{secure[1]}", **_files(pki))) as source:
        assert risk_in(await source.load(ALL, SCHEMA, in_time())) == 5
        secure[0].client().hset("attr:session:session:s-1", "risk", 6)
        await eventually(lambda: source.peek(ALL, SCHEMA) is None)


async def test_a_server_of_another_authority_is_not_believed(
    secure: tuple[Server, int], pki: Pki, tmp_path: Path
) -> None:
    theirs = Pki(tmp_path, "theirs")
    files = {**_files(pki), "ca_file": str(theirs.ca_file)}
    async with started(patient(f"rediss://127.0.0.1:{secure[1]}", **files), wait=False) as source:
        with pytest.raises(AttributesUnavailableError, match="ConnectionError"):
            await source.load(ALL, SCHEMA, in_time())
        assert source.ready()


async def test_a_server_of_another_name_is_not_believed(secure: tuple[Server, int], pki: Pki) -> None:
    async with started(patient(f"rediss://localhost:{secure[1]}", **_files(pki)), wait=False) as source:
        with pytest.raises(AttributesUnavailableError, match="ConnectionError"):
            await source.load(ALL, SCHEMA, in_time())


async def test_without_a_client_certificate_nothing_is_read(secure: tuple[Server, int], pki: Pki) -> None:
    async with started(patient(f"rediss://127.0.0.1:{secure[1]}", ca_file=str(pki.ca_file)), wait=False) as source:
        with pytest.raises(AttributesUnavailableError):
            await source.load(ALL, SCHEMA, in_time())
