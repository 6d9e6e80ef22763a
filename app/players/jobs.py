"""What happens later: keys that nobody can use any more are forgotten, and claims that nobody repeats."""

from collections.abc import Awaitable, Callable

from app.players.operations import forget_sessions
from app.plumbing import idempotency
from app.plumbing.pipes import Pipes
from app.plumbing.queue import Task, Worker

__all__ = ["register"]

_AT_ONCE = 5_000  # by one statement, which has five seconds


def register(worker: Worker, pipes: Pipes) -> None:
    """Let the worker forget sessions, and the idempotency keys of every room."""

    def forgetting(drop: Callable[..., Awaitable[int]]) -> Task:
        async def forget() -> None:
            done = _AT_ONCE
            while done == _AT_ONCE:
                async with pipes.database.transaction() as tx:
                    done = await drop(tx, now=pipes.clock.now(), most=_AT_ONCE)

        return forget

    # Apart, so that one that fails keeps nothing of the other.
    worker.every(600, "players.forget_sessions", forgetting(forget_sessions))
    worker.every(600, "players.forget_claims", forgetting(idempotency.forget))
