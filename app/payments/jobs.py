"""What happens later: reading notices, carrying payments on, and sweeping what was left behind."""

from app import providers
from app.payments.approvals import renew_expired
from app.payments.asking import carry_on
from app.payments.notices import read_notice
from app.payments.refunds import end_expired_refunds
from app.payments.reminders import remind_of_evidence
from app.payments.sweeps import ASK, ASK_LATE, end_abandoned, sweep_due
from app.plumbing.pipes import Pipes
from app.plumbing.queue import Payload, Worker

__all__ = ["register"]


def register(worker: Worker, pipes: Pipes) -> None:
    """Let the worker carry payments on."""

    async def read(payload: Payload) -> None:
        await read_notice(pipes, payload["site_id"], payload["notice_id"])

    async def ask(payload: Payload) -> None:
        await carry_on(pipes, payload["site_id"], payload["payment_id"])

    async def sweep() -> None:
        await sweep_due(pipes)

    async def recover() -> None:
        async with pipes.database.transaction() as tx:
            await providers.recover_forgotten(tx, now=pipes.clock.now())

    async def forget() -> None:
        async with pipes.database.transaction() as tx:
            await providers.forget_former_secrets(tx, now=pipes.clock.now())

    async def end() -> None:
        await end_abandoned(pipes)

    async def renew() -> None:
        await renew_expired(pipes)
        await end_expired_refunds(pipes)

    async def remind() -> None:
        await remind_of_evidence(pipes)

    worker.handle(providers.NOTICE_ARRIVED, read)
    worker.handle(ASK, ask)
    worker.handle(ASK_LATE, ask)
    worker.every(5, "payments.sweep_due", sweep)
    worker.every(60, "providers.recover_forgotten", recover)
    worker.every(60, "providers.forget_former_secrets", forget)
    worker.every(30, "payments.end_abandoned", end)
    worker.every(60, "payments.renew_expired", renew)
    worker.every(60, "payments.remind_of_evidence", remind)
