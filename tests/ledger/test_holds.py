"""Money set aside: captured or given back, each unit exactly once."""

import asyncio
from datetime import datetime, timedelta

import pytest

from app import ledger
from app.kernel.clock import MovableClock
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.ledger.operations import HoldAmountExceeded, expire_holds
from app.ledger.queries import HoldNotPlaced
from app.plumbing.database import Database
from tests import invariants
from tests.ledger.examples import CASH, CLEARING, HELD, SITE, balance, deposit, holding, kzt, posted


@pytest.fixture(autouse=True)
async def some_money(database: Database, now: datetime) -> None:
    await posted(database, [deposit("honest", 100)], now)


async def place(
    database: Database, minor: int, at: datetime, *, key: str = "h", **more: datetime
) -> ledger.Hold:
    async with database.transaction() as tx:
        held = await ledger.hold(tx, SITE, holding(key, minor, **more), at=at)
    assert isinstance(held, ledger.Hold)
    return held


async def capture(
    database: Database, held: ledger.Hold, at: datetime, amount: Money | None = None, **more: str
) -> ledger.Posted:
    async with database.transaction() as tx:
        return await ledger.capture(
            tx, held, provider="sandbox", because="att_1", at=at, amount=amount, **more
        )


async def release(
    database: Database, held: ledger.Hold, at: datetime, amount: Money | None = None, **more: str
) -> ledger.Posted:
    async with database.transaction() as tx:
        return await ledger.release(tx, held, because="declined", at=at, amount=amount, **more)


async def sums(database: Database) -> tuple[int, int, int]:
    return await balance(database, CASH), await balance(database, HELD), await balance(database, CLEARING)


async def test_what_is_held_cannot_be_spent_and_leaves_when_captured(
    database: Database, now: datetime
) -> None:
    held = await place(database, 60, now)
    assert await sums(database) == (40, 60, -100)
    assert (await capture(database, held, now)).is_posted
    assert await sums(database) == (40, 0, -40)
    async with database.reading() as reader:
        assert await ledger.open_holds(reader, SITE, CASH.owner) == []
        assert (await ledger.find_hold(reader, SITE, held.transfer_id)).captured == kzt(60)
    await invariants.hold(database)


async def test_what_is_released_can_be_spent_again(database: Database, now: datetime) -> None:
    held = await place(database, 60, now)
    await release(database, held, now)
    assert await sums(database) == (100, 0, -100)
    with pytest.raises(HoldAmountExceeded):
        await capture(database, held, now)
    await invariants.hold(database)


async def test_a_part_is_captured_and_the_rest_released(database: Database, now: datetime) -> None:
    held = await place(database, 60, now)
    await capture(database, held, now, kzt(45))
    async with database.reading() as reader:
        [left] = await ledger.open_holds(reader, SITE, CASH.owner)
    assert left.remaining == kzt(15)
    await release(database, held, now)
    assert await sums(database) == (55, 0, -55)
    await invariants.hold(database)


async def test_a_repeated_capture_gets_the_first_answer(database: Database, now: datetime) -> None:
    held = await place(database, 60, now)
    first = await capture(database, held, now, kzt(45))
    for amount in (None, kzt(45)):
        again = await capture(database, held, now, amount)
        assert again.duplicate
        assert again.transfer_id == first.transfer_id
    other = await capture(database, held, now, kzt(15))
    assert other.outcome is ledger.Outcome.CONFLICT
    assert await sums(database) == (40, 15, -55)


async def test_who_takes_it_in_parts_names_each_part(database: Database, now: datetime) -> None:
    held = await place(database, 60, now)
    await capture(database, held, now, kzt(45))
    await capture(database, held, now, kzt(15), key="capture-2")
    assert await sums(database) == (40, 0, -40)


@pytest.mark.parametrize("amount", [61, 1000])
async def test_nobody_takes_more_than_is_held(database: Database, now: datetime, amount: int) -> None:
    held = await place(database, 60, now)
    for take in (capture, release):
        with pytest.raises(HoldAmountExceeded, match=r"0\.60 KZT"):
            await take(database, held, now, kzt(amount))
    assert await sums(database) == (40, 60, -100)


async def test_a_failed_hold_can_never_be_captured(database: Database, now: datetime) -> None:
    async with database.transaction() as tx:
        refused = await ledger.hold(tx, SITE, holding("h", 101), at=now)
    assert isinstance(refused, ledger.Posted)
    assert isinstance(refused.refusal, ledger.InsufficientFunds)
    pretended = ledger.Hold(SITE, refused.transfer_id, CASH.owner, kzt(101), kzt(0), kzt(0), now, None)
    for take in (capture, release):
        with pytest.raises(HoldNotPlaced):
            await take(database, pretended, now)
    await posted(database, [deposit("more", 1000)], now)
    async with database.transaction() as tx:
        again = await ledger.hold(tx, SITE, holding("h", 101), at=now)
    assert isinstance(again, ledger.Posted)
    assert again.duplicate


async def test_a_hold_of_another_site_is_not_there(database: Database, now: datetime) -> None:
    held = await place(database, 60, now)
    async with database.reading() as reader:
        with pytest.raises(HoldNotPlaced):
            await ledger.find_hold(reader, SITE + 1, held.transfer_id)


async def test_a_repeated_hold_is_the_same_hold_as_it_is_now(database: Database, now: datetime) -> None:
    held = await place(database, 60, now)
    await capture(database, held, now, kzt(20))
    again = await place(database, 60, now)
    assert again.duplicate
    assert (again.transfer_id, again.remaining) == (held.transfer_id, kzt(40))
    assert await balance(database, CASH) == 40


async def test_an_expired_hold_is_given_back_and_never_captured(
    database: Database, clock: MovableClock
) -> None:
    held = await place(database, 60, clock.now(), expires_at=clock.now() + timedelta(hours=1))
    clock.advance(3599)
    async with database.transaction() as tx:
        assert await expire_holds(tx, SITE, at=clock.now()) == []
    clock.advance(1)
    with pytest.raises(ledger.HoldExpired):
        await capture(database, held, clock.now())
    async with database.transaction() as tx:
        assert len(await expire_holds(tx, SITE, at=clock.now())) == 1
    async with database.transaction() as tx:
        assert await expire_holds(tx, SITE, at=clock.now()) == []
    assert await sums(database) == (100, 0, -100)
    await invariants.hold(database)


async def test_a_capture_in_time_is_repeated_after_expiry(database: Database, clock: MovableClock) -> None:
    held = await place(database, 60, clock.now(), expires_at=clock.now() + timedelta(hours=1))
    await capture(database, held, clock.now())
    clock.advance(7200)
    assert (await capture(database, held, clock.now())).duplicate


async def test_a_hold_that_would_be_born_expired_is_a_fault(database: Database, now: datetime) -> None:
    async with database.transaction() as tx:
        with pytest.raises(ValueError, match="after it is placed"):
            await ledger.hold(tx, SITE, holding("h", 1, expires_at=now), at=now)


async def test_capture_and_release_at_once_take_each_unit_once(database: Database, now: datetime) -> None:
    for number in range(5):
        held = await place(database, 20, now, key=f"h{number}")
        takes = [capture, release, capture, release]
        done = await asyncio.gather(*(take(database, held, now) for take in takes), return_exceptions=True)
        moved = [one for one in done if isinstance(one, ledger.Posted) and not one.duplicate]
        assert len(moved) == 1
        refused = [one for one in done if isinstance(one, Exception)]
        assert all(isinstance(one, Refusal) for one in refused)
        assert await balance(database, HELD) == 0
    await invariants.hold(database)
