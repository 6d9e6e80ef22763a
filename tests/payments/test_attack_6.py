"""Attack: a hijacked session of the web role lets a withdrawal go that nobody approved."""

from sqlalchemy import text

from app.payments.legs import content_of, legs_of, payout
from app.payments.sending import send
from app.plumbing import idempotency
from tests.payments.stage import Stage
from tests.plumbing.test_roles import member


async def test_what_no_two_people_approved_is_not_sent(stage: Stage, clone_url: str) -> None:
    await stage.policy(auto_below=None)
    await stage.fund()
    waiting = (await stage.withdraw(150_000)).payment_id
    assert (await stage.payment()).sub_status == "under_review"
    async with stage.database.reading() as reader:
        found = await payout(reader, stage.site_id, waiting)
        mark = idempotency.fingerprint(content_of(found, await legs_of(reader, found)))
    async with member(clone_url, "cashier_app") as session:  # what one injected statement can do
        await session.execute(
            "UPDATE payment SET status = 'processing', sub_status = 'approved', approved_hash = $1, "
            "approved_at = now(), expires_at = NULL WHERE payment_id = $2",
            mark,
            waiting,
        )
    await send(stage.pipes, stage.site_id, waiting)
    async with stage.database.reading() as reader:
        asked = await reader.all(text("SELECT state FROM approval"))
        votes = await reader.all(text("SELECT 1 FROM approval_vote"))
    moved = [amount.minor for _, amount in stage.bank.moved]
    assert moved == [], f"{moved} are paid; votes: {len(votes)}, approvals: {[row.state for row in asked]}"
