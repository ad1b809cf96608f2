"""Stream management against a transmitter: what is asked for, and what is not believed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pdp.core.signals.events import uri_of
from pdp.signals import SignalSettings, StreamClient, TransmitterError, TransmitterHttp
from pdp.signals.settings import SecretError
from tests.signals.support import rules_of, signals_text, with_line
from tests.signals.transmitter import Transmitter

ENDPOINT = "https://pdp.example.com/signals/push"


@pytest.fixture
async def http() -> AsyncIterator[TransmitterHttp]:
    client = TransmitterHttp(SignalSettings())
    yield client
    await client.close()


def client_of(transmitter: Transmitter, http: TransmitterHttp, text: str = "", **settings: object) -> StreamClient:
    configured = rules_of(text or signals_text(transmitter)).transmitters[transmitter.issuer]
    return StreamClient(configured, http, SignalSettings(**settings))


async def test_a_stream_s_life(transmitter: Transmitter, http: TransmitterHttp) -> None:
    client = client_of(transmitter, http)
    created = await client.create(ENDPOINT, "for tests")
    name = created["stream_id"]
    assert created["delivery"] == {"method": "urn:ietf:rfc:8935", "endpoint_url": ENDPOINT}
    assert uri_of("caep/session-revoked") in created["events_requested"]
    assert await client.read(name) == created
    assert await client.read() == [created]
    assert (await client.update(name, "", "renamed"))["description"] == "renamed"
    assert (await client.read(name))["delivery"] == created["delivery"]
    assert await client.status(name) == {"stream_id": name, "status": "enabled"}
    assert await client.set_status(name, "paused", "maintenance") == {"stream_id": name, "status": "paused"}
    await client.verify(name, "state-1")
    assert transmitter.verifications == [{"stream_id": name, "state": "state-1"}]
    await client.delete(name)
    assert transmitter.streams == {}


async def test_only_events_of_the_file_are_asked_for(transmitter: Transmitter, http: TransmitterHttp) -> None:
    text = signals_text(transmitter)
    before, after = text[: text.index("    events:\n")], text[text.index("    # A member") :]
    narrowed = f"{before}    events: [caep/session-revoked]\n{after}"
    created = await client_of(transmitter, http, narrowed).create(ENDPOINT)
    assert created["events_requested"] == [uri_of("caep/session-revoked")]


async def test_a_push_stream_is_told_the_header_to_bring(
    transmitter: Transmitter, http: TransmitterHttp, tmp_path: Path
) -> None:
    (tmp_path / "push").write_text("Bearer pushed")
    text = with_line(signals_text(transmitter), "authorization: push")
    created = await client_of(transmitter, http, text, secrets=tmp_path).create(ENDPOINT)
    assert created["delivery"]["authorization_header"] == "Bearer pushed"


async def test_a_polled_stream(transmitter: Transmitter, http: TransmitterHttp) -> None:
    text = with_line(signals_text(transmitter), f"poll_uri: {transmitter.url}/poll")
    created = await client_of(transmitter, http, text).create("")
    assert created["delivery"] == {"method": "urn:ietf:rfc:8936"}


async def test_our_secret_is_brought_to_the_api_alone(
    transmitter: Transmitter, http: TransmitterHttp, tmp_path: Path
) -> None:
    transmitter.secret = "Bearer api"
    (tmp_path / "api").write_text("Bearer api\n")
    text = with_line(signals_text(transmitter), "secret: api")
    assert await client_of(transmitter, http, text, secrets=tmp_path).read() == []
    with pytest.raises(TransmitterError, match="401"):
        await client_of(transmitter, http).read()
    with pytest.raises(SecretError, match="cannot be read"):
        await client_of(transmitter, http, text, secrets=tmp_path / "none").read()


@pytest.mark.parametrize("change", [{"issuer": "https://evil.example.com"}, {"issuer": None}])
async def test_metadata_of_another_issuer_is_not_believed(
    transmitter: Transmitter, http: TransmitterHttp, change: dict[str, object]
) -> None:
    transmitter.metadata_changes = change
    with pytest.raises(TransmitterError, match="issuer"):
        await client_of(transmitter, http).read()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/stream", "ftp://idp.example.com/", None, 5])
async def test_our_secret_goes_nowhere_else(transmitter: Transmitter, http: TransmitterHttp, url: object) -> None:
    transmitter.metadata_changes = {"configuration_endpoint": url}
    with pytest.raises(TransmitterError, match="configuration_endpoint"):
        await client_of(transmitter, http).read()


async def test_errors_of_a_transmitter_are_told(transmitter: Transmitter, http: TransmitterHttp) -> None:
    client = client_of(transmitter, http)
    with pytest.raises(TransmitterError, match="404"):
        await client.status("no-such-stream")
    transmitter.down = True
    with pytest.raises(TransmitterError, match="503"):
        await client.read()


async def test_a_status_is_one_of_three(transmitter: Transmitter, http: TransmitterHttp) -> None:
    with pytest.raises(ValueError, match="status"):
        await client_of(transmitter, http).set_status("s", "broken")


async def test_the_usual_place_of_metadata(transmitter: Transmitter, http: TransmitterHttp) -> None:
    text = signals_text(transmitter)
    line = next(line for line in text.splitlines(keepends=True) if "configuration_uri" in line)
    assert (await client_of(transmitter, http, text.replace(line, "")).metadata())["issuer"] == transmitter.issuer
