"""What can go wrong for an enforcement point. Nothing may be allowed on the strength of any of them."""

from __future__ import annotations

from pdp.client.decision import Decision
from pdp.core.errors import PdpError


class UnansweredError(PdpError):
    """The service gave no decision; nothing may be allowed on the strength of that."""


class AccessDeniedError(PdpError):
    """The decision is a deny.

    Attributes:
        decision: it, with its reasons and what authentication would lift it.
    """

    def __init__(self, decision: Decision) -> None:
        super().__init__(str(decision))
        self.decision = decision


class ObligationFailedError(PdpError):
    """An allow whose mandatory obligation could not be carried out: it must not be used.

    Attributes:
        obligation: the obligation's id.
    """

    def __init__(self, obligation: str, problem: str) -> None:
        super().__init__(f"obligation {obligation}: {problem}")
        self.obligation = obligation
