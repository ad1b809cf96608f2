"""Messages that tests send."""

from __future__ import annotations

from pdp.v1 import policy_decision_pb2 as rpc


def ask(
    subject: str = "alice",
    action: str = "read",
    resource: str = "customer:c-1",
    *,
    purpose: str = "billing",
    session: str = "",
    device: str = "",
    supported: tuple[str, ...] = ("mask",),
) -> rpc.EvaluateRequest:
    """A request; by default one that is allowed and owes a mask."""
    message = rpc.EvaluateRequest(session_id=session, device_id=device)
    message.subject.type, message.subject.id = "user", subject
    message.action.name = action
    message.resource.type, _, message.resource.id = resource.partition(":")
    message.context.purpose = purpose
    message.context.supported_obligations.extend(supported)
    return message
