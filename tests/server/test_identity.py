"""The SPIFFE id in Envoy's certificate header: exactly one, well-formed, or nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.server.asgi.identity import from_xfcc, spiffe_id

ALICE = "spiffe://example.org/ns/prod/sa/alice"


@pytest.mark.parametrize(
    "header",
    [
        f"By=spiffe://example.org/pdp;Hash=ab12;URI={ALICE}",
        f"Hash=ab12;URI={ALICE}",
        f"URI={ALICE};Hash=ab12",
        f"uri={ALICE}",
    ],
)
def test_one_uri_is_an_identity(header: str) -> None:
    assert from_xfcc(header.encode()) == ALICE


@pytest.mark.parametrize(
    "header",
    [
        "",
        "By=spiffe://example.org/pdp;Hash=ab12",
        "Hash=ab12;URI=",
        f"Hash=ab12;URI={ALICE};URI={ALICE}",
        f"URI={ALICE},URI={ALICE}",
        f"URI={ALICE};URI=",
        f'URI="{ALICE}"',
        "URI=https://example.org/alice",
        f"URI=x;URI={ALICE}",
    ],
)
def test_anything_else_is_nobody(header: str) -> None:
    assert from_xfcc(header.encode()) is None


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://",
        "spiffe:///path",
        "spiffe://Example.org/a",
        "spiffe://example.org/",
        "spiffe://example.org//a",
        "spiffe://example.org/a/",
        "spiffe://example.org/a?b",
        "spiffe://example.org/a#b",
        "spiffe://example.org/a%2Fb",
        "spiffe://user@example.org/a",
        "spiffe://example.org:80/a",
        "spiffe://example.org/a\n",
        "spiffe://example.org/ä",
        "spiffe://example.org/" + "a" * 2048,
    ],
)
def test_a_malformed_id_is_nobody(uri: str) -> None:
    assert spiffe_id(uri) is None


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_no_bytes_around_a_second_uri_hide_it(before: bytes, after: bytes) -> None:
    header = before + b";URI=" + ALICE.encode() + b";" + after + b";URI=spiffe://example.org/bob"
    assert from_xfcc(header) is None
