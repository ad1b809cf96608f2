"""Policy administration: a folder of files read, checked, named by digest and made into an immutable revision."""

from pdp.policy.snapshot import EngineFactory, assemble, load, load_schema

__all__ = ["EngineFactory", "assemble", "load", "load_schema"]
