"""A player who has paid at the cashier's page before anybody has called `player/create`."""

import asyncio
import contextvars
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app import ledger, players
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database
from app.wallet import openings
from tests.wallet.counter import Counter, Json, opened

WHO = {"playerExternalId": "aigerim", "currency": "KZT"}
GAME = {"roundId": "r-1", "gameCode": "aviator", "providerId": "acme"}


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await pay_in(made, "aigerim")
        yield made


async def pay_in(counter: Counter, login: str) -> None:
    async with counter.pipes.database.transaction() as tx:
        player_id, _ = await players.known_player(tx, counter.site_id, login, {}, at=counter.clock.now())
        request = ledger.PostRequest(
            source="cashier",
            key=f"paid-{login}",
            movement=ledger.DEPOSIT_TO_PLAYER,
            amount=Money(1000, "KZT"),
            source_owner="site",
            target_owner=player_id,
            because="dep-1",
        )
        await ledger.post(tx, counter.site_id, [request], at=counter.clock.now())


async def cash(counter: Counter) -> tuple[int, object]:
    status, told = await counter.get("/v1/player/wallet/balance", **WHO)
    return status, told["data"].get("cash")


async def history(counter: Counter) -> list[tuple[str, int, int]]:
    await counter.settled()
    _, told = await counter.get("/v1/transaction/list", **WHO)
    return [(it["type"], it["sequence"], it["balanceAfter"]) for it in told["data"]["transactions"]]


async def test_it_is_told_before_there_is_a_wallet(counter: Counter) -> None:
    _, told = await counter.get("/v1/player/info", playerExternalId="aigerim")
    assert told["data"]["balances"]["KZT"]["cash"] == 1000
    assert told["data"]["balances"].keys() == {"KZT"}
    assert await cash(counter) == (200, 1000)
    assert await history(counter) == []
    assert await counter.rows("SELECT 1 FROM wallet") == []
    status, told = await counter.get("/v1/player/wallet/balance", playerExternalId="aigerim", currency="USD")
    assert (status, told["code"]) == (422, "CURRENCY_MISMATCH")


@pytest.mark.parametrize(
    ("call", "rest", "left"),
    [
        ("player/wallet/withdraw", {"amount": 400, "transferId": "t-1"}, 600),
        ("player/wallet/withdraw", {"all": True, "transferId": "t-1"}, 0),
        ("player/wallet/deposit", {"amount": 400, "transferId": "t-1"}, 1400),
        ("game/bet", {"amount": 400, "transactionId": "b-1", **GAME}, 600),
    ],
)
async def test_the_first_operation_finds_it(counter: Counter, call: str, rest: Json, left: int) -> None:
    scope = "play" if call == "game/bet" else "wallet"
    for is_again in (False, True):
        status, told = await counter.post(f"/v1/{call}", {**WHO, **rest}, scope=scope)
        assert (status, told["data"]["duplicate"]) == (200, is_again), told
        assert (told["data"]["balanceBefore"], told["data"]["balance"]) == (1000, left)
    assert await history(counter) == [("cashier", 1, 1000), (call.rpartition("/")[2], 2, left)]


async def test_a_batch_finds_it_in_any_of_its_parts(counter: Counter) -> None:
    for login in ("one", "two"):
        await pay_in(counter, login)
    await counter.player("with", cash=10)
    logins = ["with", "aigerim", "nobody", "aigerim", "one", "with", "with", "two", "one"]
    operations = [
        {"type": "withdraw", "amount": 10, "playerExternalId": login, "currency": "KZT", "transferId": str(n)}
        for n, login in enumerate(logins)
    ]
    _, told = await counter.post("/v1/player/wallet/batch", {"operations": operations})
    codes = [it["code"] for it in told["data"]["results"]]
    expected = ["OK"] * 9
    expected[2], expected[5], expected[6] = "PLAYER_NOT_FOUND", "INSUFFICIENT_FUNDS", "INSUFFICIENT_FUNDS"
    assert codes == expected
    assert await cash(counter) == (200, 980)


async def test_a_rollback_before_its_bet_finds_the_wallet_that_the_bet_would(counter: Counter) -> None:
    assert (await counter.play("rollback", "x-1", referenceId="b-1"))["code"] == "NOTHING_TO_REVERSE"
    assert (await counter.play("bet", "b-1", amount=5))["code"] == "ROLLED_BACK"
    assert await cash(counter) == (200, 1000)


async def test_a_game_is_launched_with_it(counter: Counter) -> None:
    body = {**WHO, "gameCode": "aviator", "providerId": "acme"}
    status, told = await counter.post("/v1/game/launch", body)
    assert status == 200, told
    bet = await counter.play("bet", amount=5, sessionId=told["data"]["sessionId"])
    assert (bet["code"], bet["data"]["balance"]) == ("OK", 995)


async def test_the_player_may_be_created_afterwards(counter: Counter) -> None:
    made = await counter.player()
    assert (made["created"], made["balance"]) == (False, 1000)
    assert (await counter.deposit(1))["data"]["balance"] == 1001


async def test_a_wallet_in_a_currency_that_has_no_money_is_not_opened(counter: Counter) -> None:
    await counter.player()
    told = await counter.deposit(1, currency="USD")
    assert told["code"] == "CURRENCY_MISMATCH"
    assert [row.currency for row in await counter.rows("SELECT currency FROM wallet")] == ["KZT"]


@pytest.mark.parametrize("asked", ["are_due", "open_due"])
async def test_a_wallet_that_somebody_has_just_opened_is_found_as_well(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """Of two first operations, in two processes, one saw no wallet just before the other has opened it."""
    plain = getattr(openings, asked)

    async def late(raw: asyncpg.Connection, *rest: object, **more: object) -> bool:
        # With a context of its own: it is another process that does this.
        await asyncio.create_task(opened_elsewhere(counter), context=contextvars.Context())
        return bool(await plain(raw, *rest, **more))

    monkeypatch.setattr(openings, asked, late)
    told = await counter.deposit(5, "t-1")
    assert (told["code"], told["data"]["balance"]) == ("OK", 1005)
    monkeypatch.undo()
    assert (await counter.deposit(5, "t-2", currency="USD"))["code"] == "CURRENCY_MISMATCH"


async def opened_elsewhere(counter: Counter) -> None:
    async with counter.pipes.database.transaction() as tx:
        player, _ = await players.player_of_login(tx, counter.site_id, "aigerim")
        at = counter.clock.now()
        await openings.open_wallet(tx.raw, counter.site_id, player.player_id, "KZT", at=at)
