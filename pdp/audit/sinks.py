"""Where records and checkpoints can be sent: an OTLP/HTTP logs endpoint, a Redis stream, a file.

A sink either takes everything it is given or raises SinkError; what was given before an error may have arrived.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from pdp.audit.errors import AuditError
from pdp.audit.segment import replace_file

_SEVERITIES = {"allow": (9, "INFO"), "deny": (13, "WARN")}


class SinkError(AuditError):
    """A sink did not take what it was given."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to send.

    Attributes:
        event: its name: `pdp.audit.record` or `pdp.audit.checkpoint`.
        body: its text: a record's JSON, or a signed note.
        time: microseconds since the epoch; 0 if unknown.
        outcome: `allow` or `deny` for a decision.
        trace_id: 32 hexadecimal digits, or empty.
        attributes: what a receiver may want to select by.
    """

    event: str
    body: str
    time: int = 0
    outcome: str = ""
    trace_id: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


class Sink(Protocol):
    """Takes entries. Blocking; called from one thread."""

    def send(self, entries: Sequence[Entry]) -> None:
        """Send all of them, in order.

        Raises:
            SinkError: at least one of them may not have arrived.
        """


class OtlpLogs:
    """Sends OTLP/HTTP log records in the JSON encoding (OpenTelemetry protocol specification, OTLP/HTTP)."""

    def __init__(self, endpoint: str, headers: Mapping[str, str] | None = None, timeout: float = 10.0) -> None:
        if urlsplit(endpoint).scheme not in ("http", "https"):
            raise SinkError("an OTLP endpoint is an http or https URL, such as http://127.0.0.1:4318/v1/logs")
        self._endpoint = endpoint
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._timeout = timeout

    def send(self, entries: Sequence[Entry]) -> None:
        """Post one request; a partial success is an error, since records would be lost to the receiver."""
        scope = {"scope": {"name": "pdp.audit"}, "logRecords": [_log_record(entry) for entry in entries]}
        resource = {"attributes": [_attribute("service.name", "pdp")]}
        body = json.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]}).encode()
        request = urllib.request.Request(self._endpoint, body, self._headers, method="POST")  # noqa: S310  checked
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:  # noqa: S310  checked above
                answer = json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise SinkError(f"the OTLP endpoint answered {error.code}") from None
        except (OSError, ValueError) as error:
            raise SinkError(f"the OTLP endpoint cannot be used: {type(error).__name__}") from None
        rejected = (answer.get("partialSuccess") or {}).get("rejectedLogRecords") or 0
        if int(rejected):
            raise SinkError(f"the OTLP endpoint rejected {rejected} records")


def _log_record(entry: Entry) -> dict[str, Any]:
    number, text = _SEVERITIES.get(entry.outcome, (9, "INFO"))
    record: dict[str, Any] = {
        "timeUnixNano": str(entry.time * 1000),
        "severityNumber": number,
        "severityText": text,
        "eventName": entry.event,
        "body": {"stringValue": entry.body},
        "attributes": [_attribute(name, value) for name, value in entry.attributes.items()],
    }
    if entry.trace_id:
        record["traceId"] = entry.trace_id
    return record


def _attribute(name: str, value: str) -> dict[str, Any]:
    return {"key": name, "value": {"stringValue": value}}


class Pipeline(Protocol):
    """The part of redis-py's pipeline that is used."""

    def xadd(self, name: str, fields: dict[Any, Any], *, maxlen: int | None, approximate: bool) -> object:
        """Queue an XADD."""

    def execute(self) -> object:
        """Send what is queued; raises if any of it failed."""


class RedisClient(Protocol):
    """The part of redis-py's client that is used."""

    def pipeline(self, transaction: bool) -> Pipeline:  # noqa: FBT001  redis-py's signature
        """A new pipeline."""


class RedisStream:
    """Appends to a Redis stream, one entry each with the fields `event`, `body` and the attributes."""

    def __init__(self, client: RedisClient, stream: str, max_length: int | None = None) -> None:
        self._client = client
        self._stream = stream
        self._max_length = max_length

    def send(self, entries: Sequence[Entry]) -> None:
        """Append them in one round trip."""
        try:
            pipeline = self._client.pipeline(transaction=False)
            for entry in entries:
                fields = {"event": entry.event, "body": entry.body, **entry.attributes}
                pipeline.xadd(self._stream, fields, maxlen=self._max_length, approximate=True)
            pipeline.execute()
        except Exception as error:
            raise SinkError(f"the Redis stream cannot be written: {type(error).__name__}") from error


class FileAnchor:
    """Keeps the newest checkpoint of each tree in a folder, ideally a mount that this machine cannot rewrite."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def export(self, origin: str, note: str) -> None:
        """Replace `<origin with / as _>.checkpoint`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_file(self._folder / f"{origin.replace('/', '_')}.checkpoint", note.encode())


class SinkAnchor:
    """Sends checkpoints to a sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def export(self, origin: str, note: str) -> None:
        """Send the note as an entry named `pdp.audit.checkpoint`."""
        self._sink.send([Entry("pdp.audit.checkpoint", note, attributes={"pdp.audit.origin": origin})])
