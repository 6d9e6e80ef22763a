"""Posting, on a real PostgreSQL and as the application's role."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from app import ledger
from app.kernel.clock import MovableClock
from app.ledger import chart
from app.ledger.operations import KeyRaced
from app.ledger.rules import UndeclaredMovement
from app.plumbing.database import Database, Transaction
from tests import invariants
from tests.ledger.examples import (
    CASH,
    CLEARING,
    HELD,
    PLAYER,
    SITE,
    balance,
    deposit,
    holding,
    kzt,
    moving,
    posted,
)


async def _rows(database: Database) -> dict[str, int]:
    async with database.reading() as reader:
        return {
            name: await reader.scalar(text(f"SELECT count(*) FROM {name}"))  # noqa: S608  constants
            for name in ("account", "transfer", "entry")
        }


async def test_a_deposit_credits_the_player_and_is_owed_by_the_provider(
    database: Database, now: datetime
) -> None:
    [answer] = await posted(database, [deposit("a", 1250)], now)
    assert answer.is_posted
    assert not answer.duplicate
    assert await balance(database, CASH) == 1250
    assert await balance(database, CLEARING) == -1250
    await invariants.hold(database, acknowledged={SITE: [answer]})


async def test_in_the_other_mode_the_merchant_is_credited(database: Database, now: datetime) -> None:
    wish = moving("a", chart.DEPOSIT_TO_MERCHANT, 500, "sandbox", "site")
    await posted(database, [wish], now)
    assert await balance(database, wish.target_account) == 500


async def test_a_batch_answers_in_order_and_a_refusal_harms_nobody(database: Database, now: datetime) -> None:
    answers = await posted(
        database,
        [
            deposit("a", 100),
            moving("b", chart.HOLD_PLACE, 101),
            deposit("c", 5, player="plr_bert"),
            deposit("a", 100),
            deposit("a", 99),
        ],
        now,
    )
    assert [(answer.outcome.value, answer.duplicate) for answer in answers] == [
        ("posted", False),
        ("insufficient_funds", False),
        ("posted", False),
        ("posted", True),
        ("conflict", False),
    ]
    assert await _rows(database) == {"account": 4, "transfer": 3, "entry": 4}


async def test_nothing_asked_is_nothing_done(database: Database, now: datetime) -> None:
    assert await posted(database, [], now) == []


async def test_a_repeat_gets_the_stored_answer_and_the_balance_of_now(
    database: Database, clock: MovableClock
) -> None:
    [first] = await posted(database, [deposit("a", 100)], clock.now())
    clock.advance(60)
    await posted(database, [deposit("b", 11)], clock.now())
    before = await _rows(database)
    clock.advance(60)
    [again] = await posted(database, [deposit("a", 100)], clock.now())
    assert again.duplicate
    assert (again.transfer_id, again.outcome, again.source_after, again.target_after, again.recorded_at) == (
        first.transfer_id,
        first.outcome,
        first.source_after,
        first.target_after,
        first.recorded_at,
    )
    assert (again.target_now, again.target_version) == (kzt(111), 1)
    assert await _rows(database) == before


async def test_a_stored_refusal_is_never_turned_into_a_payment(database: Database, now: datetime) -> None:
    [refused] = await posted(database, [moving("a", chart.HOLD_PLACE, 50)], now)
    await posted(database, [deposit("b", 1000)], now)
    [again] = await posted(database, [moving("a", chart.HOLD_PLACE, 50)], now)
    assert again.outcome is refused.outcome is ledger.Outcome.INSUFFICIENT_FUNDS
    assert again.duplicate
    assert again.source_now == kzt(1000)
    assert await balance(database, CASH) == 1000


async def test_a_conflict_writes_nothing_not_even_an_account(database: Database, now: datetime) -> None:
    await posted(database, [deposit("a", 100)], now)
    before = await _rows(database)
    [answer] = await posted(database, [deposit("a", 100, player="plr_never_seen")], now)
    assert answer.outcome is ledger.Outcome.CONFLICT
    assert await _rows(database) == before


async def test_keys_belong_to_their_site_and_source(database: Database, now: datetime) -> None:
    wish = deposit("a", 100)
    for site_id in (1, 2):
        [answer] = await posted(database, [wish], now, site_id=site_id)
        assert not answer.duplicate
        assert await balance(database, CASH, site_id=site_id) == 100


async def test_an_undeclared_movement_leaves_nothing(database: Database, now: datetime) -> None:
    gift = ledger.Purpose.HOUSE_GAMING, ledger.Purpose.PLAYER_CASH
    wish = moving("a", type(chart.HOLD_PLACE)("gift", *gift), 1)
    with pytest.raises(UndeclaredMovement):
        await posted(database, [deposit("b"), wish], now)
    assert await _rows(database) == {"account": 0, "transfer": 0, "entry": 0}


async def test_a_rolled_back_transaction_leaves_nothing(database: Database, now: datetime) -> None:
    await posted(database, [deposit("a", 100)], now)
    before = await _rows(database)

    async def work(tx: Transaction) -> None:
        await ledger.post(tx, SITE, [deposit("b"), deposit("c", player="plr_new")], at=now)
        await ledger.hold(tx, SITE, holding("h", 10), at=now)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.retried(work)
    assert await _rows(database) == before
    assert await balance(database, CASH) == 100
    [answer] = await posted(database, [deposit("b")], now)
    assert not answer.duplicate


async def test_fifty_at_once_never_overdraw_and_exactly_those_that_fit_pass(
    database: Database, now: datetime
) -> None:
    await posted(database, [deposit("a", 1000)], now)
    answers = await asyncio.gather(
        *(posted(database, [moving(f"k{number}", chart.HOLD_PLACE, 70)], now) for number in range(50))
    )
    outcomes = [answer.outcome for [answer] in answers]
    assert outcomes.count(ledger.Outcome.POSTED) == 14
    assert outcomes.count(ledger.Outcome.INSUFFICIENT_FUNDS) == 36
    assert await balance(database, CASH) == 1000 - 14 * 70


async def test_the_same_key_many_times_at_once_has_one_effect_and_one_answer(
    database: Database, now: datetime
) -> None:
    answers = [
        answer
        for [answer] in await asyncio.gather(*(posted(database, [deposit("a", 100)], now) for _ in range(20)))
    ]
    assert sorted(answer.duplicate for answer in answers) == [False] + [True] * 19
    assert len({(answer.transfer_id, answer.outcome, answer.target_after) for answer in answers}) == 1
    assert await balance(database, CASH) == 100
    await invariants.hold(database, acknowledged={SITE: answers})


async def test_the_same_key_for_different_accounts_at_once_has_one_effect(
    database: Database, now: datetime
) -> None:
    async def ask(number: int) -> ledger.Posted:
        wish = deposit("a", 100, player=f"plr_{number % 5}")  # no account in common, so no lock to wait for
        [answer] = await posted(database, [replace(wish, source_owner=f"prov_{number % 5}")], now)
        return answer

    answers = await asyncio.gather(*(ask(number) for number in range(20)))
    assert [answer.outcome for answer in answers].count(ledger.Outcome.POSTED) == 4
    assert [answer.outcome for answer in answers].count(ledger.Outcome.CONFLICT) == 16
    assert sum(answer.is_posted and not answer.duplicate for answer in answers) == 1
    assert (await _rows(database))["entry"] == 2


async def test_a_race_for_a_key_asks_to_run_the_transaction_again(database: Database, now: datetime) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(tx: Transaction) -> None:
        await ledger.post(tx, SITE, [deposit("a", 100)], at=now)
        entered.set()
        await leave.wait()

    async def other() -> None:
        wish = replace(deposit("a", 5, player="plr_b"), source_owner="other")
        async with database.transaction() as tx:
            await ledger.post(tx, SITE, [wish], at=now)

    first = asyncio.create_task(database.retried(slow))
    await entered.wait()
    second = asyncio.create_task(other())
    await asyncio.sleep(0.1)
    leave.set()
    await first
    with pytest.raises(KeyRaced) as raced:
        await second
    assert raced.value.sqlstate == "40001"


async def test_transfers_to_and_fro_do_not_deadlock(database: Database, now: datetime) -> None:
    await posted(database, [deposit("a", 1000, player=name) for name in ("plr_1",)], now)
    wishes = [
        [
            deposit(f"d{number}", 1, player=f"plr_{number % 3}"),
            deposit(f"e{number}", 1, player=f"plr_{2 - number % 3}"),
        ]
        for number in range(30)
    ]
    await asyncio.gather(*(posted(database, wish, now) for wish in wishes))
    async with database.reading() as reader:
        counted = await reader.scalar(
            text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        )
    assert counted == 0
    assert await balance(database, CLEARING) == -1060


async def test_accounts_without_a_floor_are_locked_last(database: Database, now: datetime) -> None:
    names = [CLEARING, HELD, CASH]
    async with database.transaction() as tx:
        clearing, held, cash = [
            (await ledger.open_accounts(tx.raw, SITE, [name], at=now))[name] for name in names
        ]
        rows = await tx.raw.fetch(
            "SELECT account_id FROM ledger_lock_accounts($1, $2, $3, $4, $5, $6, $7, $8)",
            SITE,
            ["s"] * 3,
            ["k"] * 3,
            [name.owner for name in names],
            [name.purpose.value for name in names],
            [name.currency for name in names],
            [name.purpose.floor_minor for name in names],
            now,
        )
    assert [row["account_id"] for row in rows] == [held, cash, clearing]


async def test_numbers_and_instants_ascend_with_the_versions_of_an_account(
    database: Database, now: datetime
) -> None:
    await asyncio.gather(
        *(
            posted(database, [deposit(f"k{number}", 1)], now - timedelta(seconds=number))
            for number in range(20)
        )
    )
    async with database.reading() as reader:
        lines = await ledger.account_statement(reader, SITE, CASH)
    assert [line.version for line in lines] == list(range(1, 21))
    assert [line.transfer_id for line in lines] == sorted(line.transfer_id for line in lines)
    assert [line.recorded_at for line in lines] == sorted(line.recorded_at for line in lines)


async def test_the_lock_is_held_until_the_caller_ends(database: Database, now: datetime) -> None:
    await posted(database, [deposit("a", 100)], now)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(tx: Transaction) -> None:
        await ledger.post(tx, SITE, [moving("b", chart.HOLD_PLACE, 80)], at=now)
        entered.set()
        await leave.wait()

    first = asyncio.create_task(database.retried(slow))
    await entered.wait()
    second = asyncio.create_task(posted(database, [moving("c", chart.HOLD_PLACE, 80)], now))
    await asyncio.sleep(0.1)
    assert not second.done()
    leave.set()
    await first
    [answer] = await second
    assert answer.outcome is ledger.Outcome.INSUFFICIENT_FUNDS
    assert answer.source_after == kzt(20)


async def test_a_refused_batch_of_one_tells_the_actual_balance(database: Database, now: datetime) -> None:
    await posted(database, [deposit("a", 30)], now)
    [answer] = await posted(database, [moving("b", chart.HOLD_PLACE, 31)], now)
    assert isinstance(answer.refusal, ledger.InsufficientFunds)
    assert answer.refusal.fields["balance"] == kzt(30)
    assert answer.request.source_owner == PLAYER
