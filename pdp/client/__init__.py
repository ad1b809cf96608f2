"""Asking the service from Python: clients that hold decisions while they are right, and enforcement points.

Needs grpcio and protobuf, and nothing of the service.
"""

from pdp.client.aio import AsyncClient, Grant
from pdp.client.asgi import AuthorizationMiddleware
from pdp.client.ask import ask
from pdp.client.blocking import Client
from pdp.client.decision import Decision, Obligation, Reason, StepUp
from pdp.client.errors import AccessDeniedError, ObligationFailedError, UnansweredError
from pdp.client.grpc_server import AuthorizationInterceptor
from pdp.client.masks import Mask
from pdp.client.obligations import Handler, Handlers, Notify
from pdp.client.protect import protect, protect_blocking
from pdp.client.question import Question
from pdp.client.settings import ClientSettings, ClientTls
from pdp.client.watermark import Watermark

__all__ = [
    "AccessDeniedError",
    "AsyncClient",
    "AuthorizationInterceptor",
    "AuthorizationMiddleware",
    "Client",
    "ClientSettings",
    "ClientTls",
    "Decision",
    "Grant",
    "Handler",
    "Handlers",
    "Mask",
    "Notify",
    "Obligation",
    "ObligationFailedError",
    "Question",
    "Reason",
    "StepUp",
    "UnansweredError",
    "Watermark",
    "ask",
    "protect",
    "protect_blocking",
]
