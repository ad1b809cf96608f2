"""Load by ``h2load``, nghttp2's load generator: one body, sent again and again, timed request by request."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

GRPC: Final = {"content-type": "application/grpc", "te": "trailers"}
WARM_UP: Final = 0.3
"""Seconds before times are taken."""
_DONE: Final = re.compile(
    r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, \d+ errored, \d+ timeout"
)
_DATA: Final = re.compile(r"\((\d+)\) data")


class WrongAnswerError(Exception):
    """A server did not give the answer that is measured; its numbers would mean nothing."""


@dataclass(frozen=True)
class Target:
    """One call to one server.

    Attributes:
        url: scheme, host, port and path.
        body: the request's body, message frames included.
        reply: bytes of the body of a right answer, as the call that verified the server had them.
        decisions: how many decisions one call gives.
        headers: request headers.
    """

    url: str
    body: bytes
    reply: int
    decisions: int = 1
    headers: Mapping[str, str] = field(default_factory=lambda: GRPC)


class Shape(NamedTuple):
    """How many calls are in flight: connections, and streams on each."""

    connections: int
    streams: int


class Sample(NamedTuple):
    """What one round gave: calls, over how many seconds, and each call's time in microseconds, ascending."""

    calls: int
    seconds: float
    micros: list[int]

    def percentile(self, share: float) -> float:
        """Give a percentile in microseconds, by nearest rank."""
        return float(self.micros[min(len(self.micros) - 1, int(share * len(self.micros)))])


def drive(target: Target, shape: Shape, seconds: float) -> Sample:
    """Keep so many calls in flight for some seconds.

    Raises:
        WrongAnswerError: a call failed, or the answers had too few bytes to be right: an error has no body.
    """
    with tempfile.TemporaryDirectory(prefix="pdp-load-") as folder:
        body, log = Path(folder, "body"), Path(folder, "log")
        body.write_bytes(target.body)
        command = ["h2load", f"--duration={_millis(seconds)}", f"--warm-up-time={_millis(WARM_UP)}"]
        command += [f"--clients={shape.connections}", f"--max-concurrent-streams={shape.streams}", f"--data={body}"]
        command += [f"--log-file={log}"]
        for name, value in target.headers.items():
            command += ["-H", f"{name}: {value}"]
        done = subprocess.run([*command, target.url], capture_output=True, text=True, timeout=60, check=True)
        calls = _checked(done.stdout, target)
        return Sample(calls, seconds, _times(log))


def _checked(report: str, target: Target) -> int:
    counts, data = _DONE.search(report), _DATA.search(report)
    if counts is None or data is None:
        raise WrongAnswerError(f"{target.url}: {report}")
    done, succeeded, failed = map(int, counts.groups())
    # Ages and identifiers change the length of an answer by a few bytes.
    if failed or succeeded != done or not done or int(data[1]) < 0.9 * done * target.reply:
        raise WrongAnswerError(
            f"{target.url}: of {done} calls {succeeded} succeeded, with {data[1]} bytes of answers"
        )
    return succeeded


def _times(log: Path) -> list[int]:
    """Read each call's time: the third column, in microseconds."""
    return sorted(int(line.rsplit("\t", 1)[1]) for line in log.read_text().splitlines())


def _millis(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def merged(samples: list[Sample]) -> Sample:
    """Give the samples of several rounds as one."""
    times: list[int] = []
    for sample in samples:
        times += sample.micros
    return Sample(sum(s.calls for s in samples), sum(s.seconds for s in samples), sorted(times))
