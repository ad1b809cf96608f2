"""Transports: one set of handlers served by grpcio or, in Envoy, by ASGI."""
