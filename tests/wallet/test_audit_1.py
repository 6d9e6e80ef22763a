"""What an audit of issue 3 found: each test failed when it was written."""

from collections.abc import AsyncIterator

import pytest

from app import ledger, merchants, players
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database
from tests.wallet.counter import Counter, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        yield made


async def test_a_repeat_hears_its_first_answer_when_the_game_is_listed_no_more(counter: Counter) -> None:
    """Rule 7: the duplicate check comes first. `VALIDATION` says that nothing was stored."""
    await counter.player(cash=1000)
    first = await counter.play("bet", "b-1", amount=100)
    await counter.decide(listed_games_only="true")
    again = await counter.play("bet", "b-1", amount=100)
    assert (again["code"], again["data"]["duplicate"]) == ("OK", True)
    assert again["data"]["transactionId"] == first["data"]["transactionId"]


async def test_a_repeated_rollback_hears_its_first_answer_when_platforms_differ_by_now(
    counter: Counter,
) -> None:
    await counter.player(cash=1000)
    await counter.play("bet", "b-1", amount=100)
    await counter.play("rollback", "x-1", referenceId="b-1")
    await counter.decide("acme", reverse_wins="true")
    again = await counter.play("rollback", "x-1", referenceId="b-1")
    assert (again["code"], again["data"].get("duplicate")) == ("OK", True)


async def test_a_repeated_transfer_hears_its_first_answer_when_the_wallet_mode_changed(
    counter: Counter,
) -> None:
    await counter.player()
    await counter.deposit(100, "t-1")
    await counter.transfer("withdraw", 100, "t-2")
    async with counter.pipes.database.transaction() as tx:
        await merchants.set_callback_url(
            tx, counter.site_id, "https://shop.example.com/wallet", at=counter.clock.now()
        )
    counter.clock.advance(3)
    again = await counter.deposit(100, "t-1")
    assert (again["code"], again["data"].get("duplicate")) == ("OK", True)


@pytest.mark.parametrize("changed", ["currency", "player"])
async def test_the_same_id_with_other_content_is_a_conflict_whatever_else_is_wrong(
    counter: Counter, changed: str
) -> None:
    """Rule 4: whatever the state; player and currency are compared too."""
    await counter.player(cash=1000)
    await counter.play("bet", "b-1", amount=100)
    other = {"currency": "USD"} if changed == "currency" else {"playerExternalId": "nobody"}
    assert (await counter.play("bet", "b-1", amount=100, **other))["code"] == "ID_CONFLICT"


async def test_money_paid_in_at_the_cashiers_page_is_seen_before_player_create(counter: Counter) -> None:
    """A player whom a key made has 1000 here; `info` says nothing, `balance` a wrong currency."""
    async with counter.pipes.database.transaction() as tx:
        player_id, _ = await players.known_player(tx, counter.site_id, "aigerim", {}, at=counter.clock.now())
        request = ledger.PostRequest(
            source="cashier",
            key="paid-1",
            movement=ledger.DEPOSIT_TO_PLAYER,
            amount=Money(1000, "KZT"),
            source_owner="site",
            target_owner=player_id,
            because="dep-1",
        )
        await ledger.post(tx, counter.site_id, [request], at=counter.clock.now())
    _, told = await counter.get("/v1/player/info", playerExternalId="aigerim")
    assert told["data"]["balances"]["KZT"]["cash"] == 1000
    status, told = await counter.get("/v1/player/wallet/balance", playerExternalId="aigerim", currency="KZT")
    assert (status, told["data"].get("cash")) == (200, 1000)


async def test_what_is_not_final_says_when_to_ask_again(counter: Counter) -> None:
    """docs/wallet.md: `final: false` means to ask again, and `retryAfter` when. And why, in words."""
    await counter.player(cash=1000)
    await counter.decide(withdraw_while_round_open="false")
    await counter.play("bet", "b-1", amount=100)
    told = await counter.transfer("withdraw", 5)
    assert told["code"] == "IN_PROGRESS"
    assert told["data"]["retryAfter"] > 0
    assert "round" in told["message"]


async def test_a_limit_that_is_exceeded_is_named(counter: Counter) -> None:
    """Issue 3: every refusal with the field or rule named."""
    await counter.player(cash=1000)
    await counter.decide(max_bet="10", max_transfer="20")
    bet, deposit = await counter.play("bet", amount=11), await counter.deposit(21)
    assert bet["code"] == deposit["code"] == "LIMIT_EXCEEDED"
    assert bet["message"] != deposit["message"] or bet["data"].get("limit") != deposit["data"].get("limit")


async def test_a_wrong_field_is_named_in_the_sentence_too(counter: Counter) -> None:
    await counter.player(cash=1000)
    await counter.play("bet", "b-1", amount=100)
    told = await counter.play("win", referenceId="b-1", amount=5, roundId="r-2")
    assert (told["code"], told["data"]["field"]) == ("VALIDATION", "roundId")
    assert "roundId" in told["message"]


async def test_a_batch_undone_for_want_of_money_tells_the_balance(counter: Counter) -> None:
    """Rule 13: insufficient funds with the actual balance, in a batch of all or none too."""
    await counter.player(cash=1000)
    who = {"playerExternalId": "aigerim", "currency": "KZT"}
    operations = [
        {"type": "deposit", "amount": 100, "transferId": "t-1", **who},
        {"type": "withdraw", "amount": 5000, "transferId": "t-2", **who},
    ]
    body = {"operations": operations, "allOrNone": True}
    _, told = await counter.post("/v1/player/wallet/batch", body)
    refused = told["data"]["results"][1]
    assert refused["code"] == "INSUFFICIENT_FUNDS"
    assert refused["data"].get("balance") == 1000 or "10.00" in refused["message"]
