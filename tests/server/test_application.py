"""Factories, settings and the errors a handler's bug becomes."""

from __future__ import annotations

import logging

import pytest

from pdp.server import guard
from pdp.server.application import Address, ServerSettings, load_factory
from pdp.server.rpc import Code, Limits, RpcError, Tls
from tests.server.example import build


def test_a_factory_is_found_by_name() -> None:
    assert load_factory("tests.server.example:build") is build


@pytest.mark.parametrize("name", ["", "module", "module:", ":function"])
def test_a_factory_needs_module_and_function(name: str) -> None:
    with pytest.raises(ValueError, match="module:function"):
        load_factory(name)


@pytest.mark.parametrize(
    "settings",
    [
        ServerSettings("a:b", {}, Address("127.0.0.1", 0)),
        ServerSettings(
            "a:b",
            {"deep": [1, {"x": None}], "text": "line\nbreak ü"},
            Address("::1", 1),
            Address("0.0.0.0", 2),  # noqa: S104 - only a value
            Limits(message_bytes=1, default_deadline=0.5),
            Tls("/c", "/k", "/ca"),
        ),
    ],
)
def test_settings_travel_as_one_line(settings: ServerSettings) -> None:
    text = settings.to_json()
    assert "\n" not in text
    assert ServerSettings.from_json(text) == settings


def test_an_ipv6_address_is_bracketed() -> None:
    assert str(Address("::1", 50051)) == "[::1]:50051"
    assert str(Address("127.0.0.1", 1)) == "127.0.0.1:1"


def test_a_bug_is_logged_by_place_and_type_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        with pytest.raises(ValueError, match="secret") as caught:
            int("secret-card-number")
        status = guard.to_status(caught.value, "/x.Y/Z")
    assert (status.code, status.message) == (Code.INTERNAL, "internal error")
    assert "ValueError in /x.Y/Z" in caplog.text
    assert "test_application.py" in caplog.text
    assert "secret" not in caplog.text


def test_an_rpc_error_is_the_handlers_own_answer() -> None:
    error = RpcError(Code.NOT_FOUND, "no such")
    assert guard.to_status(error, "/x.Y/Z") is error
