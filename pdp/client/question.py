"""What is asked, and its wire form."""

from __future__ import annotations

from typing import NamedTuple

from pdp.v1 import policy_decision_pb2 as pb


class Question(NamedTuple):
    """May ``subject`` do ``action`` on ``resource``? References are (type, id).

    A named tuple, because it is hashed for every look into the decision cache.
    """

    subject: tuple[str, str]
    action: str
    resource: tuple[str, str]
    session: str = ""
    device: str = ""
    purpose: str = ""
    channel: str = ""
    network: str = ""
    emergency_reason: str = ""
    supported_obligations: tuple[str, ...] = ()

    def supporting(self, types: tuple[str, ...]) -> Question:
        """Give the same with the types of obligation that will be carried out, unless it names some itself."""
        return self if self.supported_obligations else self._replace(supported_obligations=types)

    def message(self) -> pb.EvaluateRequest:
        """Give the wire form."""
        request = pb.EvaluateRequest(session_id=self.session, device_id=self.device)
        request.subject.type, request.subject.id = self.subject
        request.action.name = self.action
        request.resource.type, request.resource.id = self.resource
        context = request.context
        context.purpose, context.channel, context.network = self.purpose, self.channel, self.network
        context.emergency, context.emergency_reason = bool(self.emergency_reason), self.emergency_reason
        context.supported_obligations.extend(self.supported_obligations)
        return request
