"""What ``pdp serve`` tells the person at the terminal: what it loaded, where it listens, what to try."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console
from rich.markup import escape

from pdp.config import Config
from pdp.policy import PolicyKeeper
from pdp.server.application import ServerSettings
from pdp.server.supervisor import Transport

_SHOWN_PROBLEMS: Final = 10
_TRY: Final = (
    "pdp check --subject user:alice --action read --resource customer:c-1"
    " --session s-1 --device d-1 --purpose billing"
)


class Banner:
    """Writes to standard error, so that standard output stays free for logs that are piped."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._sample = False

    def policy(self, keeper: PolicyKeeper) -> None:
        """Tell what policy was found."""
        status, snapshot, source = keeper.status, keeper.current(), escape(keeper.source)
        if status.problems:
            instead = f"held by {status.held}" if snapshot else "nothing is allowed"
            self._line("policy", f"[bold red]refused[/]: {len(status.problems)} problems in {source}; {instead}")
            for problem in status.problems[:_SHOWN_PROBLEMS]:
                self._console.print(f"           [red]{escape(str(problem))}[/]")
        if snapshot:
            held = f" [yellow]held by {status.held}[/]," if status.held else ""
            about = f"revision {snapshot.revision[:19]}…, engine {self._config.policy.engine}"
            self._line("policy", f"{len(snapshot.rules)} rules from {source},{held} {about}")

    def keys(self, *, created: bool) -> None:
        """Tell where the decision log and its keys are."""
        made = f" ([yellow]new keys in {self._config.audit.keys}/[/])" if created else ""
        self._line("log", f"{self._config.audit.directory}/, durability {self._config.audit.durability}{made}")

    def redis(self, *, embedded: bool) -> None:
        """Tell which attribute store is used."""
        self._line("attributes", "embedded Redis, gone when this stops" if embedded else "Redis as configured")

    def sample(self, count: int) -> None:
        """Tell that sample attributes were loaded."""
        self._sample = True
        self._line("sample", f"{count} attribute records written")

    def ready(self, settings: ServerSettings, transport: Transport) -> None:
        """Tell where to ask."""
        secure = "TLS" if settings.tls else "plaintext"
        self._line("gRPC", f"[bold]{settings.listen}[/] {secure}, by {transport}")
        if settings.http:
            self._line("HTTP", f"[bold]{settings.http}[/] /healthz /readyz /metrics /v1/evaluate")
        if self._sample:
            self._console.print(f"\nTry in another terminal:\n\n  [cyan].venv/bin/{_TRY}[/]\n")
        self._console.print("[bold green]ready[/]; Ctrl-C stops", soft_wrap=True)

    def stopped(self) -> None:
        """Tell that it is over."""
        self._console.print("stopped")

    def _line(self, name: str, text: str) -> None:
        self._console.print(f"[dim]{name:>10}[/] {text}")
