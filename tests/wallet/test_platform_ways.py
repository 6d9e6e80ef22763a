"""What platforms do differently: games of a session, stakes of nothing, rollbacks by their bet's own id."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.wallet.model import decide
from app.wallet.policy import OtherAmount, Policy, SessionGames
from app.wallet.terms import Code, Facts, Type
from tests.wallet.counter import Counter, Json, opened
from tests.wallet.examples import BET, OPEN, REFUNDED, ask, refused, unstored, wallet

WHO = {"playerExternalId": "aigerim", "currency": "KZT"}


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.player(cash=1000)
        yield made


async def session(counter: Counter, game: str = "aviator") -> str:
    body = {**WHO, "gameCode": game, "providerId": "acme"}
    _, told = await counter.post("/v1/game/launch", body)
    return str(told["data"]["sessionId"])


@pytest.mark.parametrize("what", [Type.BET, Type.BETWIN])
def test_a_bet_is_of_the_game_that_its_session_was_launched_with(what: Type) -> None:
    bet = ask(what, game="dice")
    other = unstored(Code.VALIDATION, field="gameCode")
    assert decide(bet, wallet(blocked=True), Facts(session_game="aviator")) == other
    assert decide(bet, wallet(), Facts(session_game="dice")).applied
    assert decide(bet, wallet(), Facts()).applied
    expired = Facts(session_ok=False, session_game="aviator")
    assert decide(bet, wallet(), expired) == refused(Code.SESSION_EXPIRED)
    lobby = ask(what, game="dice", policy=Policy(session_games=SessionGames.PLATFORM))
    assert decide(lobby, wallet(), Facts(session_game="aviator")).applied


def test_a_rollback_that_states_another_amount_is_refused_where_that_is_decided() -> None:
    facts, strict = Facts(reference=BET, round=OPEN), Policy(rollback_amount=OtherAmount.REFUSE)
    back = ask(Type.ROLLBACK, policy=strict)
    assert decide(back, wallet(), facts) == REFUNDED
    back.stated = BET.amount
    assert decide(back, wallet(), facts) == REFUNDED
    back.stated = BET.amount + 1
    assert decide(back, wallet(), facts) == unstored(Code.VALIDATION, field="amount")
    assert decide(back, wallet(), Facts()) == refused(Code.NOTHING_TO_REVERSE, 0)
    back.policy = Policy()
    assert decide(back, wallet(), facts) == REFUNDED


async def test_a_session_plays_its_own_game_however_it_is_known(counter: Counter) -> None:
    """First looked up, then remembered; in batches of several parts too."""
    made = await session(counter)
    for number in range(3):
        for game, code in (("dice", "VALIDATION"), ("aviator", "OK"), ("dice", "VALIDATION")):
            told = await counter.play(
                "bet", f"{game}-{number}", amount=1, sessionId=made, gameCode=game, roundId=f"{number}"
            )
            assert told["code"] == code, told
            assert told["data"].get("field", "gameCode") == "gameCode"
    bets: list[Json] = [
        {
            **WHO,
            "type": "bet",
            "transactionId": f"many-{number}",
            "amount": 1,
            "providerId": "acme",
            "roundId": f"m-{number}",
            "gameCode": "aviator" if number % 4 else "dice",
            "sessionId": made,
        }
        for number in range(8)
    ]
    _, told = await counter.post("/v1/game/batch", {"operations": bets}, scope="play")
    codes = [it["code"] for it in told["data"]["results"]]
    assert codes == ["VALIDATION", "OK", "OK", "OK"] * 2
    await counter.decide("acme", session_games="platform")
    assert (await counter.play("bet", "dice-0", amount=1, sessionId=made, gameCode="dice"))["code"] == "OK"


async def test_a_stake_of_nothing_is_a_bet_where_that_is_decided(counter: Counter) -> None:
    refused = await counter.play("bet", "b-1", amount=0)
    assert (refused["code"], refused["data"]["field"]) == ("VALIDATION", "amount")
    assert refused["message"] == "amount must be from 1 to 1000000000000000 minor units."
    await counter.decide("acme", zero_stakes="true")
    bet = await counter.play("bet", "b-1", amount=0)
    assert (bet["code"], bet["data"]["applied"], bet["data"]["balance"]) == ("OK", True, 1000)
    won = await counter.play("win", "w-1", referenceId="b-1", amount=7)
    assert (won["code"], won["data"]["balance"]) == ("OK", 1007)
    both = await counter.play("betwin", "bw-1", betAmount=0, winAmount=3, roundId="r-2")
    assert (both["code"], both["data"]["balance"]) == ("OK", 1010)
    await counter.play("bet", "b-2", amount=0, roundId="r-3")
    assert (await counter.play("rollback", referenceId="b-2"))["data"]["applied"] is True
    await counter.decide("acme", zero_stakes="false")
    again = await counter.play("betwin", "bw-1", betAmount=0, winAmount=3, roundId="r-2")
    assert (again["code"], again["data"]["duplicate"]) == ("OK", True)
    assert (await counter.play("bet", "b-3", amount=0))["code"] == "VALIDATION"


@pytest.mark.parametrize("key", ["b-1", "b" * 128])
async def test_a_rollback_may_bear_its_bets_own_id(counter: Counter, key: str) -> None:
    bet = await counter.play("bet", key, amount=100)
    for is_again in (False, True):
        back = await counter.play("rollback", key, referenceId=key)
        assert (back["code"], back["data"]["duplicate"]) == ("OK", is_again)
        assert (back["data"]["externalId"], back["data"]["balance"]) == (key, 1000)
    assert (await counter.play("rollback", "x", referenceId=key))["code"] == "ALREADY_ROLLED_BACK"
    again = await counter.play("bet", key, amount=100)
    assert again["data"]["transactionId"] == bet["data"]["transactionId"]


async def test_so_may_one_that_comes_before_its_bet(counter: Counter) -> None:
    back = await counter.play("rollback", "b-1", referenceId="b-1")
    assert (back["code"], back["data"]["externalId"]) == ("NOTHING_TO_REVERSE", "b-1")
    assert (await counter.play("bet", "b-1", amount=100))["code"] == "ROLLED_BACK"
    told = await counter.play("bet", "same-id-rollback-b-1", amount=100)
    assert (told["code"], told["data"]["field"]) == ("VALIDATION", "transactionId")


@pytest.mark.parametrize("stated", [99, 0, -5, "100", True, 10.5])
async def test_an_amount_that_is_not_the_operations_is_warned_of_or_refused(
    counter: Counter, stated: object
) -> None:
    for key in ("b-1", "b-2"):
        await counter.play("bet", key, amount=100)
    told = await counter.play("rollback", "x-1", referenceId="b-1", amount=stated)
    assert (told["code"], told["data"]["amount"]) == ("OK", 100)
    assert "ignored" in told["data"]["warning"]
    await counter.decide("acme", rollback_amount="refuse")
    own = {"referenceId": "b-2", "providerId": "acme"}
    told = await counter.play("rollback", "x-2", **own, amount=stated)
    assert (told["code"], told["data"]["field"]) == ("VALIDATION", "amount")
    told = await counter.play("rollback", "x-2", **own, amount=100)
    assert (told["code"], "warning" in told["data"]) == ("OK", False)


async def test_a_site_of_major_units_states_them(counter: Counter) -> None:
    await counter.decide(amount_unit="major")
    for key in ("b-1", "b-2", "b-3"):
        await counter.play("bet", key, amount=1.5)
    asked: list[tuple[Json, bool]] = [
        ({"amount": 1.5, "currency": "KZT"}, False),
        ({"amount": 1.25, "currency": "KZT"}, True),
    ]
    for number, (more, is_warned) in enumerate([*asked, ({"amount": 9}, False)], 1):
        told = await counter.play("rollback", f"x-{number}", referenceId=f"b-{number}", **more)
        assert (told["code"], "warning" in told["data"]) == ("OK", is_warned)


@pytest.mark.parametrize("key", ["b-1", "b" * 128])
async def test_a_rollback_that_bears_its_bets_id_is_found_by_it(counter: Counter, key: str) -> None:
    await counter.deposit(1, f"same-id-rollback-{key}"[:128])
    path = f"/v1/transaction/by-reference/{key}"
    assert (await counter.get(path))[0] == 404
    await counter.play("rollback", key, referenceId=key)
    _, told = await counter.get(path)
    assert (told["data"]["type"], told["data"]["code"]) == ("rollback", "NOTHING_TO_REVERSE")
    await counter.play("bet", "b-2", amount=100)
    await counter.play("rollback", "b-2", referenceId="b-2")
    _, told = await counter.get("/v1/transaction/by-reference/b-2")
    assert [it["type"] for it in told["data"]["matches"]] == ["bet", "rollback"]
    assert (told["data"]["type"], told["data"]["reversed"]) == ("bet", True)
    await counter.settled()
    for whose in ({}, {"playerExternalId": "aigerim"}):
        _, told = await counter.get("/v1/transaction/list", externalId="b-2", **whose)
        assert [it["type"] for it in told["data"]["transactions"]] == ["bet", "rollback"]
        assert {it["externalId"] for it in told["data"]["transactions"]} == {"b-2"}


async def test_so_it_stands_in_a_book(counter: Counter) -> None:
    await counter.play("bet", "b-1", amount=100)
    await counter.play("rollback", "b-1", referenceId="b-1")
    since, until = (counter.clock.now() + timedelta(hours=hours) for hours in (-1, 1))
    period = {"from": since.isoformat(), "to": until.isoformat()}
    lines = [{"id": "b-1", "amount": 100, "currency": "KZT"}] * 3
    found = []
    for count in (1, 2, 3):
        body = {"items": lines[:count], "period": period, "source": "game"}
        _, told = await counter.post("/v1/reconcile", body, scope="read")
        found.append([(one["id"], one["difference"]) for one in told["data"]["differences"]])
    assert found == [[("b-1", "missing_there")], [], [("b-1", "missing_here")]]
