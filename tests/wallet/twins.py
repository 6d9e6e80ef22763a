"""The same asked of two sets of players: of a journal that remembers, and of one that does not."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from sqlalchemy import text

from app import players
from app.kernel.money import Money
from app.wallet.contract import Answer
from app.wallet.journal import Journal
from app.wallet.policy import StakeOrder
from app.wallet.schemas import game_ask
from app.wallet.sweeps import grant_bonus
from app.wallet.terms import Ask, Policy, Type
from tests.wallet.counter import Counter, Json

__all__ = ["Twins", "same"]

POLICIES = {
    "acme": Policy(),
    "bono": Policy(stake_order=StakeOrder.BONUS_FIRST, one_bet_per_round=True, max_bet=60),
    "capo": Policy(max_win=70, reverse_wins=True),
    "tomb": Policy(tombstoned_bet_ok=True),
    "sess": Policy(session_required=True),
}


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
