"""Processes die under load: what was acknowledged is there, once; what was not is known by asking again."""

import asyncio
import os
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random

import pytest

from app.plumbing.database import Database
from tests import invariants
from tests.processes.wallet_load import TRANSFERS, Heard, Load, Wish
from tests.processes.wallet_machines import Machines, machines

IS_NIGHT = os.environ.get("CASHIER_NIGHTLY") == "1"
# Of web processes, and as many of PostgreSQL.
KILLS = 20 if IS_NIGHT else 3
CLIENTS = 32
PLAYERS = [f"player-{number}" for number in range(20)]
SETTLES = 0.3  # seconds: clients go on for so long while something is dead
STORED = frozenset(
    {
        "OK",
        "NOTHING_TO_REVERSE",
        "ALREADY_ROLLED_BACK",
        "INSUFFICIENT_FUNDS",
        "ROLLED_BACK",
        "ALREADY_SETTLED",
        "ROUND_CLOSED",
        "PARENT_FAILED",
    }
)
# What an answer repeats for ever.
RECORDED = (
    "transactionId amount balanceBefore balanceAfter cashPart bonusPart sequence applied status recordedAt"
)
# What the ledger moved on players' accounts because of an operation, where that is not what was told.
OTHERWISE = """
    SELECT o.key, o.balance_after_minor - o.balance_before_minor AS told, m.because, m.moved
      FROM wallet_operation o
      FULL JOIN (
        SELECT t.because, sum(e.amount_minor) AS moved
          FROM transfer t
          JOIN entry e USING (site_id, transfer_id)
          JOIN account a USING (site_id, account_id)
         WHERE a.purpose IN ('player_cash', 'player_bonus')
         GROUP BY t.because) m ON m.because = o.operation_id
     WHERE coalesce(m.moved, 0) IS DISTINCT FROM o.balance_after_minor - o.balance_before_minor"""
BALANCES = """
    SELECT p.site_login, w.sequence, w.balance_minor, c.balance_minor + b.balance_minor
      FROM wallet w
      JOIN player p USING (site_id, player_id)
      JOIN account c ON c.site_id = w.site_id AND c.account_id = w.cash_account_id
      JOIN account b ON b.site_id = w.site_id AND b.account_id = w.bonus_account_id"""
CHAINS = """
    SELECT wallet_id, sequence FROM (
      SELECT wallet_id, sequence, balance_before_minor AS before,
             row_number() OVER wallet AS place, lag(balance_after_minor, 1, 0::bigint) OVER wallet AS after
        FROM wallet_operation WHERE applied
      WINDOW wallet AS (PARTITION BY site_id, wallet_id ORDER BY sequence)
    ) found WHERE sequence <> place OR before <> after"""


@pytest.fixture
def site() -> Iterator[Machines]:
    with machines() as made:
        yield made


@pytest.mark.timeout(1800 if IS_NIGHT else 240)
async def test_kills_under_load_lose_nothing_and_repeat_nothing(site: Machines) -> None:
    load = Load(site.addresses, site.tokens, PLAYERS, Random(20261121))
    unknown: dict[str, Counter[str]] = defaultdict(Counter)
    async with load.connected():
        await load.create_players()
        for number in range(2 * KILLS):
            victim = "postgres" if number % 2 else "web"
            async with load.running(CLIENTS):
                await asyncio.sleep(load.chance.uniform(0.7, 1.7))
                # Two kills of three fall between commits and their answers, the third anywhere.
                if number // 2 % 3 < 2:
                    await site.hold_commits()
                await asyncio.to_thread(kill, site, victim, number)
                await asyncio.sleep(SETTLES)
                if victim == "postgres":
                    await asyncio.to_thread(site.start_postgres)
                await site.release_commits()
            # Of two web processes the other one answers at once, while what the dead one began may still end.
            unknown[victim] += await load.resolve()
            await asyncio.to_thread(site.start_webs)
        assert load.of(Heard.FINAL) == [*load.wishes.values()]
        check_answers(load)
        await check_stored(load)
    await check_books(site, load)
    # Else the kills fell where nothing could go wrong.
    assert unknown["web"]["not done"], unknown
    assert not IS_NIGHT or all(unknown[victim]["done"] for victim in ("web", "postgres")), unknown


def kill(site: Machines, victim: str, number: int) -> None:
    if victim == "web":
        site.kill_web(number // 2)
    else:
        site.kill_postgres(signal.SIGKILL if number % 4 == 1 else signal.SIGQUIT)


def effect(wish: Wish, wishes: dict[str, Wish]) -> int:
    """What an applied operation does to its wallet, read from what was asked."""
    body = wish.body
    match wish.type:
        case "deposit" | "win":
            return int(body["amount"])
        case "withdraw" | "bet":
            return -int(body["amount"])
        case "betwin":
            return int(body["winAmount"]) - int(body["betAmount"])
        case _:
            return int(wishes[body["referenceId"]].body["amount"])


def check_answers(load: Load) -> None:
    """The answers alone tell a gap-free history of each wallet, and each did what was asked or nothing."""
    by_player: dict[str, list[Wish]] = defaultdict(list)
    fates: dict[str, list[str]] = defaultdict(list)
    for wish in load.wishes.values():
        assert wish.code in STORED, wish
        data = wish.data
        moved = data["balanceAfter"] - data["balanceBefore"]
        assert moved == (effect(wish, load.wishes) if data["applied"] else 0), wish
        if data["applied"]:
            by_player[wish.player].append(wish)
            if "referenceId" in wish.body:
                fates[wish.body["referenceId"]].append(wish.type)
    for told in by_player.values():
        told.sort(key=lambda wish: wish.data["sequence"])
        assert [wish.data["sequence"] for wish in told] == list(range(1, len(told) + 1))
        balance = 0
        for wish in told:
            assert wish.data["balanceBefore"] == balance, wish
            balance = wish.data["balanceAfter"]
    for bet, fate in fates.items():
        assert fate == ["rollback"] or "rollback" not in fate, f"{bet} was both won and taken back"


async def check_stored(load: Load) -> None:
    """Every operation, asked once more, is answered as the first time, and some are looked up by their id."""
    wishes = list(load.wishes.values())
    for scope, path in (("wallet", "/v1/player/wallet/batch"), ("play", "/v1/game/batch")):
        asked = [wish for wish in wishes if (wish.type in TRANSFERS) == (scope == "wallet")]
        for first in range(0, len(asked), 1000):
            part = asked[first : first + 1000]
            body = {"operations": [{"type": wish.type, **wish.body} for wish in part]}
            results = (await load.post(path, body, scope)).json()["data"]["results"]
            for wish, result in zip(part, results, strict=True):
                assert result["data"]["duplicate"] is True, (wish, result)
                assert result["code"] == wish.code, (wish, result)
                assert recorded(result["data"]) == recorded(wish.data), (wish, result)
    for wish in load.chance.sample(wishes, 100):
        found = (await load.get(f"/v1/transaction/by-reference/{wish.key}")).json()
        assert recorded(found["data"]) == recorded(wish.data)
        assert len(found["data"]["matches"]) == 1


def recorded(data: dict[str, object]) -> list[object]:
    return [data[name] for name in RECORDED.split()]


async def check_books(site: Machines, load: Load) -> None:
    """The database has what was answered and no more; the ledger moved exactly that."""
    [[count, keys]] = await site.rows("SELECT count(*), count(DISTINCT (source, key)) FROM wallet_operation")
    assert count == keys == len(load.wishes)
    assert await site.rows(OTHERWISE) == []
    assert await site.rows(CHAINS) == []
    balances: dict[str, int] = dict.fromkeys(PLAYERS, 0)
    steps: dict[str, int] = dict.fromkeys(PLAYERS, 0)
    for wish in load.wishes.values():
        if wish.data["applied"]:
            balances[wish.player] += effect(wish, load.wishes)
            steps[wish.player] += 1
    told = {(player, steps[player], balances[player], balances[player]) for player in PLAYERS}
    assert set(await site.rows(BALANCES)) == told
    async with Database(site.url) as database:
        await invariants.hold(database)
