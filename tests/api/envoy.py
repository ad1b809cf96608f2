"""What Envoy sends: CheckRequests as tests need them."""

from __future__ import annotations

from typing import Any

from pdp.api.ext_authz import ExtAuthz
from pdp.api.settings import ExtAuthzSettings
from pdp.extauthz.v3.external_auth_pb2 import CheckRequest, CheckResponse
from tests.api.world import PEP, World, call

CLAIMS: dict[str, Any] = {"sub": "alice"}
CHECK = "/envoy.service.auth.v3.Authorization/Check"
MASKING = ExtAuthzSettings(supported_obligations=frozenset({"mask"}))


def request(
    path: str | bytes = "/customers/c-1",
    method: str = "GET",
    *,
    claims: dict[str, Any] | None = None,
    headers: dict[str, bytes] | None = None,
    raw_headers: list[tuple[str, bytes]] | None = None,
    extensions: dict[str, str] | None = None,
    principal: str = "",
) -> CheckRequest:
    """A request by alice, whose JWT Envoy verified, unless ``claims`` say otherwise."""
    message = CheckRequest()
    attributes = message.attributes
    attributes.source.principal = principal
    http = attributes.request.http
    http.method = method
    http.path = path.encode() if isinstance(path, str) else path
    for name, value in (headers or {}).items():
        http.headers[name] = value
    for name, value in raw_headers or []:
        http.header_map.headers.add(key=name, raw_value=value)
    for name, text in (extensions or {}).items():
        attributes.context_extensions[name] = text
    payload: dict[str, Any] = CLAIMS if claims is None else claims
    if payload:
        metadata = attributes.metadata_context.filter_metadata["envoy.filters.http.jwt_authn"]
        metadata.update({"jwt_payload": payload})
    return message


async def check(
    world: World,
    message: CheckRequest | bytes,
    settings: ExtAuthzSettings = MASKING,
    *,
    caller: str | None = PEP,
    metadata: dict[str, str] | None = None,
) -> CheckResponse:
    """Send a CheckRequest to the handler; assert that what comes back can be taken for one thing only."""
    handler = ExtAuthz(world.pdp, world.policies, settings).methods()[CHECK].handler
    raw = message if isinstance(message, bytes) else message.SerializeToString()
    response = CheckResponse.FromString(await handler(raw, call(CHECK, caller=caller, metadata=metadata)))
    assert response.HasField("status")
    assert response.WhichOneof("http_response")
    assert (response.status.code == 0) == (response.WhichOneof("http_response") == "ok_response")
    return response


def headers_of(response: CheckResponse) -> dict[str, str]:
    """The headers of a response, each of which must be there once and replace what is there."""
    part = getattr(response, response.WhichOneof("http_response") or "")
    assert all(option.append_action == 2 for option in part.headers)
    found = {option.header.key: option.header.value.decode() for option in part.headers}
    assert len(found) == len(part.headers)
    return found
