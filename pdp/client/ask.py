"""One question to a running service, answered as JSON-like data."""

from __future__ import annotations

from typing import Any, cast

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from pdp.client.errors import UnansweredError
from pdp.client.question import Question
from pdp.v1 import policy_decision_pb2 as pb

_SERVICE = "/pdp.v1.PolicyDecisionService/"


def ask(address: str, question: Question, *, timeout: float, explain: bool = False) -> dict[str, Any]:
    """Ask once.

    Args:
        address: host:port of a service on loopback or behind a proxy; the connection is not encrypted.
        question: what to ask.
        timeout: seconds to wait.
        explain: ask for every rule considered as well.

    Returns:
        The response message with proto field names: ``decision``, and ``rules`` where explained.

    Raises:
        UnansweredError: the service cannot be reached, is too slow, or refuses the question.
    """
    request: Any = question.message()
    method, response = "Evaluate", cast("type[Message]", pb.EvaluateResponse)
    if explain:
        request = pb.ExplainRequest(request=request)
        method, response = "Explain", pb.ExplainResponse
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(_SERVICE + method, type(request).SerializeToString, response.FromString)
        try:
            answer = call(request, timeout=timeout)
        except grpc.RpcError as error:
            raise UnansweredError(f"no answer from {address}: {error.code().name}: {error.details()}") from error
    return MessageToDict(answer, preserving_proto_field_name=True)
