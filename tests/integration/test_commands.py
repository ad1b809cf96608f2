"""The command line as it is documented, against the running service."""

from __future__ import annotations

import json
import re
import signal

import httpx
import pytest

from tests.integration.running import ROOT, Service, pdp, serving

ALICE = ("--subject", "user:alice", "--session", "s-1", "--device", "d-1", "--purpose", "billing")
READ = (*ALICE, "--action", "read", "--resource", "customer:c-1")


def test_an_allow_exits_0_and_says_what_must_be_done(service: Service) -> None:
    done = pdp("check", *READ, "--address", service.grpc)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ALLOW PERMITTED (customer-read-billing)")
    assert "must" in done.stdout
    assert "mask (mask-national-id) field=national_id, mask=last4" in done.stdout


def test_a_deny_exits_3_and_says_why(service: Service) -> None:
    done = pdp("check", *READ, "--device", "d-2", "--session", "s-3", "--address", service.grpc)
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("DENY DENIED_BY_RULE")


def test_json_is_for_machines(service: Service) -> None:
    done = pdp("check", *READ, "--json", "--address", service.grpc)
    decision = json.loads(done.stdout)["decision"]
    assert decision["effect"] == "EFFECT_ALLOW"
    assert decision["policy_revision"].startswith("sha256:")


def test_explain_shows_every_rule_considered_and_keeps_secrets(service: Service) -> None:
    done = pdp("check", *READ, "--explain", "--address", service.grpc)
    assert done.returncode == 0, done.stderr
    assert "✔ customer-read-billing allow policy/customers.csv" in done.stdout
    assert "✘ " in done.stdout


def test_no_service_is_an_error_and_never_an_allow() -> None:
    done = pdp("check", *READ, "--address", "127.0.0.1:1", "--timeout", "1")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no answer from 127.0.0.1:1: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("check", "--subject", "alice", "--action", "read", "--resource", "customer:c-1"),
            "not of the form type:id",
        ),
        (("serve", "--set", "redis.lease=9000"), "lease: must be above 0"),
        (("serve", "--set", "redis.speed=9"), "redis.speed: "),
        (("serve", "--set", "nonsense"), "is not of the form section.setting=value"),
        (("serve", "--listen", "0.0.0.0:50051"), "is not a loopback address and there is no TLS"),
        (("serve", "--config", "/nowhere.toml"), "/nowhere.toml: No such file or directory"),
    ],
)
def test_misuse_is_one_clear_line(arguments: tuple[str, ...], message: str) -> None:
    done = pdp(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_config_documents_every_setting() -> None:
    settings = json.loads(pdp("config", "--json").stdout)
    assert len(settings) > 60
    assert all(entry["meaning"] for entry in settings)
    assert {"server", "policy", "redis", "audit", "telemetry", "limits", "tls", "ext_authz"} <= {
        entry["section"] for entry in settings
    }


def test_the_configuration_page_is_what_the_command_prints() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == pdp("config", "--markdown").stdout


def test_config_hides_secrets() -> None:
    done = pdp("config", "--json", PDP_REDIS__URL="redis://:hush@127.0.0.1/0", PDP_REDIS__PASSWORD="hush2")
    assert "hush" not in done.stdout
    assert {it["value"] for it in json.loads(done.stdout) if it["name"] in ("url", "password")} == {"(set)"}


def test_the_probes_tell_the_state(service: Service) -> None:
    assert httpx.get(f"{service.http}/healthz").json() == {"status": "alive"}
    ready = httpx.get(f"{service.http}/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


def test_it_exposes_every_metric_that_is_documented(service: Service) -> None:
    documented = re.findall(r"^\| `(pdp_\w+)` \|", (ROOT / "docs/telemetry.md").read_text(), re.MULTILINE)
    text = httpx.get(f"{service.http}/metrics").text
    exposed = set(re.findall(r"^# TYPE (pdp_\w+) ", text, re.MULTILINE))
    # Without a collector of traces there are no spans to count.
    assert exposed == {name for name in documented if not name.startswith("pdp_spans_")}
    assert not re.search(r"^pdp_state_up.* 0\.0$", text, re.MULTILINE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(transport: str, number: signal.Signals) -> None:
    with serving("--sample", "--server", transport) as service:
        assert service.stop(number) == 0
        after = service.lines[service.lines.index("ready; Ctrl-C stops") + 1 :]
        assert after == ["stopped"]


def test_a_broken_policy_is_told_and_allows_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("policies")
    with serving("--policies", str(empty)) as service:
        assert any("refused" in line for line in service.lines)
        ready = httpx.get(f"{service.http}/readyz")
        assert (ready.status_code, "policy" in ready.json()["obstacles"]) == (503, True)
        done = pdp("check", *READ, "--address", service.grpc)
        assert done.returncode == 3
        assert done.stdout.startswith("DENY POLICY_UNAVAILABLE")
