"""Policy administration: a folder of files read, checked, named by digest and made into an immutable revision."""

from pdp.policy.folder import FolderSource, PolicyStatus
from pdp.policy.snapshot import EngineFactory, assemble, load, load_schema

__all__ = ["EngineFactory", "FolderSource", "PolicyStatus", "assemble", "load", "load_schema"]
