"""Free rounds that the house grants: counted, refused when there are none, their wins paid as decided."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app import wallet
from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.wallet.contract import Refused
from app.wallet.terms import Kind
from tests import invariants
from tests.wallet.counter import Counter, Json, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """A player without money who has two free rounds."""
    async with opened(database, clock) as made:
        await made.player()
        await grant(made)
        yield made
    await invariants.hold(database)


async def grant(counter: Counter, campaign: str = "gift", spins: int = 2, **more: object) -> bool:
    at = counter.clock.now()
    facts = {"player": "aigerim", "currency": "KZT", "provider": "acme", "game": "", **more}
    wish = wallet.FreeRoundsWish(campaign=campaign, spins=spins, ends_at=at + timedelta(days=1), **facts)  # type: ignore[arg-type]
    async with counter.pipes.database.transaction() as tx:
        return await wallet.grant_free_rounds(tx, counter.site_id, wish, at=at)


async def cancel(counter: Counter) -> int:
    async with counter.pipes.database.transaction() as tx:
        return await wallet.cancel_free_rounds(tx, counter.site_id, "gift", at=counter.clock.now())


async def stands(counter: Counter) -> tuple[int, int, int]:
    """Used, won, paid."""
    async with counter.pipes.database.reading() as reader:
        [one] = await wallet.free_rounds_of(reader, counter.site_id, "gift")
    return one.grant.used, one.grant.won, one.grant.paid


async def spin(counter: Counter, key: str = "f-1", **more: object) -> Json:
    return await counter.play("bet", key, amount=0, freeRoundId="gift", roundId=f"r-{key}", **more)


async def test_a_spin_moves_no_money_and_is_counted_once(counter: Counter) -> None:
    for _ in range(2):
        data = (await spin(counter))["data"]
        assert (data["amount"], data["balanceAfter"], data["sequence"]) == (0, 0, 1)
    assert await stands(counter) == (1, 0, 0)


async def test_there_are_no_more_spins_than_were_granted(counter: Counter) -> None:
    answers = await asyncio.gather(*(spin(counter, f"f-{number}") for number in range(20)))
    assert sorted(one["code"] for one in answers) == ["LIMIT_EXCEEDED"] * 18 + ["OK"] * 2
    assert await stands(counter) == (2, 0, 0)
    refused = next(one for one in answers if one["code"] != "OK")
    assert (await spin(counter, refused["data"]["externalId"]))["data"]["duplicate"] is True


@pytest.mark.parametrize(
    "odd", [{"freeRoundId": "other"}, {"providerId": "other"}, {"playerExternalId": "bolat"}]
)
async def test_what_was_not_granted_is_refused_and_forgotten(counter: Counter, odd: Json) -> None:
    await counter.player("bolat")
    body = {"amount": 0, "freeRoundId": "gift", **odd}
    refused = await counter.play("bet", "f-1", **body)
    assert (refused["code"], refused["data"]["field"]) == ("VALIDATION", "freeRoundId")
    won = await counter.play("win", "w-1", kind="free_round", **(body | {"amount": 5}))
    assert (won["code"], won["data"]["field"]) == ("VALIDATION", "freeRoundId")
    assert await stands(counter) == (0, 0, 0)
    assert (await spin(counter))["code"] == "OK"


async def test_a_grant_for_one_game_is_for_no_other(counter: Counter) -> None:
    await grant(counter, "one", game="dice")
    body = {"amount": 0, "freeRoundId": "one"}
    assert (await counter.play("bet", "f-1", **body))["code"] == "VALIDATION"
    assert (await counter.play("bet", "f-1", **body, gameCode="dice"))["code"] == "OK"


async def test_spins_end_with_their_time(counter: Counter) -> None:
    counter.clock.advance(86_400 - 1)
    assert (await spin(counter))["code"] == "OK"
    counter.clock.advance(1)
    assert (await spin(counter, "f-2"))["code"] == "LIMIT_EXCEEDED"
    # What was won by a spin that was taken in time reaches the player.
    won = await counter.play("win", referenceId="f-1", amount=40, roundId="r-f-1")
    assert (won["code"], won["data"]["balance"]) == ("OK", 40)


async def test_spins_of_sessions_open_before_the_cancelling_still_count(counter: Counter) -> None:
    body = {"playerExternalId": "aigerim", "currency": "KZT", "gameCode": "aviator", "providerId": "acme"}
    session = (await counter.post("/v1/game/launch", body, scope="play"))[1]["data"]["sessionId"]
    counter.clock.advance(1)
    assert await cancel(counter) == 1
    assert await cancel(counter) == 0
    await counter.deposit(5)
    late = (await counter.post("/v1/game/launch", body, scope="play"))[1]["data"]["sessionId"]
    assert (await spin(counter, "f-1"))["code"] == "LIMIT_EXCEEDED"
    assert (await spin(counter, "f-2", sessionId=late))["code"] == "LIMIT_EXCEEDED"
    assert (await spin(counter, "f-3", sessionId=session))["code"] == "OK"
    assert await stands(counter) == (1, 0, 0)


async def test_a_spin_rolled_back_is_there_again(counter: Counter) -> None:
    await spin(counter, "f-1")
    await spin(counter, "f-2")
    for _ in range(2):
        assert (await counter.play("rollback", "x-1", referenceId="f-1"))["data"]["amount"] == 0
    assert await stands(counter) == (1, 0, 0)
    assert (await counter.play("rollback", "x-2", referenceId="f-1"))["code"] == "ALREADY_ROLLED_BACK"
    assert await stands(counter) == (1, 0, 0)
    assert (await spin(counter, "f-3"))["code"] == "OK"
    assert (await spin(counter, "f-4"))["code"] == "LIMIT_EXCEEDED"


async def test_each_win_is_paid_by_itself(counter: Counter) -> None:
    await spin(counter)
    won = (await counter.play("win", referenceId="f-1", amount=70, roundId="r-f-1"))["data"]
    assert (won["amount"], won["cashPart"], won["balanceAfter"]) == (70, 70, 70)
    assert await stands(counter) == (1, 70, 70)
    more = await counter.play("betwin", "f-2", betAmount=0, winAmount=5, freeRoundId="gift", roundId="r-2")
    assert more["data"]["balanceAfter"] == 75
    own = await counter.play("win", kind="free_round", freeRoundId="gift", amount=25)
    assert own["data"]["balanceAfter"] == 100
    assert await stands(counter) == (2, 100, 100)


async def test_wins_are_counted_and_paid_together(counter: Counter) -> None:
    await counter.decide("acme", free_wins="together")
    await spin(counter)
    won = (await counter.play("win", referenceId="f-1", amount=70, roundId="r-f-1", isRoundFinished=True))[
        "data"
    ]
    assert (won["amount"], won["cashPart"], won["balanceAfter"], won["applied"]) == (70, 0, 0, True)
    more = await counter.play("betwin", "f-2", betAmount=0, winAmount=5, freeRoundId="gift", roundId="r-2")
    assert (more["data"]["winAmount"], more["data"]["balanceAfter"]) == (5, 0)
    assert await stands(counter) == (2, 75, 0)
    for _ in range(2):
        paid = await counter.play("win", "w-all", kind="free_round", freeRoundId="gift", amount=75)
        assert (paid["data"]["balanceAfter"], paid["data"]["cashPart"]) == (75, 75)
    assert await stands(counter) == (2, 75, 75)


@pytest.mark.parametrize(("pays", "paid"), [("each", 70), ("together", 0)])
async def test_a_win_of_a_spin_that_is_taken_back_is_not_counted(
    counter: Counter, pays: str, paid: int
) -> None:
    await counter.decide(reverse_wins="true", free_wins=pays)
    await spin(counter)
    await counter.play("win", "w-1", referenceId="f-1", amount=70, roundId="r-f-1")
    assert await stands(counter) == (1, 70, paid)
    for _ in range(2):
        data = (await counter.play("rollback", "x-1", referenceId="w-1"))["data"]
        assert (data["type"], data["amount"], data["balance"]) == ("reverse_win", paid, 0)
    assert await stands(counter) == (1, 0, 0)


async def test_a_payment_and_then_its_win_are_taken_back(counter: Counter) -> None:
    await counter.decide(reverse_wins="true", free_wins="together")
    await spin(counter)
    await counter.play("win", "w-1", referenceId="f-1", amount=70, roundId="r-f-1")
    await counter.play("win", "w-all", kind="free_round", freeRoundId="gift", amount=70)
    assert (await counter.play("rollback", referenceId="w-all"))["data"]["balance"] == 0
    assert await stands(counter) == (1, 70, 0)
    assert (await counter.play("rollback", referenceId="w-1"))["code"] == "OK"
    assert await stands(counter) == (1, 0, 0)


async def test_a_payment_above_the_wins_that_is_taken_back_leaves_nothing_behind(counter: Counter) -> None:
    await counter.decide(reverse_wins="true", free_wins="together")
    await spin(counter)
    await counter.play("win", "w-1", referenceId="f-1", amount=70, roundId="r-f-1")
    await counter.play("win", "w-all", kind="free_round", freeRoundId="gift", amount=7_000)
    assert await stands(counter) == (1, 70, 7_000)
    assert (await counter.play("rollback", referenceId="w-all"))["data"]["balance"] == 0
    assert await stands(counter) == (1, 70, 0)


@pytest.mark.parametrize("pays", ["each", "together"])
async def test_a_win_that_is_none_of_a_campaign_is_not_counted_in_it(counter: Counter, pays: str) -> None:
    """Its bet decides, or its kind; not the campaign that it names beside (rules 34, 59)."""
    await counter.decide(reverse_wins="true", free_wins=pays)
    # It has won something, which what is taken back must not make less.
    await spin(counter)
    await counter.play("win", "w-0", referenceId="f-1", amount=70, roundId="r-f-1")
    await counter.play("win", "w-all", kind="free_round", freeRoundId="gift", amount=70)
    stood = await stands(counter)
    balance = (await counter.deposit(10))["data"]["balance"]
    await counter.play("bet", "b-1", amount=10)
    await counter.play("win", "w-1", referenceId="b-1", amount=30, freeRoundId="gift")
    await counter.play("win", "w-2", kind="jackpot", amount=5, freeRoundId="gift")
    won = await counter.play("win", "w-3", kind="promo", amount=2, freeRoundId="gift")
    assert (won["data"]["balance"], await stands(counter)) == (balance + 27, stood)
    for key in ("w-1", "w-2", "w-3"):
        assert (await counter.play("rollback", referenceId=key))["code"] == "OK"
    assert await stands(counter) == stood


async def test_what_was_counted_otherwise_is_taken_back_all_the_same(counter: Counter) -> None:
    """The site decides anew in between."""
    await counter.decide(reverse_wins="true", free_wins="together")
    await spin(counter)
    await counter.play("win", "w-1", referenceId="f-1", amount=70, roundId="r-f-1")
    await counter.play("win", "w-all", kind="free_round", freeRoundId="gift", amount=70)
    await counter.decide(free_wins="each")
    for key in ("w-all", "w-1"):
        assert (await counter.play("rollback", referenceId=key))["data"]["balance"] == 0
    assert await stands(counter) == (1, 0, 0)


async def test_a_platform_that_counts_alone_pays_once(counter: Counter) -> None:
    await counter.decide(free_rounds="platform", free_wins="together")
    await spin(counter)
    won = await counter.play("win", referenceId="f-1", amount=70, roundId="r-f-1")
    assert (won["data"]["applied"], won["data"]["balanceAfter"]) == (True, 0)
    paid = await counter.play("win", kind="free_round", freeRoundId="gift", amount=70)
    assert paid["data"]["balanceAfter"] == 70


async def test_a_batch_names_the_item_whose_campaign_is_wrong(counter: Counter) -> None:
    """As it does where an item cannot even be read."""
    who = {"playerExternalId": "aigerim", "currency": "KZT", "providerId": "acme", "gameCode": "aviator"}
    free = {"type": "bet", "roundId": "r-1", "amount": 0, **who}
    items = [{"transactionId": f"f-{name}", "freeRoundId": name, **free} for name in ("gift", "none")]
    _, told = await counter.post("/v1/game/batch", {"operations": items}, scope="play")
    assert [one["data"].get("field") for one in told["data"]["results"]] == [None, "operations.1.freeRoundId"]


async def test_a_batch_counts_what_its_own_operations_took(counter: Counter) -> None:
    """In parts of three; the rollback names a spin of an earlier part."""
    who = {"playerExternalId": "aigerim", "providerId": "acme", "gameCode": "aviator"}
    free = {"type": "bet", "currency": "KZT", "amount": 0, "freeRoundId": "gift", **who}
    items: list[Json] = [
        *({"transactionId": f"f-{number}", "roundId": f"r-{number}", **free} for number in range(4)),
        {"type": "rollback", "transactionId": "x-1", "referenceId": "f-1", **who},
        {"transactionId": "f-5", "roundId": "r-5", **free},
        {"transactionId": "f-6", "roundId": "r-6", **free},
    ]
    _, told = await counter.post("/v1/game/batch", {"operations": items}, scope="play")
    codes = [one["code"] for one in told["data"]["results"]]
    full = "LIMIT_EXCEEDED"
    assert codes == ["OK", "OK", full, full, "OK", "OK", full]
    assert await stands(counter) == (2, 0, 0)
    undone = {"operations": [*items[4:5], {**items[0], "transactionId": "f-9", "freeRoundId": "none"}]}
    await counter.post("/v1/game/batch", {**undone, "allOrNone": True}, scope="play")
    assert await stands(counter) == (2, 0, 0)


async def test_free_rounds_alone_launch_their_game(counter: Counter) -> None:
    body = {"playerExternalId": "aigerim", "currency": "KZT", "gameCode": "aviator", "providerId": "acme"}

    async def launched(**more: str) -> str:
        return str((await counter.post("/v1/game/launch", body | more, scope="play"))[1]["code"])

    assert await launched() == "OK"
    assert await launched(providerId="other") == "ZERO_BALANCE"
    await spin(counter, "f-1", isRoundFinished=True)
    assert await launched() == "OK"
    await spin(counter, "f-2", isRoundFinished=True)
    assert await launched() == "ZERO_BALANCE"


async def test_a_platform_that_counts_alone_is_believed(counter: Counter) -> None:
    await counter.decide("other", free_rounds="platform")
    free: Json = {"amount": 0, "freeRoundId": "theirs", "providerId": "other"}
    assert (await counter.play("bet", "f-1", **free))["code"] == "OK"
    won = await counter.play("win", kind="free_round", **(free | {"amount": 9}))
    assert won["data"]["balanceAfter"] == 9
    assert await stands(counter) == (0, 0, 0)


async def test_the_same_is_granted_once(counter: Counter) -> None:
    assert await grant(counter) is False
    with pytest.raises(Refused) as refused:
        await grant(counter, spins=3)
    assert refused.value.code == "ID_CONFLICT"
    assert await stands(counter) == (0, 0, 0)


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"player": "nobody"}, "PLAYER_NOT_FOUND"),
        ({"currency": "USD"}, "CURRENCY_MISMATCH"),
        ({"campaign": ""}, "VALIDATION"),
        ({"spins": 0}, "VALIDATION"),
        ({"provider": "a\nb"}, "VALIDATION"),
        ({"max_win": -1}, "VALIDATION"),
    ],
)
async def test_what_cannot_be_granted(counter: Counter, wish: Json, code: str) -> None:
    with pytest.raises(Refused) as refused:
        await grant(counter, **{"campaign": "new", **wish})
    assert refused.value.code == code


@pytest.mark.parametrize("kind", list(Kind))
async def test_no_campaign_has_the_name_of_a_kind_of_win(counter: Counter, kind: Kind) -> None:
    with pytest.raises(Refused, match="these name kinds of wins") as refused:
        await grant(counter, kind.value)
    assert (refused.value.code, refused.value.data) == ("VALIDATION", {"field": "campaign"})
    [kept] = await counter.rows("SELECT campaign_id FROM free_round")
    assert kept.campaign_id == "gift"


async def test_a_campaign_that_is_not_there_is_not_cancelled(counter: Counter) -> None:
    async with counter.pipes.database.transaction() as tx:
        with pytest.raises(Refused):
            await wallet.cancel_free_rounds(tx, counter.site_id, "none", at=counter.clock.now())
