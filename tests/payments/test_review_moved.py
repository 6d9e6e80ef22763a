"""An account moves while its former address is asked: what that does not know may be known at the next."""

from tests.payments.accounts import ELSEWHERE, moved
from tests.payments.banks import sent
from tests.payments.desk import Desk, kzt
from tests.payments.stage import Bank, Stage
from tests.payments.test_refund_tries import BACK
from tests.payments.world import NEVER_LEFT, State, just, paid


async def test_a_no_of_the_former_address_lets_no_other_order_follow_at_the_new_one(
    stage: Stage, bank: Bank
) -> None:
    """The first seemed not to leave, and was paid; the new address knows that, the former one does not."""
    await stage.fund()
    bank.manners = ["pays and says it never heard", "pays"]
    found = await sent(stage)
    assert len(bank.moved) == 1

    async def operator() -> None:
        await moved(stage, with_orders=True)

    bank.words, bank.during_status = ["not_found", "truth"], operator
    for _ in range(3):
        await stage.later(600)
    assert len(bank.moved) == 1, "paid twice"
    assert await stage.state(found.payment_id) == ("completed", None)


async def test_nor_is_a_lost_order_sent_to_the_former_address_again(stage: Stage, bank: Bank) -> None:
    """It has the order no more, and has not stopped taking new ones; the new address has it."""
    await stage.fund()
    bank.manners = ["pays silently"]
    found = await sent(stage)
    places: list[str] = []
    pay_out = bank.pay_out

    async def noted(http, account, order):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        places.append(account.base_url)
        return await pay_out(http, account, order)

    bank.pay_out = noted  # type: ignore[method-assign]

    async def operator() -> None:
        await moved(stage, with_orders=True)

    bank.words, bank.during_status = ["not_found", "truth"], operator
    for _ in range(3):
        await stage.later(600)
    assert set(places) <= {ELSEWHERE}
    assert await stage.state(found.payment_id) == ("completed", None)


async def test_nor_does_another_try_of_a_refund_follow(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [just(State.NOT_FOUND)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    assert len(desk.provider.refunds) == 1

    async def operator() -> None:
        await moved(desk.world, with_orders=True)
        desk.provider.statuses = [paid("back-1", kzt(BACK))]  # as the new address knows

    desk.provider.during_status = operator
    for _ in range(3):
        desk.world.clock.advance(600)
        await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 1, "sent twice"
    assert (await desk.found(refund)).sub_status.value == "completed"
