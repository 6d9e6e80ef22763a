"""Many hands on one wallet at once: money is never made, lost, or taken twice."""

import asyncio
import itertools
import os
from collections import Counter as Tally
from collections.abc import AsyncIterator, Awaitable, Iterator
from random import Random

import httpx
import pytest

from app import ledger
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database
from tests import invariants
from tests.processes.wallet_machines import Machines, machines
from tests.wallet.counter import Counter, Json, opened

IS_NIGHT = os.environ.get("CASHIER_NIGHTLY") == "1"
TIMES = 500 if IS_NIGHT else 40
HANDS = 50
# All else of an answer is the same whenever it is repeated.
NOW = {"duplicate", "balance", "cash", "bonus"}


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.player()
        yield made
        await check_chain(made)
    await invariants.hold(database)


async def check_chain(counter: Counter, player: str = "aigerim") -> list[Json]:
    """The numbers have no gap, each operation begins where the one before it ended, nothing is below zero."""
    await counter.settled()
    found: list[Json] = []
    asked: dict[str, object] = {"playerExternalId": player, "currency": "KZT", "limit": 1000}
    while True:
        _, told = await counter.get("/v1/transaction/list", **asked)
        found += told["data"]["transactions"]
        if told["data"]["nextCursor"] is None:
            break
        asked["cursor"] = told["data"]["nextCursor"]
    applied = sorted((row for row in found if row["applied"]), key=lambda row: int(row["sequence"]))
    assert [row["sequence"] for row in applied] == list(range(1, len(applied) + 1))
    ends = [0, *(row["balanceAfter"] for row in applied)]
    assert [row["balanceBefore"] for row in applied] == ends[:-1]
    assert min(ends) >= 0
    assert await balance(counter, player) == ends[-1]
    return applied


async def balance(counter: Counter, player: str = "aigerim") -> int:
    asked = {"playerExternalId": player, "currency": "KZT"}
    return int((await counter.get("/v1/player/wallet/balance", **asked))[1]["data"]["balance"])


async def at_once(*calls: Awaitable[Json]) -> list[Json]:
    """All of them, started together in an order of chance that is the same in every run."""
    order = list(enumerate(calls))
    Random(len(calls)).shuffle(order)
    told = await asyncio.gather(*(call for _, call in order))
    return [
        answer for _, answer in sorted(zip((at for at, _ in order), told, strict=True), key=lambda it: it[0])
    ]


async def race(chance: Random, *calls: Awaitable[Json]) -> list[Json]:
    """All of them, each started within the few milliseconds that one takes, so that every order happens."""

    async def late(call: Awaitable[Json]) -> Json:
        await asyncio.sleep(chance.uniform(0, 0.012))
        return await call

    return list(await asyncio.gather(*(late(call) for call in calls)))


def codes(answers: list[Json]) -> Tally[str]:
    return Tally(answer["code"] for answer in answers)


async def test_the_whole_balance_leaves_once(counter: Counter) -> None:
    await counter.deposit(1000)
    answers = await at_once(*(counter.transfer("withdraw", 1000) for _ in range(HANDS)))
    assert codes(answers) == {"OK": 1, "INSUFFICIENT_FUNDS": HANDS - 1}
    assert await balance(counter) == 0


async def test_all_of_it_leaves_once(counter: Counter) -> None:
    await counter.deposit(777)
    path, body = "/v1/player/wallet/withdraw", {"playerExternalId": "aigerim", "currency": "KZT", "all": True}
    asked = (counter.post(path, body | {"transferId": f"all-{number}"}) for number in range(HANDS))
    answers = [told for _, told in await asyncio.gather(*asked)]
    assert sorted(answer["data"]["amount"] for answer in answers) == [0] * (HANDS - 1) + [777]
    assert Tally(answer["data"]["applied"] for answer in answers) == {True: 1, False: HANDS - 1}


@pytest.mark.parametrize("kind", ["deposit", "withdraw", "bet", "win", "betwin", "rollback"])
async def test_equal_requests_at_once_have_one_effect_and_one_answer(counter: Counter, kind: str) -> None:
    await counter.deposit(1000)
    await counter.play("bet", "b-1", amount=100)
    more: dict[str, Json] = {
        "bet": {"amount": 60},
        "win": {"amount": 60, "referenceId": "b-1"},
        "betwin": {"betAmount": 60, "winAmount": 7},
        "rollback": {"referenceId": "b-1"},
    }
    if kind in more:
        answers = await at_once(*(counter.play(kind, "same", **more[kind]) for _ in range(HANDS)))
    else:
        answers = await at_once(*(counter.transfer(kind, 60, "same") for _ in range(HANDS)))
    assert codes(answers) == {"OK": HANDS}
    assert Tally(answer["data"]["duplicate"] for answer in answers) == {False: 1, True: HANDS - 1}
    told = [{name: value for name, value in it["data"].items() if name not in NOW} for it in answers]
    assert all(it == told[0] for it in told)
    assert len(await check_chain(counter)) == 3


async def test_one_id_with_different_contents_at_once_is_one_of_them(counter: Counter) -> None:
    answers = await at_once(*(counter.deposit(amount, "same") for amount in range(1, HANDS + 1)))
    assert codes(answers) == {"OK": 1, "ID_CONFLICT": HANDS - 1}
    [done] = [answer for answer in answers if answer["success"]]
    assert await balance(counter) == done["data"]["amount"]


async def test_of_a_win_and_a_rollback_at_once_exactly_one_is_done(counter: Counter) -> None:
    await counter.deposit(10 * TIMES)
    money, seen, chance = 10 * TIMES, Tally[str](), Random(1)
    for number in range(TIMES):
        of_this = {"roundId": f"r-{number}"}
        await counter.play("bet", f"b-{number}", amount=10, **of_this)
        win = counter.play("win", f"w-{number}", amount=25, referenceId=f"b-{number}", **of_this)
        undo = counter.play("rollback", f"x-{number}", referenceId=f"b-{number}", **of_this)
        told_win, told_undo = await race(chance, win, undo)
        ended = (told_win["code"], told_undo["code"])
        assert ended in {("OK", "ALREADY_SETTLED"), ("ROLLED_BACK", "OK")}
        money += 15 if told_win["success"] else 0
        seen[told_win["code"]] += 1
    assert await balance(counter) == money
    # Else only one order was tried.
    assert len(seen) == 2, seen


async def test_several_rollbacks_of_a_bet_at_once_refund_it_once(counter: Counter) -> None:
    await counter.deposit(100)
    await counter.play("bet", "b-1", amount=100)
    answers = await at_once(*(counter.play("rollback", referenceId="b-1") for _ in range(HANDS)))
    assert codes(answers) == {"OK": 1, "ALREADY_ROLLED_BACK": HANDS - 1}
    assert await balance(counter) == 100


async def test_bets_at_once_are_accepted_while_they_fit(counter: Counter) -> None:
    await counter.deposit(1000)
    asked = (counter.play("bet", amount=37, roundId=f"r-{number}") for number in range(HANDS))
    answers = await at_once(*asked)
    assert codes(answers) == {"OK": 1000 // 37, "INSUFFICIENT_FUNDS": HANDS - 1000 // 37}
    assert await balance(counter) == 1000 % 37


async def test_bets_of_all_sizes_at_once_never_overdraw(counter: Counter) -> None:
    chance = Random(4)
    await counter.deposit(2000)
    amounts = [chance.randint(1, 300) for _ in range(HANDS)]
    calls = (counter.play("bet", amount=amount, roundId=f"r-{amount}") for amount in amounts)
    answers = await asyncio.gather(*calls)
    accepted = sum(answer["data"]["amount"] for answer in answers if answer["success"])
    left = await balance(counter)
    assert left == 2000 - accepted >= 0
    # Each that was refused did not fit when it was its turn.
    assert all(it["data"]["balanceBefore"] < it["data"]["amount"] for it in answers if not it["success"])


async def test_a_bet_and_its_own_rollback_at_once_never_charge(counter: Counter) -> None:
    await counter.deposit(100)
    seen, chance = Tally[str](), Random(2)
    for number in range(TIMES):
        bet = counter.play("bet", f"b-{number}", amount=100, roundId=f"r-{number}")
        undo = counter.play("rollback", f"x-{number}", referenceId=f"b-{number}")
        told_bet, told_undo = await race(chance, bet, undo)
        assert (told_bet["code"], told_undo["code"]) in {("OK", "OK"), ("ROLLED_BACK", "NOTHING_TO_REVERSE")}
        assert await balance(counter) == 100
        seen[told_bet["code"]] += 1
    assert len(seen) == 2, seen


async def void(counter: Counter, key: str) -> Json:
    return (await counter.post(f"/v1/player/wallet/transfer/{key}/void", {}))[1]


async def test_a_deposit_and_its_void_at_once_agree(counter: Counter) -> None:
    seen, money, chance = Tally[str](), 0, Random(3)
    for number in range(TIMES):
        key = f"t-{number}"
        told, voided = await race(chance, counter.deposit(10, key), void(counter, key))
        assert (told["code"], voided["code"]) in {("OK", "TRANSFER_COMPLETED"), ("VOIDED", "OK")}
        _, status = await counter.get(f"/v1/player/wallet/transfer/{key}")
        assert status["data"]["status"] == ("completed" if told["success"] else "voided")
        money += 10 if told["success"] else 0
        seen[told["code"]] += 1
    assert await balance(counter) == money
    assert len(seen) == 2, seen


async def test_money_of_the_cashier_and_of_the_wallet_at_once_is_one_chain(counter: Counter) -> None:
    [row] = await counter.rows("SELECT player_id FROM player")

    async def pay_in(number: int) -> Json:
        request = ledger.PostRequest(
            source="cashier",
            key=f"paid-{number}",
            movement=ledger.DEPOSIT_TO_PLAYER,
            amount=Money(100, "KZT"),
            source_owner="site",
            target_owner=row.player_id,
            because=f"dep-{number}",
        )
        async with counter.pipes.database.transaction() as tx:
            [posted] = await ledger.post(tx, counter.site_id, [request], at=counter.clock.now())
        return {"code": "OK" if posted.is_posted else "no"}

    calls = itertools.chain(
        (pay_in(number) for number in range(HANDS)), (counter.deposit(10) for _ in range(HANDS))
    )
    assert codes(await at_once(*calls)) == {"OK": 2 * HANDS}
    # What came last is adopted with the next operation.
    await counter.deposit(1)
    applied = await check_chain(counter)
    assert applied[-1]["balanceAfter"] == 110 * HANDS + 1
    adopted = sum(row["amount"] for row in applied if row["type"] == "cashier")
    assert adopted == 100 * HANDS


async def test_batches_at_once_over_the_same_players_end(counter: Counter) -> None:
    """They name the same wallets in opposite orders, which must not lock each other out."""
    names = [f"player-{number}" for number in range(8)]
    for name in names:
        await counter.player(name, cash=1000)

    async def batch(number: int) -> Json:
        order = names if number % 2 else names[::-1]
        items = [
            {
                "type": "bet",
                "transactionId": f"g-{number}-{name}",
                "playerExternalId": name,
                "currency": "KZT",
            }
            | {"amount": 7, "roundId": f"r-{number}", "gameCode": "aviator", "providerId": "acme"}
            for name in order
        ]
        body = {"operations": items, "allOrNone": number % 3 == 0}
        while True:
            _, told = await counter.post("/v1/game/batch", body, scope="play")
            # Too many at once, or for too long in each other's way: nothing was done, and it may come again.
            if told["code"] not in {"OVERLOADED", "IN_PROGRESS"}:
                return told
            await asyncio.sleep(0.02)

    answers = await asyncio.gather(*(batch(number) for number in range(24)))
    assert codes(answers) == {"OK": 24}
    assert not any(result["data"]["duplicate"] for told in answers for result in told["data"]["results"])
    for name in names:
        assert await balance(counter, name) == 1000 - 24 * 7
        await check_chain(counter, name)


@pytest.fixture
def site() -> Iterator[Machines]:
    with machines() as made:
        yield made


@pytest.mark.timeout(300)
async def test_two_processes_let_the_whole_balance_leave_once(site: Machines) -> None:
    """And repeat the same answer, whichever of them is asked."""
    async with httpx.AsyncClient(
        headers={"authorization": f"Bearer {site.tokens['wallet']}"}, trust_env=False, timeout=30
    ) as http:

        async def ask(number: int, path: str, body: Json) -> Json:
            answer = await http.post(f"{site.addresses[number % 2]}/v1/player/{path}", json=body)
            return dict(answer.json())

        who = {"playerExternalId": "aigerim", "currency": "KZT"}
        assert (await ask(0, "create", who))["code"] == "OK"
        for turn in range(10):
            transfer = who | {"amount": 500, "transferId": f"in-{turn}"}
            same = await asyncio.gather(*(ask(number, "wallet/deposit", transfer) for number in range(20)))
            assert Tally(told["data"]["duplicate"] for told in same) == {False: 1, True: 19}
            assert len({told["data"]["transactionId"] for told in same}) == 1
            outs = [who | {"amount": 500, "transferId": f"out-{turn}-{number}"} for number in range(HANDS)]
            told = await asyncio.gather(
                *(ask(number, "wallet/withdraw", out) for number, out in enumerate(outs))
            )
            assert codes(list(told)) == {"OK": 1, "INSUFFICIENT_FUNDS": HANDS - 1}
