"""Errors of reading and writing attributes by hand; none of them is raised on the path of a request."""

from __future__ import annotations

from pdp.core.errors import PdpError


class AttributesInvalidError(PdpError):
    """Something a person gave is not an entity or an attribute value that the schema allows; says what is."""


class EntityUnknownError(PdpError):
    """An entity that is to be changed is not on record."""


class EmbeddedRedisError(PdpError):
    """The embedded redis-server cannot be found or did not start; says what to do."""
