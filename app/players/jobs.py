"""What happens later: keys that nobody can use any more are forgotten, and claims that nobody repeats."""

from app.players.operations import forget_sessions
from app.plumbing import idempotency
from app.plumbing.pipes import Pipes
from app.plumbing.queue import Worker

__all__ = ["register"]


def register(worker: Worker, pipes: Pipes) -> None:
    """Let the worker forget sessions, and the idempotency keys of every room."""

    async def forget() -> None:
        async with pipes.database.transaction() as tx:
            await forget_sessions(tx, now=pipes.clock.now())
            await idempotency.forget(tx, now=pipes.clock.now())

    worker.every(600, "players.forget_sessions", forget)
