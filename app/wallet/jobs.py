"""What happens later: rounds that nobody ends."""

from app.plumbing.pipes import Pipes
from app.plumbing.queue import Worker
from app.wallet.journal import Journal
from app.wallet.sweeps import sweep_stuck

__all__ = ["register"]


def register(worker: Worker, pipes: Pipes) -> None:
    """Let the worker look after rounds."""

    async def sweep() -> None:
        journal = Journal(pipes)
        try:
            await sweep_stuck(pipes, journal)
        finally:
            await journal.aclose()

    worker.every(300, "wallet.sweep_stuck", sweep)
