"""What a store URL and its settings may be, and that no refusal shows a secret."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.attributes import RedisSettings
from pdp.attributes.settings import StoreUrl, parse_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", StoreUrl((("h", 6379),), "", "", False, 0, "", "")),
        ("redis://h:1/3", StoreUrl((("h", 1),), "", "", False, 3, "", "")),
        ("rediss://u:p%40@[::1]:7", StoreUrl((("::1", 7),), "", "", True, 0, "u", "p@")),
        ("redis://:p@h?db=2", StoreUrl((("h", 6379),), "", "", False, 2, "", "p")),
        ("unix:///run/r.sock?db=1", StoreUrl((), "/run/r.sock", "", False, 1, "", "")),
        ("unix://u:p@/run/r%20s", StoreUrl((), "/run/r s", "", False, 0, "u", "p")),
        (
            "redis+sentinel://a,b:1,[::2]:3/main/4",
            StoreUrl((("a", 26379), ("b", 1), ("::2", 3)), "", "main", False, 4, "", ""),
        ),
        ("rediss+sentinel://u:p@a/main", StoreUrl((("a", 26379),), "", "main", True, 0, "u", "p")),
    ],
)
def test_urls(url: str, expected: StoreUrl) -> None:
    assert parse_url(url) == expected


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://h", "must start with one of redis://"),
        ("h:6379", "must start with"),
        ("redis://", "needs host"),
        ("redis://h:x", "needs host or host:port"),
        ("redis://h:99999", "needs host or host:port"),
        ("redis://a,b", r"several hosts need redis\+sentinel"),
        ("redis://a,,b", "needs host"),
        ("redis://h/x", "one whole number"),
        ("redis://h/1/2", "one whole number"),
        ("redis://h/1?db=2", "one whole number"),
        ("redis://h?ssl_cert_reqs=none", "only query parameter is db"),
        ("redis://h?db=1&x=2", "one whole number"),
        ("redis://u:p#q@h", "%23"),
        ("unix://", "needs the path"),
        ("redis+sentinel://a", "needs /service"),
    ],
)
def test_urls_that_are_refused(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_url(url)


@given(st.text(max_size=60), st.sampled_from(["redis://", "rediss://", "unix://", "redis+sentinel://", ""]))
def test_any_text_is_a_url_or_refused_without_being_shown(text: str, scheme: str) -> None:
    secret = "hunter2hunter2"
    shown = ""
    try:
        RedisSettings(f"{scheme}u:{secret}@{text}")
    except ValueError as error:
        shown = str(error)
    assert secret not in shown


def test_secrets_are_not_shown() -> None:
    settings = RedisSettings("redis://u:secret-1@h", password="secret-2", sentinel_password="secret-3")
    for shown in (repr(settings), str(settings), repr(parse_url(settings.url))):
        assert "secret" not in shown


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"lease": 0}, "lease"),
        ({"lease": float("nan")}, "lease"),
        ({"lease": 0.15}, "twice ping_interval"),
        ({"silence": 0.1}, "silence"),
        ({"fetch_timeout": -1}, "fetch_timeout"),
        ({"fetch_timeout": 61}, "fetch_timeout"),
        ({"max_entries": 0}, "max_entries"),
        ({"max_connections": 0}, "max_connections"),
        ({"cert_file": "x"}, "both or neither"),
        ({"url": "x"}, "url"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        RedisSettings(**{"url": "redis://h", **changes})


def test_every_setting_is_documented() -> None:
    for name in RedisSettings.__dataclass_fields__:
        assert f"\n    {name}: " in inspect.cleandoc(RedisSettings.__doc__ or "")
