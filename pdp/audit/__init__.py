"""The tamper-evident decision log."""

from pdp.audit.errors import AuditError, AuditUnavailable, LogDamaged
from pdp.audit.identifiers import IdentifierPolicy, Treatment
from pdp.audit.keys import AuditKeys, load_keys
from pdp.audit.log import DecisionLog, LogHealth
from pdp.audit.settings import Durability, LogSettings
from pdp.signing.errors import KeyFileError

__all__ = [
    "AuditError",
    "AuditKeys",
    "AuditUnavailable",
    "DecisionLog",
    "Durability",
    "IdentifierPolicy",
    "KeyFileError",
    "LogDamaged",
    "LogHealth",
    "LogSettings",
    "Treatment",
    "load_keys",
]
