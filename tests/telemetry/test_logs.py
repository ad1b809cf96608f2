"""Log lines: their form, what they leave out, and that writing them holds nobody up."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import pty
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.core.errors import PolicyInvalidError, PolicyProblem
from pdp.core.reasons import Reason
from pdp.telemetry.log_output import LogOutput
from pdp.telemetry.logs import JsonFormatter, TextFormatter, configure, trace_context
from pdp.telemetry.settings import LogFormat, LogLevel
from tests.telemetry.answers import IDENTIFIERS, PARENT, allow, deny
from tests.telemetry.collectors import eventually

NAMES = ("", "asyncio", "casbin", "grpc", "opentelemetry", "requests", "urllib3", "uvicorn", "uvicorn.access")
Configure = Callable[..., LogOutput]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Configure]:
    """Configure the process's logging, and put it back after."""
    levels = {name: logging.getLogger(name).level for name in NAMES}
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    outputs: list[LogOutput] = []

    def begin(stream: TextIO, level: LogLevel = LogLevel.INFO, form: LogFormat = LogFormat.AUTO) -> LogOutput:
        outputs.append(configure(level, form, stream))
        return outputs[-1]

    yield begin
    for output in outputs:
        output.close()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def line(message: object, *args: object, error: BaseException | None = None, **extra: Any) -> Any:
    return json.loads(JsonFormatter().format(record(message, *args, error=error, **extra)))


def messages(lines: Iterable[str]) -> list[str]:
    return [json.loads(text)["message"] for text in lines]


def record(message: object, *args: object, error: BaseException | None = None, **extra: Any) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.getLogger("pdp.test").makeRecord(
        "pdp.test", logging.INFO, "f.py", 1, message, args, info, extra=extra
    )


def test_a_line_is_an_object_of_named_fields(configured: Configure) -> None:
    stream = io.StringIO()
    output = configured(stream)
    before = datetime.now(UTC)
    facts = {"event": "policy.refused", "rules": 44}
    logging.getLogger("pdp.policy").warning("policy refused: %d problems", 3, extra=facts)
    output.close()
    written = json.loads(stream.getvalue())
    stamp = datetime.fromisoformat(written.pop("time"))
    assert abs((stamp - before).total_seconds()) < 10
    assert stamp.utcoffset() == before.utcoffset()
    assert written == {
        "level": "warning",
        "logger": "pdp.policy",
        "message": "policy refused: 3 problems",
        "event": "policy.refused",
        "rules": 44,
    }


def test_the_time_is_rfc_3339() -> None:
    made = record("x")
    made.created = 1_800_000_000.0
    assert json.loads(JsonFormatter().format(made))["time"] == "2027-01-15T08:00:00.000Z"


async def test_a_line_carries_the_trace_it_was_written_in() -> None:
    async def task(trace_id: str) -> str:
        with trace_context(trace_id):
            await asyncio.sleep(0)
            return str(line("x")["trace_id"])

    assert await asyncio.gather(task("a" * 32), task("b" * 32)) == ["a" * 32, "b" * 32]
    assert "trace_id" not in line("x")
    assert line("x", trace_id="c" * 32)["trace_id"] == "c" * 32


@pytest.mark.parametrize("thing", [allow(), deny(Reason.CONDITION_ERROR), allow().request, allow().caller, PARENT])
def test_requests_and_answers_are_never_written_out(thing: object) -> None:
    for written in (
        line("got %s", thing),
        line("got %r", thing),
        line(thing),
        line("got %(it)s", {"it": thing}),
        line("got", it=thing),
        line("got", it=[{"deep": (thing,)}]),
    ):
        text = json.dumps(written)
        assert f"<{type(thing).__name__}>" in text
        for identifier in IDENTIFIERS:
            assert identifier not in text


def test_an_exceptions_text_is_left_out_and_its_place_is_not() -> None:
    try:
        try:
            {}["alice"]
        except KeyError as error:
            raise ValueError("c-4711") from error
    except ValueError as error:
        written = line("unhandled", error=error)
    first, second = written["exception"]
    assert (first["type"], second["type"]) == ("ValueError", "KeyError")
    assert "test_an_exceptions_text_is_left_out" in first["stack"][0]
    assert "alice" not in json.dumps(written)
    assert "c-4711" not in json.dumps(written)


def test_errors_of_files_and_settings_speak() -> None:
    problem = PolicyInvalidError((PolicyProblem("policy/a.csv", 3, 7, "unknown role"),))
    assert line("refused", error=problem)["exception"][0]["message"] == "policy/a.csv:3:7: unknown role"
    assert "No such file" in line("x", error=FileNotFoundError(2, "No such file", "a"))["exception"][0]["message"]
    assert line("cannot read: %s", problem)["message"] == "cannot read: policy/a.csv:3:7: unknown role"


def test_a_chain_of_exceptions_without_end_ends() -> None:
    one, other = ValueError(), TypeError()
    one.__cause__, other.__cause__ = other, one
    assert len(line("x", error=one)["exception"]) == 5


def test_plain_values_stand_as_given() -> None:
    written = line("%s %d %s %s", Path("/etc/pdp"), 3, Reason.DENIED_BY_RULE, None, ratio=0.5, names={"a"}, on=True)
    assert written["message"] == "/etc/pdp 3 DENIED_BY_RULE None"
    assert (written["ratio"], written["names"], written["on"]) == (0.5, ["a"], True)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_json_does_not_have_are_text(number: float) -> None:
    text = JsonFormatter().format(record("x", value=number))
    assert json.loads(text, parse_constant=pytest.fail)["value"] == str(number)


def test_arguments_that_do_not_fit_lose_no_line() -> None:
    assert line("%d files", "many")["message"] == "%d files (its arguments do not fit)"


@given(st.text())
def test_a_line_is_one_line_whatever_it_says(text: str) -> None:
    made = record("%s", text, field=text)
    for formatter in (JsonFormatter(), TextFormatter(colour=False)):
        formatted = formatter.format(made)
        assert len(formatted.splitlines()) == 1
        assert formatted.isprintable()
    assert json.loads(JsonFormatter().format(made))["message"] == text


def test_text_for_a_person() -> None:
    made = record("policy loaded", event="policy.loaded", rules=44)
    made.created = 1_800_000_000.0
    plain = "08:00:00.000 info     policy loaded  event=policy.loaded  rules=44"
    assert TextFormatter(colour=False).format(made) == plain
    assert TextFormatter(colour=True).format(made).startswith("08:00:00.000 \x1b[32minfo    \x1b[0m policy loaded")


def on_terminal(configured: Configure, form: LogFormat) -> str:
    screen, terminal = pty.openpty()
    with os.fdopen(screen, "rb", buffering=0) as shown, os.fdopen(terminal, "w") as stream:
        output = configured(stream, form=form)
        logging.getLogger("pdp").info("ready")
        output.close()
        return shown.read(4096).decode()


def test_a_terminal_gets_coloured_text(configured: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32minfo    \x1b[0m ready" in on_terminal(configured, LogFormat.AUTO)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in on_terminal(configured, LogFormat.AUTO)
    assert json.loads(on_terminal(configured, LogFormat.JSON))["message"] == "ready"


def test_text_may_be_asked_for_anywhere(configured: Configure) -> None:
    stream = io.StringIO()
    output = configured(stream, form=LogFormat.TEXT)
    logging.getLogger("pdp").info("ready")
    output.close()
    assert stream.getvalue().endswith("info     ready\n")


def test_only_the_level_and_above_is_written(configured: Configure) -> None:
    stream = io.StringIO()
    output = configured(stream, LogLevel.WARNING)
    logging.getLogger("pdp").info("quiet")
    logging.getLogger("pdp").warning("loud")
    output.close()
    assert messages(stream.getvalue().splitlines()) == ["loud"]


def test_libraries_that_log_requests_are_silent(configured: Configure) -> None:
    stream = io.StringIO()
    output = configured(stream, LogLevel.DEBUG)
    logging.getLogger("casbin.enforcer").warning("Request: alice, data1, read ---> false")
    logging.getLogger("uvicorn.access").info('10.0.0.1 - "GET /customers/c-4711"')
    logging.getLogger("urllib3.connectionpool").warning("Retrying")
    logging.getLogger("pdp").debug("own")
    output.close()
    assert messages(stream.getvalue().splitlines()) == ["own"]


def test_configuring_again_replaces_what_was(configured: Configure) -> None:
    first, second = io.StringIO(), io.StringIO()
    configured(first)
    output = configured(second)
    logging.getLogger("pdp").info("once")
    output.close()
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1


def test_closing_writes_what_waits_and_leaves_the_stream_open(configured: Configure) -> None:
    stream = io.StringIO()
    output = configured(stream)
    for number in range(2000):
        logging.getLogger("pdp").info("line %d", number)
    output.close()
    assert messages(stream.getvalue().splitlines()) == [f"line {n}" for n in range(2000)]
    assert not stream.closed


def test_a_reader_that_stops_reading_holds_nobody_up(configured: Configure) -> None:
    """A pipe holds 64 KiB; then its writer blocks, and lines are dropped and counted."""
    reader, writer = os.pipe()
    read: list[str] = []

    def drain() -> None:
        with os.fdopen(reader) as source:
            read.extend(source)

    with os.fdopen(writer, "w") as stream:
        output = configured(stream)
        for number in range(15_000):
            logging.getLogger("pdp").info("line %d", number)
        assert read == [], "nobody read so far, and all were logged"
        thread = threading.Thread(target=drain)
        thread.start()
        eventually(lambda: len(read) > 5000)
        eventually(output._lines.empty)
        logging.getLogger("pdp").info("last")
        output.close()
    thread.join(10)
    written = [json.loads(text) for text in read]
    *lines, notice, last = written
    assert last["message"] == "last"
    assert notice["event"] == "logs.dropped"
    assert notice["message"] == f"{15_000 - len(lines)} log lines were dropped: their reader is too slow"
    assert [entry["message"] for entry in lines] == [f"line {number}" for number in range(len(lines))]


def test_a_reader_that_is_gone_raises_nowhere(configured: Configure) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    output = configured(stream)
    logging.getLogger("pdp").info("into the void")
    eventually(output._lines.empty)
    logging.getLogger("pdp").info("again")
    output.close()
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_line_that_cannot_be_made_is_reported(configured: Configure) -> None:
    class BadFileError(OSError):
        def __str__(self) -> str:
            raise RuntimeError("alice")

    stream = io.StringIO()
    output = configured(stream)
    logging.getLogger("pdp").info("x %s", BadFileError())
    output.close()
    assert json.loads(stream.getvalue())["event"] == "logs.malformed"
    assert "alice" not in stream.getvalue()
