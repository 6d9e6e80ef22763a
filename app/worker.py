"""Composes the job process: every room's jobs on one worker."""

import asyncio
import signal
from datetime import timedelta

import uvloop

import app.ledger.jobs
import app.payments.jobs
import app.players.jobs
import app.wallet.jobs
import app.webhooks.jobs
from app import wiring
from app.ops import numbers
from app.plumbing import logs, queue
from app.plumbing.collector import spare_the_collector
from app.plumbing.pipes import Pipes
from app.plumbing.queue import Worker
from app.settings import Settings

__all__ = ["create_worker", "run", "serve"]


def create_worker(pipes: Pipes, *, stale_after: timedelta = timedelta(seconds=30)) -> Worker:
    """A worker that knows every job of the house."""
    worker = Worker(pipes.database, stale_after=stale_after)
    app.ledger.jobs.register(worker, pipes)
    app.payments.jobs.register(worker, pipes)
    app.players.jobs.register(worker, pipes)
    app.wallet.jobs.register(worker, pipes)
    app.webhooks.jobs.register(worker, pipes)

    async def forget() -> None:
        await queue.forget(pipes.database)

    worker.every(3600, "queue.forget", forget)
    return worker


def run(settings: Settings) -> None:
    """Serve on the event loop that the web process has: half of what a job costs is sockets."""
    spare_the_collector()
    uvloop.run(serve(settings))


async def serve(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, finishing what runs."""
    logs.configure(settings.log_level, as_json=settings.log_json)
    async with wiring.opened(settings, name="cashier worker") as pipes:
        worker = create_worker(pipes, stale_after=timedelta(seconds=settings.job_stale_seconds))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        async with numbers.listening(
            settings.host,
            settings.worker_metrics_port,
            production=settings.production,
            token=settings.metrics_token,
        ):
            await worker.run()


if __name__ == "__main__":
    run(Settings.read())
