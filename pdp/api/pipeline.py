"""Answers a stream of messages concurrently, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable


async def pipelined(
    messages: AsyncIterator[bytes], answer: Callable[[bytes], Awaitable[bytes]], in_flight: int
) -> AsyncIterator[bytes]:
    """Give one answer to each message, as soon as it is known and so in any order.

    At most ``in_flight`` messages are read and not yet answered to a reader who keeps up; nothing piles up behind
    one who does not. However the iteration ends, all work on the stream has ended with it.

    Raises:
        Exception: what ``messages`` or ``answer`` raised; the stream ends there.
    """
    finished: asyncio.Queue[asyncio.Task[bytes]] = asyncio.Queue()
    slots = asyncio.Semaphore(in_flight)
    running: set[asyncio.Task[bytes]] = set()

    async def work(message: bytes) -> bytes:
        return await answer(message)

    async def read() -> bytes:
        async for message in messages:
            await slots.acquire()
            task = asyncio.create_task(work(message))
            running.add(task)
            task.add_done_callback(finished.put_nowait)
        return b""

    reader = asyncio.create_task(read())
    reader.add_done_callback(finished.put_nowait)
    try:
        while running or not reader.done():
            task = await finished.get()
            if task is reader:
                task.result()
                continue
            running.discard(task)
            yield task.result()
            slots.release()
    finally:
        leftover = {reader, *running}
        for task in leftover:
            task.cancel()
        await asyncio.gather(*leftover, return_exceptions=True)
