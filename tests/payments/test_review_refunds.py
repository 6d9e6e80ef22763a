"""Refunds in several tries: what people say of one, and what is repeated."""

import contextlib

import pytest

from app import payments, providers
from app.payments.refund_sending import REFUNDS
from app.payments.resolutions import ResolutionImpossible
from app.plumbing import switches
from tests.payments.casework import R, open_cases, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.questions import days, questioned
from tests.payments.test_disputes import say
from tests.payments.test_refund_tries import BACK, tried
from tests.payments.world import ACCOUNT, NEVER_LEFT, UNKNOWN, State, fact, just, paid


async def _two_in_doubt(desk: Desk, said: dict[str, providers.Result]) -> tuple[str, str, str, str]:
    """The first is said to be under way (back-1), and not found; of the second nobody knows."""
    deposit, refund, first, next_one = await tried(desk, UNKNOWN, said)
    said |= {first: just(State.NOT_FOUND), next_one: UNKNOWN}
    await desk.world.notice(fact(first, "processing", theirs="back-1"), mark="a")
    assert await questioned(desk.world) == [first]
    assert (await desk.found(refund)).sub_status.value == "unknown"
    return deposit, refund, first, next_one


async def test_not_paid_under_the_firsts_number_does_not_end_the_second(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    _deposit, refund, _first, _ = await _two_in_doubt(desk, said)
    its = await payments.raise_case(desk.pipes, desk.site_id, refund, desk.maker, reason="the bank wrote")
    with contextlib.suppress(ResolutionImpossible):
        await resolve(desk, its.case_id, R.NOT_PAID, provider_reference="back-1")
    now = await desk.found(refund)
    assert now.sub_status.value == "unknown", (
        now.sub_status,
        await questioned(desk.world),
        await desk.balances(),
    )


async def test_nor_by_the_case_of_the_clock(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    _, refund, _, _ = await _two_in_doubt(desk, said)
    await days(desk.world, 16)
    [its] = await open_cases(desk)
    assert its.kind.value == "unresolved"
    with contextlib.suppress(ResolutionImpossible):
        await resolve(desk, its.case_id, R.NOT_PAID, provider_reference="back-1")
    now = await desk.found(refund)
    assert now.sub_status.value == "unknown", (
        now.sub_status,
        await questioned(desk.world),
        await desk.balances(),
    )


async def test_paid_under_the_firsts_number_lets_the_second_be_asked_about(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await _two_in_doubt(desk, said)
    its = await payments.raise_case(desk.pipes, desk.site_id, refund, desk.maker, reason="the bank wrote")
    await resolve(desk, its.case_id, R.PAID, provider_reference="back-1")
    now = await desk.found(refund)
    assert (now.sub_status.value, now.present_attempt) == ("completed", first)
    said |= {first: paid("back-1", kzt(BACK)), next_one: paid("back-2", kzt(BACK))}
    await days(desk.world, 3)
    assert "second_payment" in [one.kind.value for one in await open_cases(desk)]


async def test_what_was_being_sent_when_the_process_died_is_not_repeated_unasked(desk: Desk) -> None:
    """The first, which seemed not to have left, was paid meanwhile; its notice is lost."""
    said: dict[str, providers.Result] = {}
    deposit = await desk.deposit()
    desk.provider.answers = [NEVER_LEFT]
    desk.provider.statuses = [lambda of: said.get(of, just(State.NOT_FOUND))]
    refund = (await desk.sent(deposit, BACK)).payment_id

    class Died(BaseException):
        pass

    def dies(_: str) -> providers.Result:
        raise Died

    desk.provider.answers = [dies]
    desk.world.clock.advance(600)
    with pytest.raises(Died):
        await desk.carry_on(refund)
    desk.provider.refunds.pop()  # it never got there
    asked = "SELECT attempt_id FROM attempt WHERE payment_id = :of ORDER BY number"
    first, _next_one = [row.attempt_id for row in await desk.world.rows(asked, of=refund)]
    assert (await desk.found(refund)).sub_status.value == "submitted"
    said[first] = paid("back-1", kzt(BACK))
    desk.provider.answers = [paid("back-2", kzt(BACK))]
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 1, "sent again, though the first was paid"


async def test_nothing_is_given_back_while_the_first_is_asked_about(desk: Desk) -> None:
    """The second is declined by its provider."""
    said: dict[str, providers.Result] = {}
    _, refund, _, next_one = await _two_in_doubt(desk, said)
    said[next_one] = just(State.FAILED)
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    now = await desk.found(refund)
    assert (await desk.balances()).get("player_held") == BACK, (now.sub_status, await desk.balances())


async def test_nor_while_the_first_says_that_it_paid(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    deposit, refund, first, next_one = await tried(desk, UNKNOWN, said)
    said |= {first: paid("back-1", kzt(BACK)), next_one: just(State.FAILED)}
    await desk.world.notice(fact(first, theirs="back-1", minor=BACK), mark="a")
    [its] = await open_cases(desk)
    await resolve(desk, its.case_id, R.NOTED)
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    await days(desk.world, 5)
    now = await desk.found(refund)
    seen = (now.sub_status.value, now.attention, [one.kind.value for one in await open_cases(desk)])
    assert seen[2] or seen[0] != "declined", (seen, await desk.figures(deposit), await desk.balances())


async def test_an_account_does_not_move_while_a_refund_waits_that_seemed_not_to_leave(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [UNKNOWN]
    await desk.sent(deposit, BACK)
    with pytest.raises(payments.OrdersUnderWay):
        async with desk.world.database.transaction() as tx:
            await payments.move_account(
                tx,
                desk.site_id,
                ACCOUNT,
                providers.AccountChange(base_url="https://new.example.org"),
                with_orders=False,
                by="machine:test",
                at=desk.world.clock.now(),
                allowed_private_peers=frozenset(),
            )


async def test_a_lost_order_is_not_repeated_while_a_dispute_has_the_money(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [UNKNOWN], [just(State.NOT_FOUND)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    assert (await desk.found(refund)).sub_status.value == "unknown"
    await say(desk, deposit, "opened")
    desk.provider.answers = [paid("back-1", kzt(BACK))]
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 1, "it goes back by the dispute and by the refund"


async def test_nor_while_refunds_are_stopped(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [UNKNOWN], [just(State.NOT_FOUND)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    async with desk.world.database.transaction() as tx:
        await switches.set_switch(
            tx, desk.site_id, REFUNDS, stopped=True, reason="", by="t", at=desk.world.clock.now()
        )
    desk.provider.answers = [paid("back-1", kzt(BACK))]
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 1
