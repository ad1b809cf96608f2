"""Settings of the interfaces, each with its unit. Built by the composition root from the configuration."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Settings of the decision service.

    Attributes:
        answer_seconds: within how many seconds a question on a stream, or one over HTTP, is answered. A unary call
            brings its own deadline.
        stream_in_flight: how many questions of one stream are worked on at once; more wait unread.
    """

    answer_seconds: float = 2.0
    stream_in_flight: int = 64
