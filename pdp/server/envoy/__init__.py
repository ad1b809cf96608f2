"""The production transport: the ASGI application inside Envoy, by pyvoy's dynamic module."""
