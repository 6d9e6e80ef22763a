"""Players are created once, or linked to whom the cashier knows, and can be blocked."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app import ledger, merchants, players
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database
from tests import invariants
from tests.wallet.counter import Counter, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        yield made
        await invariants.hold(database)


async def test_a_player_is_created_with_a_wallet_in_the_first_currency(counter: Counter) -> None:
    status, told = await counter.post("/v1/player/create", {"playerExternalId": "aigerim"})
    assert (status, told["code"]) == (200, "OK")
    assert told["data"]["created"] is True
    assert told["data"]["currency"] == "KZT"
    assert told["data"]["playerCode"].startswith("ply_")


async def test_creating_again_links_to_the_same_player(counter: Counter) -> None:
    first = await counter.player()
    again = await counter.player()
    assert again == {**first, "created": False}


async def test_at_once_they_are_one_player_with_one_wallet(counter: Counter) -> None:
    made = await asyncio.gather(*(counter.player() for _ in range(10)))
    assert len({one["playerCode"] for one in made}) == 1
    assert [one["created"] for one in made].count(True) == 1
    assert len(await counter.rows("SELECT 1 FROM wallet")) == 1


async def test_a_second_currency_is_a_second_wallet(counter: Counter) -> None:
    await counter.player(cash=500)
    await counter.player(currency="USD")
    _, told = await counter.get("/v1/player/info", playerExternalId="aigerim")
    names = ("balance", "cash", "bonus", "held", "debt", "withdrawable", "total", "sequence")
    nothing = dict.fromkeys(names, 0)
    some = {"balance": 500, "cash": 500, "withdrawable": 500, "total": 500, "sequence": 1}
    assert told["data"]["balances"] == {"KZT": nothing | some, "USD": nothing}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "playerExternalId"),
        ({"playerExternalId": ""}, "playerExternalId"),
        ({"playerExternalId": "x" * 129}, "playerExternalId"),
        ({"playerExternalId": "a\nb"}, "playerExternalId"),
        ({"playerExternalId": ["a"]}, "playerExternalId"),
        ({"playerExternalId": "a", "currency": "ZZZ"}, "currency"),
        ({"playerExternalId": "a", "country": "KAZ"}, "country"),
        ({"playerExternalId": "a", "country": {}}, "country"),
        ({"playerExternalId": "a", "language": "<b>"}, "language"),
    ],
)
async def test_what_is_no_player_is_named(counter: Counter, body: object, field: str) -> None:
    status, told = await counter.post("/v1/player/create", body)
    assert (status, told["code"], told["data"]["field"]) == (400, "VALIDATION", field)
    assert not await counter.rows("SELECT 1 FROM player")


async def test_a_currency_the_site_does_not_offer_opens_no_wallet(counter: Counter) -> None:
    status, told = await counter.post("/v1/player/create", {"playerExternalId": "a", "currency": "EUR"})
    assert (status, told["code"]) == (422, "CURRENCY_MISMATCH")
    assert not await counter.rows("SELECT 1 FROM player")


async def test_country_and_language_are_kept(counter: Counter) -> None:
    body = {"playerExternalId": "aigerim", "country": "kz", "language": "kk-KZ"}
    await counter.post("/v1/player/create", body)
    await counter.post("/v1/player/create", {"playerExternalId": "aigerim", "language": "ru"})
    [row] = await counter.rows("SELECT personal FROM player")
    assert row.personal == {"user_country": "KZ", "language": "ru"}


async def test_only_the_operator_creates_players(counter: Counter) -> None:
    for scope in ("play", "read"):
        status, told = await counter.post("/v1/player/create", {"playerExternalId": "a"}, scope=scope)
        assert (status, told["code"]) == (403, "FORBIDDEN")


async def test_a_player_of_the_cashier_is_linked_with_the_money(counter: Counter) -> None:
    """Money that came before the wallet is the first step of its history."""
    async with counter.pipes.database.transaction() as tx:
        player_id, _ = await players.known_player(
            tx, counter.site_id, "aigerim", {"user_city": "Almaty"}, at=counter.clock.now()
        )
        await ledger.post(
            tx,
            counter.site_id,
            [
                ledger.PostRequest(
                    source="payments",
                    key="dep_1",
                    movement=ledger.DEPOSIT_TO_PLAYER,
                    amount=Money(700, "KZT"),
                    source_owner="main",
                    target_owner=player_id,
                    because="dep_1",
                )
            ],
            at=counter.clock.now(),
        )
    made = await counter.player()
    assert (made["playerCode"], made["created"], made["balance"]) == (player_id, False, 700)
    told = await counter.deposit(300)
    assert (told["data"]["balanceBefore"], told["data"]["balance"], told["data"]["sequence"]) == (
        700,
        1000,
        2,
    )
    _, listed = await counter.get("/v1/transaction/list", playerExternalId="aigerim")
    steps = [
        (row["type"], row["balanceBefore"], row["balanceAfter"]) for row in listed["data"]["transactions"]
    ]
    assert steps == [("cashier", 0, 700), ("deposit", 700, 1000)]


async def test_what_is_held_is_told_apart(counter: Counter) -> None:
    made = await counter.player(cash=1000)
    async with counter.pipes.database.transaction() as tx:
        wish = ledger.HoldRequest("payments", "pay_1", made["playerCode"], Money(400, "KZT"), "pay_1")
        await ledger.hold(tx, counter.site_id, wish, at=counter.clock.now())
    _, told = await counter.get("/v1/player/wallet/balance", playerExternalId="aigerim", currency="KZT")
    data = told["data"]
    assert (data["cash"], data["held"], data["withdrawable"], data["total"]) == (600, 400, 600, 1000)


async def test_reads_name_what_is_not_there(counter: Counter) -> None:
    await counter.player()
    _, info = await counter.get("/v1/player/info", playerExternalId="nobody")
    _, balance = await counter.get("/v1/player/wallet/balance", playerExternalId="aigerim", currency="USD")
    _, missing = await counter.get("/v1/player/wallet/balance", playerExternalId="aigerim")
    assert [info["code"], balance["code"]] == ["PLAYER_NOT_FOUND", "CURRENCY_MISMATCH"]
    assert (missing["code"], missing["data"]["field"]) == ("VALIDATION", "currency")


async def test_a_blocked_player_does_not_bet_until_unblocked(counter: Counter) -> None:
    await counter.player(cash=1000)

    async def become(status: players.PlayerStatus) -> players.PlayerStatus:
        async with counter.pipes.database.transaction() as tx:
            return await players.set_status(tx, counter.site_id, "aigerim", status)

    assert await become(players.PlayerStatus.BLOCKED) is players.PlayerStatus.ACTIVE
    assert (await counter.play("bet", amount=100))["code"] == "PLAYER_BLOCKED"
    _, info = await counter.get("/v1/player/info", playerExternalId="aigerim")
    assert info["data"]["status"] == "blocked"
    assert await become(players.PlayerStatus.ACTIVE) is players.PlayerStatus.BLOCKED
    assert (await counter.play("bet", amount=100))["code"] == "OK"


async def test_blocking_a_stranger_is_refused(counter: Counter) -> None:
    async with counter.pipes.database.transaction() as tx:
        with pytest.raises(players.PlayerNotFound):
            await players.set_status(tx, counter.site_id, "nobody", players.PlayerStatus.BLOCKED)


async def test_a_seamless_site_creates_no_players(database: Database, clock: MovableClock) -> None:
    async with opened(database, clock, seamless=True) as counter:
        status, told = await counter.post("/v1/player/create", {"playerExternalId": "a"})
        assert (status, told["code"]) == (422, "WRONG_WALLET_MODE")
        async with database.reading() as reader:
            site = await merchants.site(reader, counter.site_id)
        assert site.wallet_mode is merchants.WalletMode.SEAMLESS
