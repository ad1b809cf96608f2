"""A process that appends as fast as it can and prints each decision id once its append has returned."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from pdp.audit import DecisionLog, Durability, load_keys
from pdp.audit.errors import AuditUnavailable
from tests.audit.support import decision, settings


async def run(directory: Path, keys: Path, durability: Durability, start: int, limit: int) -> None:
    own = replace(
        settings(directory, durability=durability, keys=keys, segment_bytes=65_536),
        checkpoint_records=200,
        compress=True,
    )
    log = DecisionLog(own, load_keys(keys))
    numbers = iter(range(start, start + limit))

    async def appender() -> None:
        for number in numbers:
            record = decision(number)
            await log.append(record)
            sys.stdout.write(f"{record['decision_id']}\n")
            sys.stdout.flush()
            await asyncio.sleep(0)

    try:
        await asyncio.gather(*[appender() for _ in range(8)])
    except AuditUnavailable as error:
        sys.stdout.write(f"refused {error.reason}\n")
        sys.stdout.write(f"health {log.health().reason}\n")
        return
    log.close()


if __name__ == "__main__":
    directory, keys, durability, start, limit = sys.argv[1:]
    asyncio.run(run(Path(directory), Path(keys), Durability(durability), int(start), int(limit)))
