"""Which engine matches the rules."""

from __future__ import annotations

from pdp.config import Engine
from pdp.engine.matcher import CompiledEngine, ShadowEngine
from pdp.engine.reference import ReferenceMatcher
from pdp.policy import EngineFactory


def factory_of(engine: Engine) -> EngineFactory:
    """Give what makes the matcher of a policy revision."""
    match engine:
        case Engine.COMPILED:
            return CompiledEngine()
        case Engine.SHADOW:
            return ShadowEngine()
        case Engine.REFERENCE:
            return ReferenceMatcher
