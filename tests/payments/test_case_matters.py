"""One matter is one case; what is said of another try is another one, under the same number or none."""

from datetime import timedelta
from typing import Any

import pytest

from app import payments, providers
from tests.payments.accounts import SECOND, THIRD, cases, decided, order, tries
from tests.payments.banks import in_two_parts, parts, sent, sent_in_two_parts, told
from tests.payments.casework import open_cases
from tests.payments.desk import Desk, kzt
from tests.payments.stage import Bank, Stage
from tests.payments.world import (
    ACCOUNT,
    AMOUNT,
    NEVER_LEFT,
    REFUSED,
    UNKNOWN,
    Provider,
    State,
    World,
    awaiting,
    fact,
    just,
)

DAY = timedelta(days=1)
R = payments.Resolution


async def about(world: World) -> list[tuple[str, str | None]]:
    """The open cases and the tries that they name."""
    async with world.database.reading() as reader:
        found = await payments.cases_of_site(reader, world.site_id)
    return sorted((one.kind.value, one.attempt_id) for one in found)


async def test_the_lost_order_of_each_part_is_a_case(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What people decide about one part leaves that of the other open; told each day, it is one case."""
    one, two = await sent_in_two_parts(stage, bank, monkeypatch, "loses the order")
    for _ in range(5):
        await stage.later(DAY)
    assert await about(stage) == sorted(("order_vanished", its.attempt_id) for its in (one, two))
    async with stage.database.reading() as reader:
        found = await payments.cases_of_site(reader, stage.site_id)
    [first] = [its for its in found if its.attempt_id == one.attempt_id]
    await decided(stage, R.NOT_PAID, its=first)
    assert [part.state for part in await parts(stage)] == ["declined", "unknown"]
    assert await about(stage) == [("order_vanished", two.attempt_id)]
    await decided(stage, R.NOT_PAID)
    assert (await stage.payment()).sub_status == "declined"
    assert (await cases(stage), await stage.held()) == ([], 0)


async def test_of_what_people_have_noted_about_one_part_the_other_is_news(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier try of each is paid, and the bank tells no number of its own."""
    await in_two_parts(stage, monkeypatch)
    bank.manners, next_bank.manners = ["declines"], ["accepts"]
    await sent(stage)
    one, other, *next_ones = await tries(stage)
    assert {one.leg, other.leg} == {1, 2}
    bank.words = ["nothing"]

    async def is_paid(its: Any, mark: str) -> None:  # noqa: ANN401  a row
        stage.clock.advance(5)
        await stage.store_notice({**bank.fact(its.attempt_id), "theirs": None}, mark=mark)
        await stage.work()

    for its in (one, other):
        bank.pay(bank.book[its.attempt_id])
    await is_paid(one, "a")
    assert await about(stage) == [("second_payment", one.attempt_id)]
    await decided(stage, R.NOTED)
    await is_paid(other, "b")
    assert await about(stage) == [("second_payment", other.attempt_id)]
    await is_paid(one, "c")
    await is_paid(other, "d")
    assert await about(stage) == [("second_payment", other.attempt_id)]
    for its in next_ones:
        next_bank.pay(next_bank.book[its.attempt_id])
        await told(stage, next_bank, its.attempt_id, "succeeded", SECOND)
    bank.moved[:] = bank.moved[2:]  # that these were paid twice is what the cases say


@pytest.mark.usefixtures("through_both")
@pytest.mark.parametrize("number", ["same-1", None])
async def test_of_a_deposit_each_earlier_try_that_was_paid_is_a_case(
    world: World, provider: Provider, second: Provider, third: Provider, number: str | None
) -> None:
    await order(world, ACCOUNT, SECOND, THIRD)
    provider.answers = second.answers = provider.statuses = second.statuses = [REFUSED]
    third.answers = third.statuses = [awaiting("https://third.example.com/3")]
    await world.deposit()
    first, next_one, _ = await tries(world)
    for mark in ("a", "b"):
        world.clock.advance(5)
        await world.notice(fact(first.attempt_id, theirs=number), mark=mark)
        await world.notice(fact(next_one.attempt_id, theirs=number), mark=mark, account=SECOND)
    assert await about(world) == sorted(("second_payment", its.attempt_id) for its in (first, next_one))


@pytest.mark.parametrize("number", ["back-1", None])
async def test_so_is_that_of_a_refund(desk: Desk, number: str | None) -> None:
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [just(State.NOT_FOUND)]
    refund = (await desk.sent(deposit, 50_000)).payment_id
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    desk.provider.answers = [UNKNOWN]
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    asked = "SELECT attempt_id FROM attempt WHERE payment_id = :of ORDER BY number"
    *earlier, last = [row.attempt_id for row in await desk.world.rows(asked, of=refund)]
    given = providers.Result(State.SUCCEEDED, number, kzt(50_000))
    desk.provider.statuses = [lambda of: UNKNOWN if of == last else given]
    for _ in range(2):
        desk.world.clock.advance(600)
        await desk.carry_on(refund)
    assert len(earlier) == 2
    assert await about(desk.world) == sorted(("second_payment", its) for its in earlier)
    assert len(await open_cases(desk)) == 2


async def test_another_amount_and_another_number_of_one_try_are_news_as_before(
    world: World, provider: Provider
) -> None:
    await world.deposit()
    reference = await world.reference()
    for mark, number, minor in (
        ("a", "theirs-1", 1),
        ("b", "theirs-1", 1),
        ("c", "theirs-2", AMOUNT.minor),
        ("d", "theirs-2", AMOUNT.minor),
    ):
        world.clock.advance(5)
        await world.notice(fact(reference, theirs=number, minor=minor), mark=mark)
    assert await about(world) == [("amount_differs", reference), ("second_payment", reference)]
