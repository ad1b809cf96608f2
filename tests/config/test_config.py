"""Settings: later sources win, unknown names and bad values are refused by name, secrets are not shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdp.api.settings import Origin, Source
from pdp.config import Config, ConfigError, Engine, load, validated


def test_defaults_are_valid_and_frozen() -> None:
    config = load(None, {}, {})
    assert config == Config()
    with pytest.raises(ValueError, match="frozen"):
        config.server = config.server  # type: ignore[misc]


def test_flags_win_over_variables_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "pdp.toml"
    file.write_text('[server]\nlisten = "127.0.0.1:1"\nhttp = "127.0.0.1:2"\nworkers = 3\n')
    variables = {"PDP_SERVER__HTTP": "127.0.0.1:22", "PDP_SERVER__WORKERS": "4", "PDP_CONFIG": "x", "OTHER": "y"}
    config = load(file, variables, {"server.workers": 5, "server.insecure": None})
    assert (config.server.listen, config.server.http, config.server.workers) == ("127.0.0.1:1", "127.0.0.1:22", 5)


def test_what_a_worker_is_given_is_what_was_configured() -> None:
    config = load(
        None, {"PDP_EXT_AUTHZ__SUBJECT": "claim:sub,principal:spiffe://example.org/"}, {"policy.engine": "shadow"}
    )
    assert validated(config.model_dump(mode="json", fallback=dict, warnings=False)) == config
    assert config.policy.engine is Engine.SHADOW


def test_lists_may_be_written_as_text() -> None:
    variables = {
        "PDP_SERVER__CALLERS": "spiffe://a/b, spiffe://c/d",
        "PDP_EXT_AUTHZ__HEADER_PEERS": "spiffe://a/envoy",
        "PDP_EXT_AUTHZ__SESSION": "header:X-Session",
    }
    config = load(None, variables, {})
    assert config.server.callers == ("spiffe://a/b", "spiffe://c/d")
    assert config.ext_authz.header_peers == {"spiffe://a/envoy"}
    assert config.ext_authz.session == (Source(Origin.HEADER, "x-session"),)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"nowhere.x": "1"}, "nowhere"),
        ({"server.speed": "1"}, "server.speed"),
        ({"server.workers": "many"}, "server.workers"),
        ({"redis.url": "http://:hush@x"}, "redis: "),
        ({"ext_authz.subject": "sub"}, "'sub' is not origin:name"),
        ({"telemetry.traces_ratio": "2"}, "traces_ratio"),
        ({"server": "x"}, "server"),
    ],
)
def test_what_cannot_be_used_is_named_and_no_secret_is_shown(flags: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(None, {}, flags)
    assert named in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("content", ["[server", 'server = "x"', "\x00"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "pdp.toml"
    file.write_text(content)
    with pytest.raises(ConfigError):
        load(file, {}, {"server.workers": 1})


def test_a_password_is_not_in_the_repr() -> None:
    assert "hush" not in repr(load(None, {"PDP_REDIS__PASSWORD": "hush", "PDP_REDIS__URL": "redis://:hush@x"}, {}))
