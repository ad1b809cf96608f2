"""Settings of traces, metrics and logs."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

_QUEUE_LIMIT: Final = 65_536


class LogFormat(enum.StrEnum):
    """The form of a log line; ``auto`` is text on a terminal and JSON everywhere else."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class LogLevel(enum.StrEnum):
    """The least severe level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """What is traced and logged, and where it goes.

    Attributes:
        traces_url: OTLP/HTTP traces endpoint, such as https://collector:4318/v1/traces; empty exports no traces.
        traces_headers: HTTP headers of an export, such as its authorization.
        traces_ca: PEM file of the authorities that may vouch for the endpoint; empty means the system's.
        traces_certificate: PEM file of the client certificate for the endpoint.
        traces_private_key: PEM file of its key.
        traces_timeout: seconds that an export may take, its retries included.
        traces_ratio: share of allows that are traced, 0 to 1; denies, faults and step-ups always are, and a caller
            that sent a trace decides for its allows.
        traces_per_second: spans made in a second at most, by each worker; the rest are dropped and counted.
        traces_queue: spans that wait for export at most, in each worker; the rest are dropped and counted.
        log_level: debug, info, warning or error.
        log_format: auto, json or text.
    """

    traces_url: str = ""
    traces_headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    traces_ca: Path | None = None
    traces_certificate: Path | None = None
    traces_private_key: Path | None = None
    traces_timeout: float = 5.0
    traces_ratio: float = 0.01
    traces_per_second: int = 200
    traces_queue: int = 2048
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.AUTO

    def __post_init__(self) -> None:
        if self.traces_url and urlsplit(self.traces_url).scheme not in ("http", "https"):
            raise ValueError("traces_url is not an http or https URL")
        if (self.traces_certificate is None) != (self.traces_private_key is None):
            raise ValueError("traces_certificate and traces_private_key go together")
        if not 0.0 <= self.traces_ratio <= 1.0:
            raise ValueError("traces_ratio is not between 0 and 1")
        if not 0.0 < self.traces_timeout <= 60.0:  # noqa: PLR2004 - a minute is longer than any export is worth
            raise ValueError("traces_timeout is not between 0 and 60 seconds")
        if self.traces_per_second < 1 or not 1 <= self.traces_queue <= _QUEUE_LIMIT:
            raise ValueError(f"traces_per_second is not positive, or traces_queue not between 1 and {_QUEUE_LIMIT}")
