"""Settings are checked when they are made, documented, and keep their secrets."""

from __future__ import annotations

import inspect
import re
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from pdp.telemetry.settings import LogFormat, LogLevel, TelemetrySettings

BAD: list[dict[str, Any]] = [
    {"traces_url": "collector:4318"},
    {"traces_url": "file:///etc/passwd"},
    {"traces_ratio": -0.1},
    {"traces_ratio": 1.1},
    {"traces_ratio": float("nan")},
    {"traces_timeout": 0.0},
    {"traces_timeout": 61.0},
    {"traces_timeout": float("nan")},
    {"traces_per_second": 0},
    {"traces_queue": 0},
    {"traces_queue": 65_537},
    {"traces_certificate": Path("c.pem")},
    {"traces_private_key": Path("k.pem")},
]


@pytest.mark.parametrize("values", BAD, ids=str)
def test_values_out_of_bounds_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        TelemetrySettings(**values)
    with pytest.raises(ValidationError):
        TypeAdapter(TelemetrySettings).validate_python(values)


def test_settings_can_be_read_from_text() -> None:
    read = TypeAdapter(TelemetrySettings).validate_python(
        {
            "traces_url": "https://collector.example:4318/v1/traces",
            "traces_headers": {"authorization": "Bearer s3cret"},
            "traces_ratio": "0.5",
            "traces_ca": "/run/secrets/ca.pem",
            "log_level": "debug",
            "log_format": "json",
        }
    )
    assert read.traces_ratio == 0.5
    assert read.traces_ca == Path("/run/secrets/ca.pem")
    assert (read.log_level, read.log_format) == (LogLevel.DEBUG, LogFormat.JSON)


def test_secrets_do_not_show() -> None:
    assert "s3cret" not in repr(TelemetrySettings(traces_headers={"authorization": "Bearer s3cret"}))


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        TelemetrySettings().traces_ratio = 0.5  # type: ignore[misc]


def test_every_setting_is_documented() -> None:
    documented = re.findall(r"^    (\w+): \S", inspect.getdoc(TelemetrySettings) or "", re.MULTILINE)
    assert documented == [field.name for field in fields(TelemetrySettings)]
