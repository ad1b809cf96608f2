"""The ASGI transport: ``Routes`` as one ASGI application."""

from pdp.server.asgi.app import AsgiApp

__all__ = ["AsgiApp"]
