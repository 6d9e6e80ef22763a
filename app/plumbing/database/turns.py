"""One connection, several statements: each begins as soon as the one before it has ended.

So PostgreSQL works on one while Python prepares the next. The driver itself refuses a second statement
before the first has ended.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

__all__ = ["Turns"]

T = TypeVar("T")

_TURNS_OF_THE_LOOP = 6


class Turns:
    """The statements of one transaction, in their order; none is left running behind the block."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._tasks: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        """Wait for all of them; after an exception give up what has not ended."""
        if kind is None:
            await self.all()
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def is_idle(self) -> bool:
        """Whether nobody's turn it is."""
        return all(task.done() for task in self._tasks)

    def next(self, call: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Take a place in the line; awaiting what is returned gives the call's answer.

        Where one fails, all behind it fail with the same exception and are not carried out.
        """
        task = asyncio.create_task(_after(self._tasks[-1] if self._tasks else None, call))
        task.add_done_callback(lambda _: call.close())  # of one that is given up before it begins
        self._tasks.append(task)
        return task

    async def on(self) -> None:
        """Let the next statement begin if the one before it has ended; no waiting for either.

        That takes as many turns of the loop: the answer is read, its call ends, the next call is made.
        """
        for _ in range(_TURNS_OF_THE_LOOP):
            await asyncio.sleep(0)

    async def all(self) -> None:
        """Wait until everybody has had their turn; the first exception is raised."""
        await asyncio.gather(*self._tasks)


async def _after(before: "asyncio.Task[Any] | None", call: Coroutine[Any, Any, T]) -> T:
    try:
        if before is not None:
            await before
    except BaseException:
        call.close()
        raise
    return await call
