"""gRPC server reflection as ``Routes`` entries, versions v1 and v1alpha: the two have the same messages.

Source: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import SERVICE_NAME as V1ALPHA
from grpc_reflection.v1alpha.reflection import aio

from pdp.server.rpc import Call, Code, RpcError, Streaming

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

V1 = "grpc.reflection.v1.ServerReflection"


def reflection_routes(services: Iterable[str]) -> dict[str, Streaming]:
    """The entries for ``Routes.rpc``, describing ``services`` (full names) and reflection itself.

    The services' generated modules must have been imported: descriptors come from the default pool.
    """
    servicer = aio.ReflectionServicer([*services, V1, V1ALPHA])

    async def reflect(requests: AsyncIterator[bytes], _call: Call) -> AsyncIterator[bytes]:
        async for answer in servicer.ServerReflectionInfo(_parsed(requests), None):
            yield answer.SerializeToString()

    method = Streaming(reflect)
    return {f"/{name}/ServerReflectionInfo": method for name in (V1, V1ALPHA)}


async def _parsed(requests: AsyncIterator[bytes]) -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
    async for message in requests:
        try:
            yield reflection_pb2.ServerReflectionRequest.FromString(message)
        except DecodeError:
            raise RpcError(Code.INVALID_ARGUMENT, "malformed ServerReflectionRequest") from None
