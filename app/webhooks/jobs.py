"""What happens later: sending, the net under what was forgotten, and the end of what nobody asks about."""

from app import merchants
from app.plumbing.pipes import Pipes
from app.plumbing.queue import Payload, Worker
from app.webhooks.deliveries import deliver
from app.webhooks.outbox import DELIVER
from app.webhooks.sweeps import forget_attempts, recover_forgotten

__all__ = ["register"]

_FORGOTTEN_AT_ONCE = 20_000


def register(worker: Worker, pipes: Pipes) -> None:
    """Let the worker deliver webhooks and sweep what belongs to them: the signatures of messages as well."""

    async def one(payload: Payload) -> None:
        await deliver(pipes, payload["site_id"], payload["webhook_id"])

    async def sweep() -> None:
        async with pipes.database.transaction() as tx:
            await recover_forgotten(tx, now=pipes.clock.now())

    async def forget() -> None:
        async with pipes.database.transaction() as tx:
            await merchants.forget_signatures(tx, now=pipes.clock.now())
        done = _FORGOTTEN_AT_ONCE
        while done == _FORGOTTEN_AT_ONCE:  # more may come in an hour than one statement drops
            async with pipes.database.transaction() as tx:
                done = await forget_attempts(tx, now=pipes.clock.now(), most=_FORGOTTEN_AT_ONCE)

    worker.handle(DELIVER, one)
    worker.every(60, "webhooks.recover_forgotten", sweep)
    worker.every(3600, "webhooks.forget", forget)
