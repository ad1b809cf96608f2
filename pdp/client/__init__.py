"""Asking the service from Python."""

from pdp.client.ask import Question, UnansweredError, ask

__all__ = ["Question", "UnansweredError", "ask"]
