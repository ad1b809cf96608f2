"""The HTTP endpoints, on each transport."""

from __future__ import annotations

import httpx

from tests.server.conftest import LIMITS, Server


async def test_an_endpoint_answers(client: httpx.AsyncClient) -> None:
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert answer.headers["content-type"] == "text/plain"


async def test_the_handler_sees_body_query_and_headers(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/echo?a=1&b=%20", content=b"text", headers={"X-Test": "yes"})
    assert answer.json() == {"body": "text", "query": "a=1&b=%20", "header": "yes", "spiffe_id": None}


async def test_http2_is_served_on_envoys_one_port(server: Server) -> None:
    if server.transport != "envoy":
        return
    async with httpx.AsyncClient(http1=False, http2=True) as client:
        answer = await client.get(f"http://{server.address}/healthz")
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")


async def test_an_unknown_path_is_not_found(client: httpx.AsyncClient) -> None:
    for path in ("/nope", "/healthz/", "/v1%2fecho", "//healthz"):
        answer = await client.get(path)
        assert answer.status_code in {400, 404}, path


async def test_a_wrong_method_names_the_right_one(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/v1/echo")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_body_above_the_limit_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/echo", content=b"x" * LIMITS.message_bytes)
    assert answer.status_code == 200
    answer = await client.post("/v1/echo", content=b"x" * (LIMITS.message_bytes + 1))
    assert answer.status_code == 429


async def test_headers_above_the_limit_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.get("/healthz", headers={"x-big": "x" * (LIMITS.header_bytes + 1)})
    assert answer.status_code in {400, 431}


async def test_a_bug_leaks_no_text(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/fail")
    assert answer.status_code == 500
    assert answer.json() == {"code": 13, "message": "internal error"}


async def test_grpc_needs_its_content_type(client: httpx.AsyncClient) -> None:
    answer = await client.post("/test.v1.Example/Echo", content=b"\0\0\0\0\0")
    assert answer.status_code == 404
