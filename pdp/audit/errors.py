"""What the decision log raises. Messages name files, offsets and limits, never record contents."""

from pdp.core.errors import PdpError


class AuditError(PdpError):
    """The base of every error of the decision log."""


class AuditUnavailable(AuditError):  # noqa: N818  the port's name for it: a state, not a programming error
    """A record cannot be written, so the decision it describes must not be answered with an allow.

    Attributes:
        reason: a stable code: `disk_full`, `io_error`, `read_only`, `low_disk_space`, `queue_full` or `closed`.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class LogDamaged(AuditError):  # noqa: N818  names what was found, as the operator will read it
    """The log on disk contradicts its own signed checkpoints; it needs a person, not a repair."""


class FormatError(AuditError):
    """A file is not what its name claims: wrong magic, broken header, impossible length."""


class ProofError(AuditError):
    """An inclusion or consistency proof does not hold."""
