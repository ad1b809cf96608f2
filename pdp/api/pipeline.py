"""Answers a stream of messages concurrently, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

Give = Callable[[bytes], None]
"""Takes one answer."""


async def pipelined(
    messages: AsyncIterator[bytes], answer: Callable[[Sequence[bytes], Give], Awaitable[None]], in_flight: int
) -> AsyncIterator[bytes]:
    """Give one answer to each message, as soon as it is known and so in any order.

    Messages that have arrived together are answered together, so that a stream under load does not cost a task for
    each. At most ``in_flight`` messages are read and not yet answered to a reader who keeps up; nothing piles up
    behind one who does not. However the iteration ends, all work on the stream has ended with it.

    Args:
        messages: the stream.
        answer: gives one answer to each of some messages, in any order.
        in_flight: the bound.

    Raises:
        Exception: what ``messages`` or ``answer`` raised; the stream ends there.
    """
    news: asyncio.Queue[bytes | asyncio.Task[None]] = asyncio.Queue()
    slots = asyncio.Semaphore(in_flight)
    running: set[asyncio.Task[None]] = set()
    arrived: list[bytes] = []

    async def work() -> None:
        together, arrived[:] = arrived[:], []
        await answer(together, news.put_nowait)

    def start(task: asyncio.Task[None]) -> None:
        running.add(task)
        task.add_done_callback(news.put_nowait)

    async def read() -> None:
        async for message in messages:
            await slots.acquire()
            if not arrived:
                start(asyncio.create_task(work()))
            arrived.append(message)

    start(asyncio.create_task(read()))
    try:
        while running or not news.empty():
            item = await news.get()
            if isinstance(item, bytes):
                yield item
                slots.release()
            else:
                running.discard(item)
                item.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
