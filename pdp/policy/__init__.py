"""Policy administration: files read, checked, named by digest and made into an immutable revision, which is kept."""

from pdp.policy.keeper import Gate, PolicyKeeper, PolicyStatus
from pdp.policy.origins import Approach, FolderOrigin, Origin, SourceError, open_origin
from pdp.policy.snapshot import EngineFactory, assemble, load, load_schema
from pdp.policy.store import StateFolder

__all__ = [
    "Approach",
    "EngineFactory",
    "FolderOrigin",
    "Gate",
    "Origin",
    "PolicyKeeper",
    "PolicyStatus",
    "SourceError",
    "StateFolder",
    "assemble",
    "load",
    "load_schema",
    "open_origin",
]
