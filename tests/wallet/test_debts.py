"""What is gone of a win that is taken back is owed, and whatever comes in next pays it first (rule 45)."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from app import ledger
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing import metrics
from app.plumbing.database import Database
from app.wallet import audit
from app.wallet.sweeps import grant_bonus
from tests import invariants
from tests.wallet.counter import Counter, Json, opened

DEBT = """
SELECT a.balance_minor AS minor FROM account a WHERE a.purpose = 'player_debt'
"""
KINDS = "SELECT kind, amount_minor FROM transfer WHERE kind LIKE '%debt%' ORDER BY transfer_id"


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """A player with 1000, at a site where wins may be taken back."""
    async with opened(database, clock) as made:
        await made.decide(reverse_wins="true")
        await made.player(cash=1000)
        yield made
    await invariants.hold(database)


async def owing(counter: Counter, minor: int = 300) -> Json:
    """Win it, carry everything off, and have it taken back."""
    await counter.play("bet", "b-1", amount=100)
    await counter.play("win", "w-1", referenceId="b-1", amount=minor)
    body = {"playerExternalId": "aigerim", "currency": "KZT", "all": True, "transferId": "away"}
    assert (await counter.post("/v1/player/wallet/withdraw", body))[1]["code"] == "OK"
    return await counter.play("rollback", "x-1", referenceId="w-1")


async def purse(counter: Counter) -> Json:
    _, told = await counter.get("/v1/player/info", playerExternalId="aigerim")
    return dict(told["data"]["balances"]["KZT"])


async def listed(counter: Counter) -> list[Json]:
    asked = {"playerExternalId": "aigerim", "limit": 100}
    return list((await counter.get("/v1/transaction/list", **asked))[1]["data"]["transactions"])


async def test_what_is_gone_is_owed_and_told(counter: Counter) -> None:
    before = metrics.ALARMS.labels("wallet_debt")._value.get()
    data = (await owing(counter))["data"]
    assert (data["type"], data["amount"], data["cashPart"], data["debtPart"]) == ("reverse_win", 300, 0, 300)
    assert (data["balanceBefore"], data["balanceAfter"], data["balance"], data["debt"]) == (0, 0, 0, 300)
    now = await purse(counter)
    assert (now["cash"], now["debt"], now["withdrawable"], now["total"]) == (0, 300, 0, 0)
    asked = {"playerExternalId": "aigerim", "currency": "KZT"}
    assert (await counter.get("/v1/player/wallet/balance", **asked))[1]["data"]["debt"] == 300
    assert metrics.ALARMS.labels("wallet_debt")._value.get() == before + 1
    assert [row.minor for row in await counter.rows(DEBT)] == [-300]


async def test_who_owes_nothing_is_told_of_no_debt(counter: Counter) -> None:
    assert "debt" not in (await counter.deposit(5))["data"]
    assert (await purse(counter))["debt"] == 0
    assert await counter.rows(DEBT) == []


async def test_a_deposit_pays_first_and_history_still_follows(counter: Counter) -> None:
    await owing(counter)
    data = (await counter.deposit(120, "in-1"))["data"]
    assert (data["balanceBefore"], data["balanceAfter"], data["balance"], data["debt"]) == (0, 120, 0, 180)
    data = (await counter.deposit(200, "in-2"))["data"]
    assert (data["balanceAfter"], data["balance"], data.get("debt")) == (200, 20, None)
    again = (await counter.deposit(200, "in-2"))["data"]
    assert (again["duplicate"], again["balanceAfter"], again["balance"]) == (True, 200, 20)
    await counter.settled()
    rows = await listed(counter)
    paid = [(row["type"], row["amount"], row.get("referenceId")) for row in rows[-4:]]
    assert paid == [
        ("deposit", 120, None),
        ("repayment", 120, "in-1"),
        ("deposit", 200, None),
        ("repayment", 180, "in-2"),
    ]
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
    for one, next_one in itertools.pairwise(rows):
        assert next_one["balanceBefore"] == one["balanceAfter"]
    assert [tuple(row) for row in await counter.rows(KINDS)] == [
        ("wallet.reverse_debt", 300),
        ("debt.repay", 120),
        ("debt.repay", 180),
    ]


@pytest.mark.parametrize("kind", ["win", "jackpot", "refund", "betwin"])
async def test_whatever_play_brings_in_pays_too(counter: Counter, kind: str) -> None:
    await counter.play("bet", "open", amount=50, roundId="r-2")
    await owing(counter, 900)
    if kind == "refund":
        left = 850
        await counter.play("rollback", referenceId="open")
    elif kind == "win":
        left = 800
        await counter.play("win", referenceId="open", amount=100, roundId="r-2")
    elif kind == "jackpot":
        left = 800
        await counter.play("win", kind="jackpot", amount=100, roundId=None, gameCode=None)
    else:
        left = 900
        refused = await counter.play("betwin", betAmount=10, winAmount=25, roundId="r-3")
        assert refused["code"] == "INSUFFICIENT_FUNDS"
        await grant_bonus(counter.pipes, counter.site_id, "aigerim", Money(10, "KZT"), "gift")
        assert (await counter.play("betwin", betAmount=10, winAmount=25, roundId="r-3"))["code"] == "OK"
        # What was staked of a bonus is won as bonus, which nobody collects.
        assert (await purse(counter))["bonus"] == 25
    assert ((await purse(counter))["cash"], (await purse(counter))["debt"]) == (0, left)


async def test_a_jackpot_taken_back_leaves_its_round_alone(counter: Counter) -> None:
    await counter.play("bet", "b-1", amount=100)
    await counter.play("win", "w-1", kind="jackpot", amount=500)
    assert (await counter.play("rollback", referenceId="w-1"))["data"]["type"] == "reverse_win"
    asked = {"playerExternalId": "aigerim", "providerId": "acme", "roundId": "r-1"}
    _, told = await counter.get("/v1/transaction/round", **asked)
    assert (told["data"]["state"], told["data"]["bet"], told["data"]["win"]) == ("open", 100, 0)


async def test_one_batch_makes_a_debt_and_pays_it(counter: Counter) -> None:
    """In several parts of one transaction, the first of which opens the account of the debt."""
    await counter.play("bet", "b-1", amount=100)
    await counter.play("win", "w-1", referenceId="b-1", amount=10)
    await counter.play("bet", "b-2", amount=910, roundId="r-2")
    who = {"playerExternalId": "aigerim", "providerId": "acme", "gameCode": "aviator"}
    win = {"type": "win", "kind": "promo", "currency": "KZT", **who}
    items: list[Json] = [
        {"type": "rollback", "transactionId": "x-1", "referenceId": "w-1", **who},
        *({"transactionId": f"p-{number}", "amount": 4, **win} for number in range(5)),
    ]
    _, told = await counter.post("/v1/game/batch", {"operations": items}, scope="play")
    results = [one["data"] for one in told["data"]["results"]]
    assert [one["balanceAfter"] for one in results] == [0, 4, 4, 4, 6, 10]
    assert {one["balance"] for one in results} == {10}
    assert (await purse(counter))["debt"] == 0


async def test_a_batch_that_is_undone_leaves_no_debt(counter: Counter) -> None:
    await counter.play("bet", "b-1", amount=100)
    await counter.play("win", "w-1", referenceId="b-1", amount=300)
    await counter.transfer("withdraw", 1200)
    who = {"playerExternalId": "aigerim", "providerId": "acme", "gameCode": "aviator"}
    items: list[Json] = [
        {"type": "rollback", "transactionId": "x-1", "referenceId": "w-1", **who},
        {"type": "win", "transactionId": "w-2", "referenceId": "nothing", "currency": "KZT", "amount": 1}
        | who
        | {"roundId": "r-1"},
    ]
    _, told = await counter.post("/v1/game/batch", {"operations": items, "allOrNone": True}, scope="play")
    assert told["code"] == "BET_NOT_FOUND"
    assert (await purse(counter))["debt"] == 0
    assert (await counter.play("rollback", "x-1", referenceId="w-1"))["data"]["debt"] == 300


async def test_a_debt_of_another_room_is_collected_too(counter: Counter, database: Database) -> None:
    """A lost dispute: the wallet knows of a debt whoever made it, before the wallet was opened or after."""
    code = (await counter.player("bolat"))["playerCode"]

    async def dispute(key: str, currency: str) -> None:
        amount = Money(70, currency)
        demand = ledger.Demand("payments", key, ledger.CHARGEBACK, amount, code, "psp", "dsp_1")
        async with database.transaction() as tx:
            await ledger.take(tx, counter.site_id, demand, at=counter.clock.now())

    await dispute("before", "USD")
    await dispute("after", "KZT")
    await counter.player("bolat", currency="USD")
    for currency in ("KZT", "USD"):
        data = (await counter.deposit(100, login="bolat", currency=currency))["data"]
        assert (data["balanceAfter"], data["balance"]) == (100, 30), currency


async def test_money_that_the_cashier_credits_pays_with_the_next_operation(
    counter: Counter, database: Database
) -> None:
    await owing(counter)
    code = (await counter.player())["playerCode"]
    request = ledger.PostRequest(
        "payments", "dep-1", ledger.DEPOSIT_TO_PLAYER, Money(500, "KZT"), "psp", code, "dep_1"
    )
    async with database.transaction() as tx:
        await ledger.post(tx, counter.site_id, [request], at=counter.clock.now())
    now = await purse(counter)
    assert (now["cash"], now["debt"], now["withdrawable"]) == (500, 300, 200)
    refused = await counter.transfer("withdraw", 201)
    assert (refused["code"], refused["data"]["balance"]) == ("INSUFFICIENT_FUNDS", 200)
    assert (await counter.transfer("withdraw", 200))["code"] == "OK"


async def test_at_once_a_debt_is_made_and_paid_by_one_of_many(counter: Counter) -> None:
    await owing(counter)
    await asyncio.gather(*(counter.deposit(7, f"in-{number}") for number in range(50)))
    now = await purse(counter)
    assert (now["cash"], now["debt"]) == (50, 0)


async def test_debts_are_listed_and_keep_a_site_in_its_mode(counter: Counter) -> None:
    await owing(counter)
    async with counter.pipes.database.reading() as reader:
        [one] = await audit.debts(reader, counter.site_id)
        [blocker, _] = await audit.mode_blockers(reader, counter.site_id)
        [balance] = await audit.players_with_balance(reader, counter.site_id)
        [closing] = await audit.closing(reader, counter.site_id, counter.clock.now().date())
    assert str(one).startswith("aigerim  KZT  owes 300  since 2026-11-21T")
    assert str(one).endswith("  win w-1")
    assert blocker == "1 player(s) owe 3.00 KZT in all"
    assert str(balance) == "aigerim  KZT  cash 0  bonus 0  held 0  owes 300"
    await counter.deposit(350)
    async with counter.pipes.database.reading() as reader:
        assert await audit.debts(reader, counter.site_id) == []
        [closing] = await audit.closing(reader, counter.site_id, counter.clock.now().date())
    assert (closing.repayments, closing.closing, closing.is_balanced) == (300, 50, True)


async def test_a_hold_that_comes_back_over_a_debt_pays_it_first(counter: Counter) -> None:
    """The balance is then what the last operation left, and yet not the player's to carry off."""
    database, at = counter.pipes.database, counter.clock.now()
    async with database.reading() as reader:
        [row] = await reader.all(text("SELECT site_id, player_id FROM player"))
    money = Money(1000, "KZT")
    async with database.transaction() as tx:
        asked = ledger.HoldRequest("test", "hold", row.player_id, money, "wdr_1")
        held = await ledger.hold(tx, row.site_id, asked, at=at)
    assert isinstance(held, ledger.Hold)
    async with database.transaction() as tx:
        demand = ledger.Demand("test", "debt", ledger.CHARGEBACK, money, row.player_id, "main", "dsp_1")
        await ledger.take(tx, row.site_id, demand, at=at)
    async with database.transaction() as tx:
        await ledger.release(tx, held, because="wdr_1", at=at)
    body = {"playerExternalId": "aigerim", "currency": "KZT", "amount": 1000, "transferId": "away"}
    assert (await counter.post("/v1/player/wallet/withdraw", body))[1]["code"] == "INSUFFICIENT_FUNDS"
    told = await purse(counter)
    assert (told["balance"], told["debt"]) == (0, 0)
    assert (await counter.rows(DEBT))[0].minor == 0
