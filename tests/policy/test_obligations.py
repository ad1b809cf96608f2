"""obligations.yaml: what is read, and what is refused at its place."""

from __future__ import annotations

import pytest

from pdp.core.decision import Obligation
from tests.policy.example import build, refused

FILE = "obligations.yaml"


def test_obligations_are_read() -> None:
    assert build().obligations == {
        "mask-pan": Obligation("mask-pan", "mask", True, {"field": "pan", "mask": "bin6_last4"}),
        "watermark": Obligation("watermark", "watermark", True, {}),
        "notify": Obligation("notify", "notify", False, {"to": "privacy"}),
    }


@pytest.mark.parametrize(
    ("old", "new", "needle", "problem"),
    [
        ("watermark: {", "Watermark: {", "Watermark", "'Watermark' is not a name"),
        ("{type: watermark}", "{}", "{}", "the key 'type' is missing"),
        ("{type: watermark}", "watermark", "watermark\n", "a mapping is expected"),
        ("{type: watermark}", "{type: Water-Mark}", "Water-Mark", "a name is expected"),
        ("{type: watermark}", "{type: true}", "true", "a name is expected"),
        ("mandatory: false", "mandatory: no", "no, prop", "true or false is expected"),
        ("mandatory: false", "mandatry: false", "mandatry", "unknown key 'mandatry'"),
        ("{to: privacy}", "{to: 1}", "1}", "a text is expected"),
        ("{to: privacy}", "{to: ''}", "''", "a text that is empty"),
        ("{to: privacy}", "{to: café}", "café", "other than printable ASCII"),
        ("{to: privacy}", '{to: "a\\r\\nb"}', '"a', "other than printable ASCII"),
        ("{to: privacy}", "{to: [privacy]}", "[privacy]", "a text is expected"),
        ("{to: privacy}", "{-to: privacy}", "-to", "'-to' is not a name"),
        ('description: "First six, last four."', "description: 47", "47", "a text is expected"),
        ('"First six, last four."', "First six, last four.", "last four.", "unknown key 'last four.'"),
        ("obligations:", "obligation:", "obligation:", "unknown key 'obligation'"),
    ],
)
def test_is_refused(old: str, new: str, needle: str, problem: str) -> None:
    refused(FILE, old, new, needle, problem)


def test_a_comma_in_a_text_without_quotes_is_explained() -> None:
    found = refused(FILE, '"First six, last four."', "First six, last four.", "last four.", "unknown key")
    assert found.help == "put a text that holds a comma in quotes"
