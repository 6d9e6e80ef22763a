"""A held win that a person has taken is a win taken back, to its platform and in its round."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app import wallet
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database
from app.wallet.contract import Refused
from app.wallet.sweeps import grant_bonus
from tests import invariants
from tests.wallet.counter import Counter, Json, opened
from tests.wallet.locking import blocked, locked
from tests.wallet.test_free_rounds import grant
from tests.wallet.test_held_wins import decided, held, purse

# Of each round: what it says was won, and what its operations say.
SUMS = """
SELECT r.round_id, r.win_minor AS said, coalesce((
         SELECT sum(CASE o.type WHEN 'win' THEN o.amount_minor WHEN 'betwin' THEN o.win_minor
                                WHEN 'reverse_win' THEN -o.amount_minor ELSE 0 END)
           FROM wallet_operation o
          WHERE o.site_id = r.site_id AND o.wallet_id = r.wallet_id AND o.round_id = r.round_id AND o.applied
            AND o.provider_id = r.provider_id AND o.sequence BETWEEN r.first_sequence AND r.last_sequence
       ), 0)::bigint AS won
  FROM wallet_round r
"""


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """A player with 1000 and a bet of 100, at a site that holds wins above 500."""
    async with opened(database, clock) as made:
        await made.decide(max_win="500")
        await made.player(cash=1000)
        await made.play("bet", "b-1", amount=100)
        yield made
        for row in await made.rows(SUMS):
            assert row.said == row.won, row
    await invariants.hold(database)


async def take(counter: Counter) -> None:
    await decided(counter, wallet.take_back)


async def history(counter: Counter, **wanted: object) -> list[Json]:
    await counter.settled()
    _, told = await counter.get("/v1/transaction/list", playerExternalId="aigerim", **wanted)
    return list(told["data"]["transactions"])


async def one_round(counter: Counter, name: str = "r-1") -> Json:
    asked = {"playerExternalId": "aigerim", "providerId": "acme", "roundId": name}
    return dict((await counter.get("/v1/transaction/round", **asked))[1]["data"])


async def won_in(counter: Counter, name: str = "r-1") -> int:
    return int((await one_round(counter, name))["win"])


async def rolled_back(counter: Counter, win: str = "w-1", key: str = "") -> tuple[str, bool, int]:
    """What a platform hears that rolls a win back, whether anything was done, and the balance."""
    told = await counter.play("rollback", key, referenceId=win)
    return told["code"], told["data"]["applied"], told["data"]["balance"]


async def win_half_in_bonus(counter: Counter) -> None:
    """Of 1000 won, 600 are cash and held, 400 are bonus; beside them 900 in cash."""
    await counter.decide(stake_order="bonus_first")
    await grant_bonus(counter.pipes, counter.site_id, "aigerim", Money(40, "KZT"), "gift")
    await counter.play("bet", "b-2", amount=100, roundId="r-2")
    await counter.deposit(60)
    await counter.play("win", "w-1", referenceId="b-2", amount=1000, roundId="r-2")
    assert [one.minor for one in await held(counter)] == [600]


async def test_what_was_taken_is_not_rolled_back_besides(counter: Counter) -> None:
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    await take(counter)
    await counter.decide(reverse_wins="true")
    for key in ("x-1", "x-1", "x-2"):
        assert await rolled_back(counter, key=key) == ("ALREADY_ROLLED_BACK", False, 900)
    assert await purse(counter) == (900, 0)
    assert (await counter.deposit(7))["data"]["balance"] == 907


async def test_a_site_where_no_win_is_rolled_back_says_so_of_it_too(counter: Counter) -> None:
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    await take(counter)
    assert await rolled_back(counter) == ("ALREADY_ROLLED_BACK", False, 900)


async def test_a_person_may_take_what_its_platform_might_take(counter: Counter) -> None:
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    await counter.decide(reverse_wins="true")
    await take(counter)
    assert await rolled_back(counter) == ("ALREADY_ROLLED_BACK", False, 900)


async def test_its_round_counts_it_no_more(counter: Counter) -> None:
    await counter.play("win", "w-0", referenceId="b-1", amount=30)
    await counter.play("win", "w-1", referenceId="b-1", amount=600, isRoundFinished=True)
    assert await won_in(counter) == 630
    await take(counter)
    found = await one_round(counter)
    assert (found["win"], found["net"], found["state"]) == (30, -70, "completed")
    assert [row["type"] for row in found["operations"]] == ["bet", "win", "win", "reverse_win"]


async def test_its_history_tells_what_became_of_it(counter: Counter) -> None:
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    [one] = await held(counter)
    await take(counter)
    *_, won, set_aside, back, taken = await history(counter)
    assert [(row["type"], row["amount"], row["balanceAfter"]) for row in (won, set_aside, back, taken)] == [
        ("win", 600, 1500),
        ("hold", 600, 900),
        ("cashier", 600, 1500),
        ("reverse_win", 600, 900),
    ]
    assert [row["sequence"] for row in (won, set_aside, back, taken)] == [3, 4, 5, 6]
    assert (won["reversed"], taken["referenceId"], taken["roundId"]) == (True, "w-1", "r-1")
    assert (taken["cashPart"], taken["bonusPart"], taken["debtPart"], taken["code"]) == (600, 0, 0, "OK")
    assert (taken["source"], taken["providerId"], taken["requestId"]) == (
        "game",
        "acme",
        f"held-{one.number}",
    )
    # The wallet has left its account as it is: nothing is adopted besides.
    [left] = await counter.rows("""
        SELECT w.cash_version, w.sequence, w.balance_minor, a.version, a.balance_minor AS cash FROM wallet w
          JOIN account a ON a.site_id = w.site_id AND a.account_id = w.cash_account_id""")
    assert (left.cash_version, left.sequence, left.balance_minor) == (left.version, 6, left.cash)
    # Under an id that no platform may use.
    assert taken["externalId"] == f"sweeper-{won['transactionId']}"
    assert (await counter.get(f"/v1/transaction/by-reference/{taken['externalId']}"))[0] == 200


async def test_the_day_closes_with_it(counter: Counter) -> None:
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    await take(counter)
    async with counter.pipes.database.reading() as reader:
        days = await wallet.closing(reader, counter.site_id, counter.clock.now().date())
    [day] = [one for one in days if one.currency == "KZT"]
    assert (day.wins, day.cashier, day.reversed_wins, day.closing) == (600, 0, 600, 900)
    assert day.is_balanced


async def test_a_win_without_a_bet_is_taken_too(counter: Counter) -> None:
    await counter.decide(reverse_wins="true")
    await counter.play("win", "w-1", kind="jackpot", amount=600)
    await take(counter)
    assert await rolled_back(counter) == ("ALREADY_ROLLED_BACK", False, 900)
    # It was never in a round.
    assert await won_in(counter) == 0


async def test_of_a_bet_and_its_win_in_one_the_win_is_taken_and_the_bet_stands(counter: Counter) -> None:
    await counter.decide(reverse_wins="true")
    await counter.play("betwin", "p-1", betAmount=50, winAmount=700)
    await take(counter)
    assert (await purse(counter), await won_in(counter)) == ((850, 0), 0)
    # It can be rolled back no more than before, and what follows of it is won.
    assert await rolled_back(counter, "p-1") == ("ALREADY_SETTLED", False, 850)
    assert (await counter.play("win", referenceId="p-1", amount=5))["data"]["balance"] == 855
    assert await won_in(counter) == 5
    [taken] = await history(counter, type="reverse_win")
    assert (taken["amount"], taken["referenceId"], taken["source"]) == (700, "p-1", "desk")
    [both] = await history(counter, type="betwin")
    assert "reversed" not in both


async def test_of_a_win_held_in_part_its_platform_takes_the_other_part(counter: Counter) -> None:
    await win_half_in_bonus(counter)
    await take(counter)
    assert (await purse(counter), await won_in(counter, "r-2")) == ((900, 0), 400)
    await counter.decide(reverse_wins="true")
    told = await counter.play("rollback", "x-1", referenceId="w-1")
    parts = [told["data"][name] for name in ("amount", "cashPart", "bonusPart", "debtPart", "balance")]
    assert (told["code"], told["data"]["type"], parts) == ("OK", "reverse_win", [400, 0, 400, 0, 900])
    assert await won_in(counter, "r-2") == 0
    assert await rolled_back(counter, key="x-2") == ("ALREADY_ROLLED_BACK", False, 900)
    assert await purse(counter) == (900, 0)


async def test_of_what_is_gone_of_it_no_more_is_owed_than_that_part(counter: Counter) -> None:
    await win_half_in_bonus(counter)
    await take(counter)
    await counter.play("bet", amount=400, roundId="r-3")
    await counter.transfer("withdraw", 850)
    await counter.decide(reverse_wins="true", short_reversal="refuse")
    # What is there is less than that part; then it is enough.
    assert (await rolled_back(counter, key="x-1"))[0] == "INSUFFICIENT_FUNDS"
    await counter.decide(short_reversal="debt")
    data = (await counter.play("rollback", "x-2", referenceId="w-1"))["data"]
    assert [data[name] for name in ("amount", "cashPart", "bonusPart", "debtPart")] == [400, 50, 0, 350]
    assert (data["debt"], data["balance"]) == (350, 0)


async def test_a_win_taken_in_part_stands_where_no_win_is_rolled_back(counter: Counter) -> None:
    await win_half_in_bonus(counter)
    await take(counter)
    told = await counter.play("rollback", referenceId="w-1")
    assert (told["code"], told["data"]["applied"], told["data"]["balance"]) == (
        "ALREADY_SETTLED",
        False,
        1300,
    )


@pytest.mark.parametrize("between", [0, 1, 2])
async def test_the_rest_is_rolled_back_once_by_one_batch(counter: Counter, between: int) -> None:
    """In one part of a batch, and in two."""
    await win_half_in_bonus(counter)
    await take(counter)
    await counter.decide(reverse_wins="true")
    who = {"playerExternalId": "aigerim", "currency": "KZT", "providerId": "acme", "gameCode": "aviator"}
    again = {"type": "win", "transactionId": "w-1", "referenceId": "b-2", "amount": 1000, "roundId": "r-2"}
    items: list[Json] = [
        {**who, **again},
        *[{"type": "rollback", "transactionId": "x-1", "referenceId": "w-1", "playerExternalId": "aigerim"}],
        *[{**who, **again}] * between,
        *[{"type": "rollback", "transactionId": "x-2", "referenceId": "w-1", "playerExternalId": "aigerim"}],
    ]
    _, told = await counter.post("/v1/game/batch", {"operations": items}, scope="play")
    codes = [one["code"] for one in told["data"]["results"]]
    assert codes == ["OK", "OK", *["OK"] * between, "ALREADY_ROLLED_BACK"]
    assert (await purse(counter), await won_in(counter, "r-2")) == ((900, 0), 0)


async def test_the_rest_still_stands_when_its_first_rollback_was_refused(counter: Counter) -> None:
    """In an earlier part of the same batch."""
    await win_half_in_bonus(counter)
    await take(counter)
    await counter.play("bet", amount=400, roundId="r-3")
    await counter.transfer("withdraw", 900)
    await counter.decide(reverse_wins="true", short_reversal="refuse", stake_order="cash_first")
    who = {"playerExternalId": "aigerim", "currency": "KZT", "providerId": "acme", "kind": "promo"}
    back = {"type": "rollback", "playerExternalId": "aigerim", "referenceId": "w-1"}
    items: list[Json] = [
        {**back, "transactionId": "x-1"},
        *[{"type": "win", "transactionId": f"p-{part}", "amount": 250, **who} for part in (1, 2)],
        {**back, "transactionId": "x-2"},
        {**back, "transactionId": "x-3"},
    ]
    _, told = await counter.post("/v1/game/batch", {"operations": items}, scope="play")
    codes = [one["code"] for one in told["data"]["results"]]
    assert codes == ["INSUFFICIENT_FUNDS", "OK", "OK", "OK", "ALREADY_ROLLED_BACK"]
    assert (await purse(counter), await won_in(counter, "r-2")) == ((100, 0), 0)


async def test_a_spins_win_is_taken_out_of_its_campaign(counter: Counter) -> None:
    await grant(counter, spins=3, max_win=100)
    for number, amount in enumerate((60, 70)):
        await counter.play("bet", f"f-{number}", amount=0, freeRoundId="gift", roundId="r-2")
        await counter.play("win", f"w-{number}", referenceId=f"f-{number}", amount=amount, roundId="r-2")
    await take(counter)
    async with counter.pipes.database.reading() as reader:
        [one] = await wallet.free_rounds_of(reader, counter.site_id, "gift")
    assert (one.grant.used, one.grant.won, one.grant.paid) == (2, 60, 60)
    assert (await purse(counter), await won_in(counter, "r-2")) == ((960, 0), 60)


async def test_what_is_taken_pays_no_debt(counter: Counter) -> None:
    await counter.decide(reverse_wins="true")
    await counter.play("win", "w-0", referenceId="b-1", amount=400)
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    await counter.transfer("withdraw", 1300)
    assert (await counter.play("rollback", referenceId="w-0"))["data"]["debt"] == 400
    await take(counter)
    data = (await counter.deposit(500))["data"]
    assert (data["balanceBefore"], data["balance"]) == (0, 100)


async def test_what_another_room_has_moved_stands_before_it(counter: Counter) -> None:
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    await counter.play("win", "w-2", referenceId="b-1", amount=700)
    first, second = await held(counter)
    async with counter.pipes.database.transaction() as tx:
        await wallet.let_go(tx, counter.site_id, first.number, "fair", at=counter.clock.now())
    async with counter.pipes.database.transaction() as tx:
        await wallet.take_back(tx, counter.site_id, second.number, "unfair", at=counter.clock.now())
    rows = (await history(counter))[-3:]
    assert [(row["type"], row["amount"], row["balanceAfter"]) for row in rows] == [
        ("cashier", 600, 1500),
        ("cashier", 700, 2200),
        ("reverse_win", 700, 1500),
    ]


@pytest.mark.parametrize("scope", ["player", "provider", "round"])
async def test_wherever_ids_are_unique(database: Database, clock: MovableClock, scope: str) -> None:
    async with opened(database, clock) as counter:
        await counter.decide(max_win="500", id_scope=scope, reverse_wins="true")
        await counter.player(cash=1000)
        await counter.play("bet", "b-1", amount=100)
        await counter.play("win", "w-1", referenceId="b-1", amount=600)
        await take(counter)
        told = await counter.play("rollback", referenceId="w-1", roundId="r-1", providerId="acme")
        assert (told["code"], told["data"]["balance"]) == ("ALREADY_ROLLED_BACK", 900)


@pytest.mark.parametrize("first", ["take", "rollback"])
async def test_of_a_person_and_a_platform_at_once_one_takes_it(
    counter: Counter, clone_url: str, first: str
) -> None:
    """Both have begun before either can end: who came first to the wallet has it."""
    await counter.decide(reverse_wins="true")
    await counter.play("win", "w-1", referenceId="b-1", amount=600)
    [one] = await held(counter)

    async def person() -> str:
        try:
            async with counter.pipes.database.transaction() as tx:
                await wallet.take_back(tx, counter.site_id, one.number, "unfair", at=counter.clock.now())
        except Refused as refusal:
            return str(refusal)
        return "OK"

    async def platform() -> str:
        return str((await counter.play("rollback", referenceId="w-1"))["code"])

    deeds = {"take": person, "rollback": platform}
    other = next(name for name in deeds if name != first)
    async with locked(clone_url, "aigerim"):
        running = []
        for sessions, name in enumerate((first, other), 1):
            running.append(asyncio.create_task(deeds[name]()))
            await blocked(clone_url, sessions)
    won, lost = await asyncio.gather(*running)
    assert won == "OK"
    assert "ALREADY_ROLLED_BACK" in lost if first == "take" else "taken this win back already" in lost
    assert await purse(counter) == ((900, 0) if first == "take" else (300, 600))
    assert (await won_in(counter), len(await history(counter, type="reverse_win"))) == (0, 1)
    if first == "rollback":
        with pytest.raises(Refused, match="already"):
            await take(counter)
        await decided(counter, wallet.let_go)
        assert await purse(counter) == (900, 0)
