"""Why a security event token (SET) is not accepted, in the words of RFC 8935, section 2.4."""

from __future__ import annotations

import enum

from pdp.core.errors import PdpError


class SetErrorCode(enum.StrEnum):
    """The registered error codes of SET delivery."""

    INVALID_REQUEST = "invalid_request"
    INVALID_KEY = "invalid_key"
    INVALID_ISSUER = "invalid_issuer"
    INVALID_AUDIENCE = "invalid_audience"
    AUTHENTICATION_FAILED = "authentication_failed"
    ACCESS_DENIED = "access_denied"


class SetError(PdpError):
    """A SET that is refused; nothing was written.

    Attributes:
        code: what to tell the transmitter.
        description: a text for its operator, without values of the token.
        transient: whether it may be accepted later, unchanged: the fault is not the token's.
    """

    def __init__(self, code: SetErrorCode, description: str, *, transient: bool = False) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.transient = transient


class TransmitterError(PdpError):
    """A transmitter did not answer, or not as it should; says how, without what it answered."""
