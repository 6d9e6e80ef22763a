"""Sending wants the record of who has let it go: a payment that merely calls itself approved goes nowhere."""

import pytest

from app.payments.legs import content_of, legs_of, payout
from app.payments.refund_requests import refund_content
from app.payments.sending import send
from app.plumbing import idempotency
from tests.payments.desk import Desk
from tests.payments.stage import Stage
from tests.plumbing.test_roles import member

APPROVED = (
    "UPDATE payment SET status = 'processing', sub_status = 'approved', approved_hash = $1, "
    "approved_at = now(), expires_at = NULL WHERE payment_id = $2"
)
NOTED = (
    "INSERT INTO diary (site_id, entry_id, actor, deed, subject, detail, recorded_at) "
    "SELECT site_id, 'dia_raw', 'system', 'payout.approved_by_policy', subject, content, now() FROM approval"
)


async def waiting(stage: Stage) -> tuple[str, bytes]:
    """A withdrawal that waits for people, and the mark of what they would say yes to."""
    await stage.policy(auto_below=None)
    await stage.fund()
    payment_id = (await stage.withdraw(150_000)).payment_id
    assert (await stage.payment()).sub_status == "under_review"
    async with stage.database.reading() as reader:
        found = await payout(reader, stage.site_id, payment_id)
        return payment_id, idempotency.fingerprint(content_of(found, await legs_of(reader, found)))


@pytest.mark.parametrize("more", [(), (NOTED,)], ids=["the row alone", "and the policy's line"])
async def test_a_withdrawal_that_nobody_approved_is_not_sent(
    stage: Stage, clone_url: str, more: tuple[str, ...]
) -> None:
    payment_id, mark = await waiting(stage)
    async with member(clone_url, "cashier_app") as session:  # what a hijacked session of the web role can do
        await session.execute(APPROVED, mark, payment_id)
        for statement in more:
            await session.execute(statement)
    await send(stage.pipes, stage.site_id, payment_id)
    assert (stage.bank.moved, stage.bank.payouts) == ([], [])
    assert (await stage.payment()).attention == "illegal_change"


async def test_nor_is_it_sent_once_more(stage: Stage, clone_url: str) -> None:
    """The bank has lost its order, and the votes are of another content than what is written now."""
    await stage.fund()
    stage.bank.manners, stage.bank.words = ["loses the order", "pays"], ["nothing", "not_found"]
    sent = (await stage.withdraw(150_000)).payment_id
    await stage.work()
    assert (await stage.payment()).sub_status == "unknown"
    async with member(clone_url, "cashier_app") as session:
        await session.execute("UPDATE payment SET approved_hash = $1 WHERE payment_id = $2", b"x" * 32, sent)
    for _ in range(3):
        await stage.later(600)
    assert (stage.bank.moved, len(stage.bank.payouts)) == ([], 1)
    assert "not what people have approved" in (await stage.payment()).reason


async def test_nor_a_refund(desk: Desk, clone_url: str) -> None:
    asked = await desk.refund(await desk.deposit(), 10_000)
    mark = idempotency.fingerprint(refund_content(asked))
    async with member(clone_url, "cashier_app") as session:
        await session.execute(APPROVED, mark, asked.payment_id)
    await desk.carry_on(asked.payment_id)
    assert desk.provider.refunds == []
    assert (await desk.found(asked.payment_id)).attention == "illegal_change"
