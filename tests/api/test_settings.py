"""Settings that would trust the wrong party are refused."""

from __future__ import annotations

import pytest

from pdp.api.settings import ExtAuthzSettings, Origin, Source


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("claim:sub", Source(Origin.CLAIM, "sub")),
        ("claim:https://example.org/device", Source(Origin.CLAIM, "https://example.org/device")),
        ("principal:spiffe://example.org/user/", Source(Origin.PRINCIPAL, "spiffe://example.org/user/")),
        ("principal:", Source(Origin.PRINCIPAL, "")),
        ("extension:network", Source(Origin.EXTENSION, "network")),
        ("header:X-User", Source(Origin.HEADER, "x-user")),
    ],
)
def test_a_source_has_a_written_form(text: str, source: Source) -> None:
    assert Source.parse(text) == source


@pytest.mark.parametrize("text", ["", "sub", "claim", "claim:", "header:", "extension:", "cookie:sub", "Claim:sub"])
def test_what_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"needs a name|is not origin:name"):
        Source.parse(text)


def test_headers_need_a_peer_to_trust() -> None:
    with pytest.raises(ValueError, match="no peer is trusted"):
        ExtAuthzSettings(subject=(Source.parse("header:x-user"),))


@pytest.mark.parametrize("peer", ["", "*", "example.org", "https://example.org"])
def test_a_peer_is_trusted_by_its_spiffe_id(peer: str) -> None:
    with pytest.raises(ValueError, match="SPIFFE"):
        ExtAuthzSettings(header_peers=frozenset({peer}))


def test_there_must_be_a_way_to_know_the_subject() -> None:
    with pytest.raises(ValueError, match="subject"):
        ExtAuthzSettings(subject=())


@pytest.mark.parametrize("name", ["x-pdp-obligations", "X-PDP-Decision-Id", ":path"])
def test_our_own_headers_cannot_be_taken_off(name: str) -> None:
    with pytest.raises(ValueError, match="headers_to_remove"):
        ExtAuthzSettings(headers_to_remove=("x-original-url", name))
