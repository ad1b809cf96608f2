"""Run a supervisor as its own process: ``serve.py JSON``. Prints one line of JSON when all workers serve."""

from __future__ import annotations

import asyncio
import json
import logging
import sys

from pdp.server.application import ServerSettings
from pdp.server.supervisor import StartError, Supervisor, Transport


def main() -> None:
    logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
    options = json.loads(sys.argv[1])
    settings = ServerSettings.from_json(json.dumps(options["settings"]))
    supervisor = Supervisor(Transport(options["transport"]), settings, options["workers"])
    try:
        asyncio.run(run(supervisor))
    except StartError as error:
        sys.exit(f"error: {error}")


async def run(supervisor: Supervisor) -> None:
    def report() -> None:
        bound = supervisor.settings
        ports = {"grpc": bound.listen.port, "http": bound.http.port if bound.http else None}
        sys.stdout.write(json.dumps({**ports, "pids": supervisor.pids}) + "\n")
        sys.stdout.flush()

    async with supervisor:
        await supervisor.run(report)


if __name__ == "__main__":
    main()
