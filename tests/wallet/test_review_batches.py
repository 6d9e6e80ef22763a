"""Large batches beside a journal that remembers nothing: whatever is asked, both answer the same."""

import asyncio
import gc
from collections import Counter as Tally
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from app import players
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database
from app.wallet.batches import Batches
from app.wallet.contract import Answer
from app.wallet.journal import Journal
from app.wallet.policy import StakeOrder
from app.wallet.schemas import game_ask
from app.wallet.succession import Place
from app.wallet.sweeps import grant_bonus
from app.wallet.terms import Ask, Code, Policy, Type
from tests import invariants
from tests.wallet.counter import Counter, Json, opened
from tests.wallet.locking import blocked, locked

POLICIES = {
    "acme": Policy(),
    "bono": Policy(stake_order=StakeOrder.BONUS_FIRST, one_bet_per_round=True, max_bet=60),
    "capo": Policy(max_win=70, reverse_wins=True),
    "tomb": Policy(tombstoned_bet_ok=True),
    "sess": Policy(session_required=True),
}


def ask(kind: Type, key: str, login: str = "aigerim", provider: str = "acme", **more: object) -> Ask:
    body: Json = {"transactionId": key, "playerExternalId": login, "providerId": provider}
    if kind is not Type.ROLLBACK:
        body |= {"currency": "KZT", "roundId": "r-1", "gameCode": "aviator"}
    return game_ask(kind, body | more, lambda _: POLICIES[provider], "req_test")


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        yield made
    await invariants.hold(database)


@pytest.mark.parametrize("beside", [0, 4])
async def test_a_win_of_a_bet_that_was_rolled_back_before_it_came(counter: Counter, beside: int) -> None:
    """The bet was answered OK and took no money; nothing may be won by it."""
    await counter.player(cash=1000)
    run, site = counter.journal.run, counter.site_id
    assert (await run(site, [ask(Type.BET, "b-1", provider="tomb", amount=100)]))[0].code is Code.OK
    gone = ask(Type.ROLLBACK, "x-2", provider="tomb", referenceId="b-2")
    assert (await run(site, [gone]))[0].code is Code.NOTHING_TO_REVERSE
    late = (await run(site, [ask(Type.BET, "b-2", provider="tomb", amount=100)]))[0]
    assert late.code is Code.OK
    assert late.operation is not None
    assert not late.operation.applied
    more = [ask(Type.BET, f"m-{number}", roundId=f"m-{number}", amount=1) for number in range(beside)]
    won = (await run(site, [ask(Type.WIN, "w-2", provider="tomb", amount=500, referenceId="b-2"), *more]))[0]
    assert won.code is Code.ROLLED_BACK


async def test_a_batch_that_must_be_looked_up_keeps_its_connection(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for login in ("aigerim", "bolat"):
        await counter.player(login, cash=1000)
    run, site = counter.journal.run, counter.site_id
    warm = [ask(Type.BET, f"b-{login}", login, amount=1) for login in ("aigerim", "bolat")]
    await run(site, warm)
    opened_ones: list[object] = []
    plain = asyncpg.connect

    async def counted(*args: Any, **more: Any) -> object:  # noqa: ANN401
        opened_ones.append(args)
        return await plain(*args, **more)

    monkeypatch.setattr(asyncpg, "connect", counted)
    for number in range(5):
        await run(site, [ask(Type.BET, f"warm-{number}", amount=1, roundId=f"warm-{number}")])
        asks = [
            ask(Type.BET, f"p{number}-{each}", amount=1, roundId=f"r{number}-{each}") for each in range(4)
        ]
        asks.append(ask(Type.WIN, f"v{number}", amount=1, referenceId=f"p{number}-0", roundId="wrong"))
        answers = await run(site, asks)
        assert [one.code for one in answers[:4]] == [Code.OK] * 4
    assert len(opened_ones) == 0


async def test_places_that_are_over_are_forgotten(counter: Counter) -> None:
    """However long one batch follows the other without a pause."""
    for login in ("aigerim", "bolat"):
        await counter.player(login, cash=100_000)
    run, site = counter.journal.run, counter.site_id
    await run(site, [ask(Type.BET, f"w-{login}", login, amount=1) for login in ("aigerim", "bolat")])

    most: list[int] = []

    async def client(name: str) -> None:
        for number in range(12):
            asks = []
            for at in range(2):
                for login in ("aigerim", "bolat"):
                    key = f"{name}{number}-{at}-{login}"
                    asks += [
                        ask(Type.BET, key, login, amount=1, roundId=key),
                        ask(
                            Type.WIN,
                            f"{key}w",
                            login,
                            amount=1,
                            roundId=key,
                            referenceId=key,
                            isRoundFinished=True,
                        ),
                    ]
            answers = await run(site, asks)
            assert {one.code for one in answers} == {Code.OK}
            gc.collect()
            most.append(sum(isinstance(one, Place) for one in gc.get_objects()))

    await asyncio.gather(*(client(name) for name in "abcd"))
    assert max(most) <= 8, most


async def test_four_batches_in_a_row_do_not_wait_for_each_other_for_ever(
    counter: Counter, clone_url: str
) -> None:
    await counter.player(cash=1000)
    site, inner = counter.site_id, counter.journal._batches
    await counter.journal.run(site, [ask(Type.BET, "warm", amount=1, roundId="warm")])
    async with locked(clone_url, "aigerim") as connection:
        tasks = []
        for name in "abcd":
            asks = [ask(Type.BET, f"{name}{at}", amount=1, roundId=f"{name}{at}") for at in range(5)]
            tasks.append(asyncio.create_task(inner.carry_out(site, asks, [], all_or_none=False)))
            await asyncio.sleep(0.05)
        await blocked(clone_url)
        await connection.execute("UPDATE wallet SET revision = revision + 1")
        await connection.execute("COMMIT")
        _, waiting = await asyncio.wait(tasks, timeout=10)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not waiting


def _policy(provider: str, _: str) -> Policy:
    return POLICIES[provider]


@dataclass
class Twins:
    """The same asked of two sets of players."""

    counter: Counter
    cold: Journal
    chance: Random
    logins: tuple[str, ...] = ("one", "two", "three", "four")
    made: list[tuple[Type, str, str, str, Json]] = field(default_factory=list)
    sessions: dict[str, list[str]] = field(default_factory=lambda: {"w": [], "c": []})
    number: int = 0
    rollbacks: int = 0

    async def create(self) -> None:
        for side in "wc":
            for login in self.logins:
                for currency in ("KZT", "USD"):
                    await self.counter.player(f"{side}-{login}", cash=40_000, currency=currency)

    async def launch(self) -> None:
        login = self.chance.choice(self.logins)
        provider = self.chance.choice(["acme", "sess"])
        for side in "wc":
            body = {
                "playerExternalId": f"{side}-{login}",
                "currency": "KZT",
                "gameCode": "aviator",
                "providerId": provider,
            }
            _, found = await self.counter.post("/v1/game/launch", body, scope="play")
            self.sessions[side].append(found["data"]["sessionId"] if found["code"] == "OK" else "none")

    async def end(self) -> None:
        if not self.sessions["w"]:
            return
        place = self.chance.randrange(len(self.sessions["w"]))
        for side in "wc":
            await self.counter.post(
                "/v1/session/end", {"sessionId": self.sessions[side][place]}, scope="play"
            )

    async def stand(self) -> None:
        login = self.chance.choice(self.logins)
        status = self.chance.choice([players.PlayerStatus.ACTIVE] * 5 + [players.PlayerStatus.BLOCKED])
        for side in "wc":
            async with self.counter.pipes.database.transaction() as tx:
                await players.set_status(tx, self.counter.site_id, f"{side}-{login}", status)

    async def bonus(self) -> None:
        login, self.number = self.chance.choice(self.logins), self.number + 1
        for side in "wc":
            money = Money(40 + self.number % 7, "KZT")
            await grant_bonus(
                self.counter.pipes,
                self.counter.site_id,
                f"{side}-{login}",
                money,
                f"{side}-gift-{self.number}",
            )

    def wish(self) -> tuple[Type, str, str, str, Json]:  # noqa: C901, PLR0912  a list of chances
        chance = self.chance
        if self.made and chance.random() < 0.008:
            again = chance.choice(self.made[-30:])
            # A batch with a rollback goes behind locks at once: it stands in no line with others.
            if self.rollbacks or again[0] is not Type.ROLLBACK:
                return again
        self.number += 1
        login = chance.choice(self.logins)
        provider = chance.choice(["acme"] * 12 + ["bono", "bono", "capo", "sess"])
        kind = chance.choices([Type.BET, Type.WIN, Type.BETWIN, Type.ROLLBACK], [50, 38, 8, self.rollbacks])[
            0
        ]
        key = f"k{self.number}"
        if self.made and chance.random() < 0.003:
            key = chance.choice(self.made[-30:])[1]
        body: Json = {"currency": chance.choice(["KZT"] * 30 + ["USD"])}
        if provider == "sess" or chance.random() < 0.03:
            body["place"] = chance.randrange(6)
        round_id = f"r{self.number // 4}" if chance.random() < 0.15 else f"r{self.number}"
        if (kind is Type.WIN and chance.random() < 0.3) or chance.random() < 0.02:
            body["isRoundFinished"] = True
        if kind is Type.WIN and chance.random() < 0.08:
            body["kind"] = chance.choice(["jackpot", "promo"])
        if kind in {Type.WIN, Type.ROLLBACK}:
            last = [
                one
                for one in self.made[-9:]
                if one[0] is Type.BET or (chance.random() < 0.06 and one[0] is not Type.ROLLBACK)
            ]
            if last:
                of = chance.choice(last)
                if chance.random() < 0.995:
                    login, provider = of[2], of[3]
                    body["currency"] = of[4]["currency"]
                body["referenceId"], round_id = of[1], of[4]["roundId"]
            else:
                body["referenceId"] = "nothing"
            if chance.random() < 0.01:
                body["referenceId"] = f"k{self.number + 1}"
        body["roundId"] = round_id
        if kind is Type.BETWIN:
            body |= {"betAmount": chance.randint(1, 70), "winAmount": chance.randint(0, 90)}
        else:
            body["amount"] = chance.randint(1, 90) if kind is Type.BET else chance.randint(0, 90)
        made = (kind, key, login, provider, body)
        self.made.append(made)
        return made

    def asks(self, side: str, wishes: Sequence[tuple[Type, str, str, str, Json]]) -> list[Ask]:
        found = []
        for kind, key, login, provider, body in wishes:
            own = dict(body)
            place = own.pop("place", None)
            if place is not None and self.sessions[side]:
                own["sessionId"] = self.sessions[side][place % len(self.sessions[side])]
            own["roundId"] = f"{side}{own['roundId']}"
            if "referenceId" in own:
                own["referenceId"] = f"{side}{own['referenceId']}"
            if kind is Type.ROLLBACK:
                own.pop("currency")
            own |= {
                "transactionId": f"{side}{key}",
                "playerExternalId": f"{side}-{login}",
                "providerId": provider,
            }
            own |= {"gameCode": "aviator"}
            found.append(game_ask(kind, own, partial(_policy, provider), "req_test"))
        return found

    async def disturb(self) -> None:
        """Nothing that changes an answer; but what was decided before must be decided anew."""
        await asyncio.sleep(self.chance.random() * 0.03)
        async with self.counter.pipes.database.transaction() as tx:
            rows = await tx.all(
                text(
                    "SELECT wallet_id FROM wallet JOIN player USING (site_id, player_id) "
                    "WHERE site_login LIKE 'w-%' ORDER BY 1"
                )
            )
            number = self.chance.choice([row.wallet_id for row in rows])
            await tx.execute(
                text("SELECT wallet_revise(:site, ARRAY[:number]::bigint[])"),
                {"site": self.counter.site_id, "number": number},
            )

    async def together(self, lists: list[list[Any]], *, disturbed: bool) -> None:
        run, site = self.counter.journal.run, self.counter.site_id
        self.counter.journal._batches.memory._doubts.clear()
        calls = [run(site, self.asks("w", one)) for one in lists]
        warm = await asyncio.gather(*calls, *([self.disturb()] if disturbed else []))
        for wishes, answers in zip(lists, warm, strict=False):
            assert answers is not None
            self.cold._batches.memory.clear()
            cold = await self.cold.run(site, self.asks("c", wishes))
            for wish, one, other in zip(wishes, answers, cold, strict=True):
                assert told(one) == told(other), (wish, self.made[-60:])


def told(answer: Answer) -> tuple[object, ...]:
    own, its = answer.operation, answer.wallet
    operation = own and (
        *(own.key.key[1:], own.type, own.code, own.applied, own.amount, own.win, own.cash, own.bonus),
        *(own.before, own.after, own.sequence, own.reference and own.reference[1:]),
        *(own.round_id and own.round_id[1:], own.provider, own.game, own.detail),
    )
    wallet = its and (
        its.currency,
        its.sequence,
        its.cash,
        its.bonus,
        its.debt,
        its.is_blocked,
        its.cash_version,
    )
    return (answer.code, answer.duplicate, answer.field, operation, wallet)


ROWS = """
SELECT p.site_login, w.currency, r.provider_id, r.round_id, r.state, r.open_bets,
       r.bet_minor, r.win_minor, r.reversed_minor,
       r.first_sequence, r.last_sequence, r.is_free
  FROM wallet_round r JOIN wallet w USING (site_id, wallet_id) JOIN player p USING (site_id, player_id)
 WHERE p.site_login LIKE :which ORDER BY 1, 2, 3, 4
"""
WALLETS = """
SELECT p.site_login, w.currency, w.sequence, w.cash_version, w.bonus_version, w.balance_minor,
       a.balance_minor AS cash, a.version
  FROM wallet w JOIN player p USING (site_id, player_id) JOIN account a ON a.account_id = w.cash_account_id
 WHERE p.site_login LIKE :which ORDER BY 1, 2
"""


async def same(counter: Counter) -> None:
    for query in (ROWS, WALLETS):
        sides = []
        for side in "wc":
            rows = await counter.rows(query, which=f"{side}-%")
            sides.append(
                [
                    tuple(
                        str(it)[1:]
                        if isinstance(it, str) and it[0] in "wc" and it not in {"completed", "cancelled"}
                        else it
                        for it in row
                    )
                    for row in rows
                ]
            )
        assert sides[0] == sides[1]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(2))
async def test_large_batches_at_once_answer_as_one_after_the_other(
    counter: Counter, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, ways = Batches._large, Tally[str]()

    async def counted(self: Batches, site_id: int, asks: Sequence[Ask], *how: Any) -> str:  # noqa: ANN401
        way = await large(self, site_id, asks, *how)
        ways[way] += 1
        return way

    monkeypatch.setattr(Batches, "_large", counted)
    cold = Journal(counter.pipes, part=200)
    twins = Twins(counter, cold, Random(seed))
    await twins.create()
    chance = twins.chance
    for _ in range(90):
        for deed, often in ((twins.launch, 0.1), (twins.end, 0.04), (twins.stand, 0.06), (twins.bonus, 0.1)):
            if chance.random() < often:
                await deed()
        die = chance.random()
        if die < 0.12:
            twins.rollbacks = 15
            wishes = [twins.wish() for _ in range(chance.randint(1, 7))]
            twins.rollbacks = 0
            await twins.together([wishes], disturbed=False)
        else:
            twins.number += 1
            warm = [
                (
                    Type.BET,
                    f"h{twins.number}-{login}",
                    login,
                    "acme",
                    {"currency": "KZT", "roundId": f"h{twins.number}", "amount": 1},
                )
                for login in twins.logins
            ]
            await twins.together([warm], disturbed=False)
            lists = []
            shared = chance.choice(twins.logins)
            for _ in range(chance.randint(2, 4)):
                wishes = [twins.wish() for _ in range(chance.randint(4, 12))]
                # Each has somebody in common with each other: so they have one order.
                twins.number += 1
                wishes.insert(
                    0,
                    (
                        Type.BET,
                        f"s{twins.number}",
                        shared,
                        "acme",
                        {"currency": "KZT", "roundId": f"s{twins.number}", "amount": 1},
                    ),
                )
                lists.append(wishes)
            await twins.together(lists, disturbed=die < 0.25)
    await same(counter)
    await cold.aclose()
    assert ways["remembered"] > 50
    assert ways["disturbed"]
