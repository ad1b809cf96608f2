"""Request lines: one plain reading, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.core.request import EntityRef
from pdp.core.routes import AmbiguousPathError, Route, RouteTable, canonical_segments

TABLE = RouteTable.of(
    (
        Route("GET", ("customers", "{id}"), "read", "customer", "{id}", "support"),
        Route("GET", ("customers", "search"), "list", "customer", "any"),
        Route("GET", ("customers", "{id}"), "export", "customer", "{id}", extensions={"mode": "export"}),
        Route("GET", ("{kind}", "{id}", "notes"), "read", "note", "{kind}/{id}"),
        Route("GET", (), "list", "log", "all"),
    )
)


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/", ()),
        ("/a", ("a",)),
        ("/a/b?c=/../d", ("a", "b")),
        ("/a%41", ("aA",)),
        ("/a%2Db%5F%7E%3A%40", ("a-b_~:@",)),
        ("/user@example.org", ("user@example.org",)),
        ("/a.b..c", ("a.b..c",)),
    ],
)
def test_a_plain_path_is_its_segments(path: str, segments: tuple[str, ...]) -> None:
    assert canonical_segments(path) == segments


@pytest.mark.parametrize(
    "path",
    [
        *("", "a", "*", "//a", "/a//b", "/a/", "/./a", "/a/..", "/../a", "/%2e%2e/a", "/a%2E", "http://h/a"),
        *("/a%2Fb", "/a%2fb", "/a%5Cb", "/a\\b", "/a%00", "/a\0", "/a%25", "/a%", "/a%4", "/a%zz", "/a%u0041"),
        *("/a#b", "/a%23", "/a;b", "/a%3Bb", "/a b", "/a%20b", "/a%3Fb", "/a%2B", "/a\n", "/a%0a"),
        *("/é", "/%C3%A9", "/a\ud800", "/" + "a" * 4096),
    ],
)
def test_a_path_that_could_be_read_otherwise_is_refused(path: str) -> None:
    with pytest.raises(AmbiguousPathError):
        canonical_segments(path)


@given(st.text(st.sampled_from("ab/.%2eEfF5c0;?#\\ é"), max_size=12))
def test_whatever_is_accepted_reads_the_same_decoded_again(tail: str) -> None:
    try:
        segments = canonical_segments("/" + tail)
    except AmbiguousPathError:
        return
    assert all(it and it not in (".", "..") and not set(it) & set("/\\%;#?\0 ") for it in segments)
    assert canonical_segments("/" + "/".join(segments)) == segments


def test_a_literal_segment_goes_before_a_placeholder() -> None:
    found = TABLE.match("GET", "/customers/search", {})
    assert found is not None
    assert found.action == "list"


def test_a_required_extension_goes_before_none() -> None:
    found = TABLE.match("GET", "/customers/c-1", {"mode": "export", "other": "x"})
    assert found is not None
    assert (found.action, found.purpose) == ("export", "")
    plain = TABLE.match("GET", "/customers/c-1", {"mode": "import"})
    assert plain is not None
    assert (plain.action, plain.resource, plain.purpose) == ("read", EntityRef("customer", "c-1"), "support")


def test_placeholders_are_filled_in() -> None:
    found = TABLE.match("GET", "/customers/c-1/notes", {})
    assert found is not None
    assert found.resource == EntityRef("note", "customers/c-1")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/customers/c-1"), ("GET", "/a/b"), ("get", "/"), ("GET", "/a/b/c/d")]
)
def test_what_no_route_fits_is_none(method: str, path: str) -> None:
    assert TABLE.match(method, path, {}) is None


def test_the_root_has_a_route() -> None:
    found = TABLE.match("GET", "/?x=1", {})
    assert found is not None
    assert found.resource == EntityRef("log", "all")


def test_two_routes_that_fit_alike_are_refused() -> None:
    table = RouteTable.of(
        (Route("GET", ("a", "{x}"), "read", "log", "x"), Route("GET", ("{y}", "b"), "list", "log", "y"))
    )
    with pytest.raises(AmbiguousPathError):
        table.match("GET", "/a/b", {})
    assert table.match("GET", "/a/c", {}) is not None


def test_a_template_in_a_path_is_not_filled_in_again() -> None:
    with pytest.raises(AmbiguousPathError):
        TABLE.match("GET", "/customers/{id}", {})
