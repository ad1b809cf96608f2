"""Which engine matches the rules."""

from __future__ import annotations

from pdp.config import Engine
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import EngineFactory


def factory_of(engine: Engine) -> EngineFactory:
    """Give what makes the engine of a policy revision."""
    return {Engine.REFERENCE: ReferenceMatcher}[engine]
