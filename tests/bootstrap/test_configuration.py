"""What the decision log says of the configuration: enough to know it again, and no secret."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from pdp.bootstrap.configuration import digest, explain, facts
from pdp.config import Config, load
from tests.server.pki import Authority

SECRET = {"PDP_REDIS__PASSWORD": "hush-1", "PDP_REDIS__URL": "redis://:hush-2@store"}


def test_the_defaults_have_nothing_to_tell_but_their_name() -> None:
    assert facts(Config()) == {"digest": digest(explain(Config())), "settings": {}, "files": {}}


def test_a_digest_is_over_the_settings_as_they_are_shown() -> None:
    shown = {f"{it.section}.{it.name}": it.value for it in explain(Config())}
    text = json.dumps(shown, sort_keys=True, separators=(",", ":"))
    assert digest(explain(Config())) == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server.insecure", "true"),
        ("audit.durability", "fsync"),
        ("server.callers", "spiffe://a/b"),
        ("risk.sweep", "7"),
    ],
)
def test_what_differs_from_the_defaults_is_named_and_makes_another_digest(name: str, value: str) -> None:
    told = facts(load(None, {}, {name: value}))
    assert told["digest"] != facts(Config())["digest"]
    assert list(told["settings"]) == [name]


def test_the_order_in_which_a_set_is_given_makes_no_difference() -> None:
    one, other = (
        load(None, {}, {"ext_authz.header_peers": it}) for it in ("spiffe://a,spiffe://b", "spiffe://b,spiffe://a")
    )
    assert facts(one) == facts(other)


def test_of_a_secret_it_says_that_it_is_set() -> None:
    told = facts(load(None, SECRET, {}))
    assert told["settings"] == {"redis.password": "(set)", "redis.url": "(set)"}
    assert "hush" not in json.dumps(told)


def test_certificates_are_known_by_their_content(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")
    pair = authority.issue("server")
    tls = {"certificate": str(pair.certificate), "private_key": str(pair.key), "client_ca": str(authority.path)}
    told = facts(Config.model_validate({"tls": tls}))["files"]
    assert told == {
        "tls.certificate": f"sha256:{hashlib.sha256(pair.certificate.read_bytes()).hexdigest()}",
        "tls.client_ca": f"sha256:{hashlib.sha256(authority.path.read_bytes()).hexdigest()}",
    }
