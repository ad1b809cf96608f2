"""The service as an operator runs it: ``pdp serve`` in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Service:
    """A running ``pdp serve``.

    Attributes:
        grpc: host:port of the gRPC interface.
        http: base URL of the HTTP interface.
        folder: where its log and keys are.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self._ready = threading.Event()
        settings = (
            f"audit.directory={folder}/audit",
            f"audit.keys={folder}/keys",
            f"policy.state={folder}/policy",
            "telemetry.log_level=warning",
            # No busy machine takes that long.
            "redis.fetch_timeout=5",
            "limits.default_deadline=10",
        )
        options = [part for setting in settings for part in ("--set", setting)]
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pdp",
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--http",
                "127.0.0.1:0",
                *options,
                *arguments,
            ],
            cwd=ROOT,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        self._ready.wait(60)
        text = "\n".join(self.lines)
        if "\nready" not in text:
            self.stop()
            raise AssertionError(text)
        self.grpc = re.search(r"gRPC (\S+)", text)[1]
        self.http = "http://" + re.search(r"HTTP (\S+)", text)[1]

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.lines.append(_ANSI.sub("", line.rstrip()))
            if self.lines[-1].startswith("ready"):
                self._ready.set()
        self._ready.set()

    def stop(self, number: int = signal.SIGINT) -> int:
        """Stop it and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[Service]:
    """Run the service in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pdp-test-") as folder:
        service = Service(Path(folder), *arguments)
        try:
            yield service
        finally:
            service.stop()


def pdp(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a ``pdp`` command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pdp", *arguments],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "160", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
