"""An id that was used: its first answer, or a conflict, whatever the site has decided since (rules 4, 7)."""

from collections.abc import AsyncIterator

import pytest

from app import merchants
from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.wallet.model import decide, decide_nowhere
from app.wallet.terms import Barred, Code, Decision, Facts, Type
from tests.wallet.counter import Counter, Json, opened
from tests.wallet.examples import BET, OTHER_PRINT, ask, unstored, wallet

REPLAY = Decision(Code.OK, stored=False, is_replay=True)
BARRED = Barred(Code.VALIDATION, "gameCode", "gameCode is none.")
WHO = {"playerExternalId": "aigerim", "currency": "KZT"}
GAME = {"roundId": "r-1", "gameCode": "aviator", "providerId": "acme"}


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        yield made


async def turned_seamless(counter: Counter) -> None:
    async with counter.pipes.database.transaction() as tx:
        address = "https://shop.example.com/wallet"
        await merchants.set_callback_url(tx, counter.site_id, address, at=counter.clock.now())
    counter.clock.advance(3)


@pytest.mark.parametrize("what", Type)
def test_what_is_barred_is_refused_unless_it_was_answered_before(what: Type) -> None:
    late = ask(what, barred=BARRED)
    refused = unstored(Code.VALIDATION, field="gameCode")
    assert decide(late, wallet(), Facts()) == refused
    assert decide_nowhere(late, Facts(), is_player=False) == refused
    assert decide(late, wallet(), Facts(known=BET)) == REPLAY
    assert decide_nowhere(late, Facts(known=BET), is_player=False) == REPLAY
    late.fingerprint = OTHER_PRINT
    assert decide(late, wallet(), Facts(known=BET)) == unstored(Code.ID_CONFLICT)
    assert decide_nowhere(late, Facts(known=BET), is_player=True) == unstored(Code.ID_CONFLICT)


@pytest.mark.parametrize(
    ("what", "is_player", "code"),
    [
        (Type.BET, True, Code.CURRENCY_MISMATCH),
        (Type.BET, False, Code.PLAYER_NOT_FOUND),
        (Type.ROLLBACK, True, Code.PLAYER_NOT_FOUND),
        (Type.ROLLBACK, False, Code.PLAYER_NOT_FOUND),
    ],
)
def test_without_a_wallet_nothing_is_stored(what: Type, is_player: bool, code: Code) -> None:
    assert decide_nowhere(ask(what), Facts(), is_player=is_player) == unstored(code)


async def test_a_bet_hears_its_first_answer_when_its_game_is_listed_no_more(counter: Counter) -> None:
    await counter.player(cash=1000)
    first = await counter.play("bet", "b-1", amount=100)
    await counter.decide(listed_games_only="true")
    again = await counter.play("bet", "b-1", amount=100)
    assert (again["code"], again["data"]["duplicate"]) == ("OK", True)
    assert again["data"]["transactionId"] == first["data"]["transactionId"]
    for _ in range(2):
        refused = await counter.play("bet", "b-2", amount=100)
        assert (refused["code"], refused["data"]["field"]) == ("VALIDATION", "gameCode")
        assert refused["message"] == "gameCode is not in this site's catalogue."
        assert "transactionId" not in refused["data"]
    batch = {"operations": [one("b-1"), one("b-2"), one("b-3")]}
    _, told = await counter.post("/v1/game/batch", batch, scope="play")
    assert [it["code"] for it in told["data"]["results"]] == ["OK", "VALIDATION", "VALIDATION"]
    assert told["data"]["results"][1]["data"]["field"] == "operations.1.gameCode"


def one(key: str) -> Json:
    return {"type": "bet", "transactionId": key, "amount": 100, **GAME, **WHO}


async def test_a_rollback_hears_its_first_answer_when_platforms_differ_by_now(counter: Counter) -> None:
    await counter.player(cash=1000)
    await counter.play("bet", "b-1", amount=100)
    await counter.play("rollback", "x-1", referenceId="b-1")
    await counter.decide("acme", reverse_wins="true")
    again = await counter.play("rollback", "x-1", referenceId="b-1")
    assert (again["code"], again["data"].get("duplicate")) == ("OK", True)
    refused = await counter.play("rollback", "x-2", referenceId="b-1")
    assert (refused["code"], refused["data"]["field"]) == ("VALIDATION", "providerId")


async def test_a_transfer_hears_its_first_answer_when_the_site_keeps_balances_itself(
    counter: Counter,
) -> None:
    await counter.player()
    await counter.deposit(100, "t-1")
    await counter.transfer("withdraw", 100, "t-2")
    await turned_seamless(counter)
    again = await counter.deposit(100, "t-1")
    assert (again["code"], again["data"].get("duplicate")) == ("OK", True)
    assert (await counter.deposit(100, "t-3"))["code"] == "WRONG_WALLET_MODE"
    transfers = [("deposit", "t-1", 100), ("withdraw", "t-2", 100), ("deposit", "t-3", 1)]
    operations = [{"type": kind, "transferId": key, "amount": sum_, **WHO} for kind, key, sum_ in transfers]
    status, told = await counter.post("/v1/player/wallet/batch", {"operations": operations})
    assert status == 200
    assert [it["code"] for it in told["data"]["results"]] == ["OK", "OK", "WRONG_WALLET_MODE"]
    _, voided = await counter.post("/v1/player/wallet/transfer/t-1/void", {})
    assert voided["code"] == "TRANSFER_COMPLETED"


@pytest.mark.parametrize("changed", [{"currency": "USD"}, {"playerExternalId": "nobody"}])
async def test_the_same_id_with_other_content_is_a_conflict_whatever_else_is_wrong(
    counter: Counter, changed: dict[str, str]
) -> None:
    await counter.player(cash=1000)
    await counter.play("bet", "b-1", amount=100)
    assert (await counter.play("bet", "b-1", amount=100, **changed))["code"] == "ID_CONFLICT"


@pytest.mark.parametrize("changed", [{"currency": "USD"}, {"login": "nobody"}])
async def test_what_was_voided_is_so_for_whoever_asks(counter: Counter, changed: dict[str, str]) -> None:
    await counter.player()
    await counter.post("/v1/player/wallet/transfer/t-1/void", {})
    told = await counter.transfer("deposit", 5, "t-1", **changed)
    assert (told["code"], told["data"]["duplicate"]) == ("VOIDED", True)


@pytest.mark.parametrize("kind", ["bet", "win", "jackpot"])
async def test_what_was_taken_back_since_says_so_wherever_it_is_told_again(
    counter: Counter, kind: str
) -> None:
    await counter.decide(reverse_wins="true")
    await counter.player(cash=1000)
    asked: dict[str, Json] = {
        "bet": {"amount": 100},
        "win": {"amount": 100, "referenceId": "b-0"},
        "jackpot": {"amount": 100, "kind": "jackpot"},
    }
    await counter.play("bet", "b-0", amount=100)
    what = "bet" if kind == "bet" else "win"
    first = await counter.play(what, "o-1", **asked[kind])
    assert "reversed" not in (await counter.play(what, "o-1", **asked[kind]))["data"]
    await counter.play("rollback", "x-1", referenceId="o-1")
    operation = {"type": what, "transactionId": "o-1", **GAME, **WHO, **asked[kind]}
    batch = {"operations": [one("b-9"), operation]}
    again = [
        (await counter.play(what, "o-1", **asked[kind]))["data"],
        (await counter.post("/v1/game/batch", batch, scope="play"))[1]["data"]["results"][1]["data"],
        (await counter.get("/v1/transaction/by-reference/o-1"))[1]["data"],
        (await counter.get(f"/v1/transaction/{first['data']['transactionId']}"))[1]["data"],
    ]
    assert [it.get("reversed") for it in again] == [True] * 4
    changed = {"reversed", "duplicate", "balance", "cash", "bonus"}
    for told in again:
        assert {name: told[name] for name in first["data"] if name in told and name not in changed} == {
            name: first["data"][name] for name in first["data"] if name in told and name not in changed
        }


async def test_a_rollback_that_came_first_never_tells_the_balance_of_another_wallet(counter: Counter) -> None:
    await counter.player(cash=1000)
    await counter.player(cash=77, currency="USD")
    rollback = {"referenceId": "b-1"}
    first = await counter.play("rollback", "x-1", **rollback)
    assert (first["code"], first["data"]["currency"]) == ("NOTHING_TO_REVERSE", "KZT")
    assert (await counter.play("bet", "b-1", amount=5, currency="USD"))["code"] == "ROLLED_BACK"
    again = await counter.play("rollback", "x-1", **rollback)
    assert (again["data"]["currency"], again["data"]["duplicate"]) == ("KZT", True)
    assert {told["data"].get("balance", 1000) for told in (first, again)} == {1000}
