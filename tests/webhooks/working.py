"""The real worker with this room's jobs, and a way to wait for what it does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from app.plumbing.queue import Worker
from app.webhooks import jobs
from tests.webhooks.conftest import Post


@asynccontextmanager
async def working(post: Post) -> AsyncIterator[Worker]:
    """The real worker; schedules are left to the tests."""
    worker = Worker(post.database)
    jobs.register(worker, post.pipes)
    worker._tasks.clear()
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        post.bad.hang_up()
        await running


async def until(true: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Wait for what another task or process brings about."""
    async with asyncio.timeout(seconds):
        while not await true():  # noqa: ASYNC110  what is waited for happens elsewhere
            await asyncio.sleep(0.03)
