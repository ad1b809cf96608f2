"""A question as a person writes it: the options of ``pdp check``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from pdp.core.request import Context, EntityRef, Request

REFERENCES: Final = ("subject", "resource")
TEXTS: Final = ("action", "session", "device", "purpose", "channel", "network", "emergency")
OPTIONS: Final = (*REFERENCES, *TEXTS, "supports")


def make_request(options: Mapping[str, Any], every_obligation: Collection[str]) -> Request:
    """Make a request.

    Args:
        options: ``subject`` and ``resource`` as ``type:id``, ``emergency`` the stated reason, ``supports`` the
            obligation types that the enforcement point carries out; the others are texts. What is left out is
            empty.
        every_obligation: the obligation types carried out where ``supports`` is left out.
    """
    reason = options.get("emergency", "")
    context = Context(
        purpose=options.get("purpose", ""),
        channel=options.get("channel", ""),
        network=options.get("network", ""),
        emergency=bool(reason),
        emergency_reason=reason,
        supported_obligations=frozenset(options.get("supports", every_obligation)),
    )
    subject, resource = (EntityRef(*_parted(options.get(name, ""))) for name in REFERENCES)
    texts = [options.get(name, "") for name in ("action", "session", "device")]
    return Request(subject, texts[0], resource, context, texts[1], texts[2])


def _parted(text: str) -> tuple[str, str]:
    kind, _, identifier = text.partition(":")
    return kind, identifier
