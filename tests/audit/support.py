"""Logs, keys and records for the tests of the decision log."""

import json
import uuid
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pdp.audit import AuditKeys, DecisionLog, LogSettings
from pdp.audit.replay import replay
from pdp.audit.sealing import KeyRing
from pdp.audit.segment import SegmentReader, list_segments
from pdp.signing.note import Signer
from pdp.signing.pseudonyms import PseudonymKey

NAME = "example.com/pdp"


def make_keys(*, sealed: bool = False) -> AuditKeys:
    """Fresh keys, held in memory."""
    ring = KeyRing("0001", {"0001": bytes(range(32))}) if sealed else None
    return AuditKeys(Signer.generate(NAME), {"0001": PseudonymKey("0001", b"p" * 32)}, ring)


def settings(directory: Path, **changes: Any) -> LogSettings:
    """Settings for small logs: no background work on closed segments, checkpoints only when asked for."""
    base = LogSettings(directory=directory, worker="w0", checkpoint_seconds=3600.0, min_free_bytes=0, compress=False)
    return replace(base, **changes)


def decision(number: int, **changes: Any) -> dict[str, object]:
    """The record of one decision, as the service makes it."""
    allowed = number % 5 != 0
    record: dict[str, object] = {
        "kind": "decision",
        "decision_id": str(uuid.UUID(int=(4 << 76) + (2 << 62) + number)),
        "caller": "spiffe://example.org/ns/prod/sa/agent-desktop",
        "subject": f"agent-{number % 7}",
        "action": "read",
        "resource": {"type": "recording", "id": f"rec-{number}"},
        "purpose": "quality-review",
        "session": f"session-{number % 11}",
        "device": f"laptop-{number % 7}",
        "outcome": "allow" if allowed else "deny",
        "reasons": ["permit"] if allowed else ["no_matching_permit"],
        "rules": [f"p:{number % 4}"],
        "obligations": ["mask_pan"],
        "revision": "sha256:" + "ab" * 32,
        "attribute_versions": {"subject": 12 + number, "device": 7, "session": 33},
        "trace_id": f"{number:032x}",
    }
    return record | changes


def fill(log: DecisionLog, numbers: Iterable[int]) -> None:
    """Append one decision a number."""
    for number in numbers:
        log.append_now(decision(number))


def read_records(folder: Path, keys: AuditKeys) -> list[dict[str, Any]]:
    """Every record of a worker's folder, parsed, by walking the segments here and now."""
    records = []
    for segment in list_segments(folder):
        with SegmentReader(segment.path) as reader:
            header, offset = reader.header()
            decoder = header.decoder(keys.ring)
            while offset < reader.size:
                tag, seq, _, payload, offset = reader.frame_at(offset)
                if tag == 0xFFFE:
                    decoder.define(seq, payload)
                else:
                    records.append(json.loads(decoder.text(tag, seq, payload)))
    return records


def replay_file(path: Path) -> Any:
    """Replay one segment from its own header."""
    with SegmentReader(path) as reader:
        header, start = reader.header()
        return replay(reader.whole(), start, header.state(), header.decoder(None))
