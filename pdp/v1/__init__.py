"""Generated from proto/pdp/v1: the wire contract. Only pdp.api imports it."""
