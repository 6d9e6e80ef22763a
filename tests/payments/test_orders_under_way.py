"""Which orders keep an account from being moved: what is open or asked about, and no other."""

from datetime import timedelta

import pytest

from app.payments.moves import orders_under_way
from tests.payments.accounts import SECOND, cases, tries
from tests.payments.banks import parts, sent, sent_in_two_parts, told
from tests.payments.questions import days, questioned
from tests.payments.stage import Bank, Stage
from tests.payments.world import ACCOUNT, UNKNOWN, Provider, State, World, fact, just, paid


async def under_way(world: World, account: str = ACCOUNT) -> int:
    async with world.database.reading() as reader:
        return await orders_under_way(reader, world.site_id, account)


async def test_of_a_withdrawal_the_part_that_is_paid_is_none(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sent_in_two_parts(stage, bank, monkeypatch, "pays", "accepts")
    assert [part.state for part in await parts(stage)] == ["completed", "provider_pending"]
    assert await under_way(stage) == 1
    _, open_one = await tries(stage)
    bank.pay(bank.book[open_one.attempt_id])
    await told(stage, bank, open_one.attempt_id, "succeeded")
    assert await under_way(stage) == 0


async def test_a_part_in_conflict_is_one(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sent_in_two_parts(stage, bank, monkeypatch, "pays", "pays another amount")
    assert await under_way(stage) == 1


async def test_the_paid_try_is_none_where_an_earlier_one_is_asked_about(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    bank.manners, next_bank.manners = ["declines"], ["accepts"]
    await sent(stage)
    first, last = await tries(stage)
    stage.clock.advance(5)
    bank.words = ["nothing"]
    await told(stage, bank, first.attempt_id, "processing")
    next_bank.pay(next_bank.book[last.attempt_id])
    await told(stage, next_bank, last.attempt_id, "succeeded", account=SECOND)
    assert (await stage.payment()).sub_status == "completed"
    assert await questioned(stage) == [first.attempt_id]
    assert (await under_way(stage), await under_way(stage, SECOND)) == (1, 0)
    assert await cases(stage) == []


async def test_a_deposit_is_one_while_its_player_is_awaited_and_none_once_it_is_paid(world: World) -> None:
    assert (await world.deposit()).sub_status == "awaiting_player"
    assert await under_way(world) == 1
    await world.notice(fact(await world.reference()))
    assert await under_way(world) == 0


async def test_one_that_ran_out_is_one_as_long_as_it_is_asked_about(world: World, provider: Provider) -> None:
    provider.answers = [UNKNOWN]
    await world.ask()
    provider.statuses = [just(State.NOT_FOUND)]
    await days(world, 1)
    assert ((await world.payment()).sub_status, await under_way(world)) == ("provider_error", 1)
    world.clock.advance(timedelta(days=13))
    await days(world, 2)
    assert ((await world.payment()).ask_at, await under_way(world)) == (None, 0)


async def test_who_was_paid_late_is_none(world: World, provider: Provider) -> None:
    provider.answers = [UNKNOWN]
    await world.ask()
    provider.statuses = [just(State.NOT_FOUND)]
    await days(world, 1)
    provider.statuses = [paid()]
    await days(world, 1)
    assert ((await world.payment()).sub_status, await under_way(world)) == ("completed", 0)
