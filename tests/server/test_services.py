"""Health checking and reflection, on each transport, by the clients of grpcio's own packages."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from tests.server.conftest import Start
from tests.server.example import SERVICE

Status = health_pb2.HealthCheckResponse
REFLECTION = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]


@pytest.mark.parametrize("service", ["", SERVICE])
async def test_check_answers_for_known_services(channel: grpc.aio.Channel, service: str) -> None:
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == Status.SERVING


async def test_check_of_an_unknown_service_is_not_found(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="nope"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_list_names_all(channel: grpc.aio.Channel) -> None:
    answer = await health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest())
    assert {name: each.status for name, each in answer.statuses.items()} == {"": 1, SERVICE: 1}


async def test_watch_of_an_unknown_service_says_so_and_goes_on(channel: grpc.aio.Channel) -> None:
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="nope"))
    assert (await watch.read()).status == Status.SERVICE_UNKNOWN
    assert not watch.done()
    watch.cancel()


async def test_watch_tells_of_a_drain(start: Start) -> None:
    server = start()
    async with grpc.aio.insecure_channel(server.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert (await watch.read()).status == Status.SERVING
        server.terminate()
        assert (await watch.read()).status == Status.NOT_SERVING
        watch.cancel()


@pytest.mark.parametrize("method", ["Check", "Watch"])
async def test_a_malformed_check_is_the_callers_fault(channel: grpc.aio.Channel, method: str) -> None:
    stream = channel.unary_stream(f"/grpc.health.v1.Health/{method}")(b"\xff\xff")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("name", REFLECTION)
async def test_reflection_lists_and_describes(channel: grpc.aio.Channel, name: str) -> None:
    reflect = channel.stream_stream(
        f"/{name}/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )()
    await reflect.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = {service.name for service in (await reflect.read()).list_services_response.service}
    assert listed == {SERVICE, "grpc.health.v1.Health", *REFLECTION}
    symbol = "grpc.health.v1.Health"
    await reflect.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol))
    files = (await reflect.read()).file_descriptor_response.file_descriptor_proto
    assert any(b"HealthCheckRequest" in file for file in files)
    await reflect.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.Such"))
    assert (await reflect.read()).error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    await reflect.done_writing()
    assert await reflect.read() is grpc.aio.EOF


async def test_malformed_reflection_is_the_callers_fault(channel: grpc.aio.Channel) -> None:
    stream = channel.unary_stream(f"/{REFLECTION[0]}/ServerReflectionInfo")(b"\xff\xff")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
