"""Thousands of operations at once, through several processes: one order explains every answer.

The order in which they were done is nobody's to foretell. So every answer is kept, each wallet's order is
read from its history, and the oracle does the same operations in that order: it must answer the same.
"""

import asyncio
import copy
import itertools
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import httpx
import pytest

from app.plumbing.database import Database
from tests import invariants
from tests.processes.wallet_machines import Machines, machines
from tests.wallet.oracle import Oracle
from tests.wallet.wishes import Policy, Wish, read
from tests.wallet.world import PATHS, difference

Json = dict[str, Any]

IS_NIGHT = os.environ.get("CASHIER_NIGHTLY") == "1"
OPERATIONS: Final = 20_000 if IS_NIGHT else 3_000
SEED: Final = int(os.environ.get("CASHIER_STORM_SEED", "20261121"))
PLAYERS: Final = tuple(f"player-{number}" for number in range(24))
CLIENTS: Final = 32
# Nothing was done; the same may come again.
LATER: Final = frozenset({"IN_PROGRESS", "OVERLOADED"})
NOT_STORED: Final = frozenset({"ID_CONFLICT", "BET_NOT_FOUND", "TRANSACTION_NOT_FOUND"})
# What an answer does not repeat.
NOW: Final = frozenset({"duplicate", "balance", "cash", "bonus", "reversed"})
KINDS: Final = {"deposit": 12, "withdraw": 8, "bet": 34, "win": 22, "betwin": 6, "rollback": 18}
TRANSFERS: Final = frozenset({"deposit", "withdraw"})
MOST_TRIES: Final = 5_000  # to find one order of what shares a number
Key = tuple[bool, str]


@dataclass
class Sky:
    """Where the storm comes from: operations of chance, the same in every run."""

    chance: Random
    made: dict[str, list[tuple[str, Json]]] = field(default_factory=lambda: defaultdict(list))

    def operation(self, player: str) -> tuple[str, Json]:
        """Something new, something again, or something else under a known id."""
        known, die = self.made[player], self.chance.random()
        if known and die < 0.25:
            return self.chance.choice(known[-12:])
        kind = self.chance.choices([*KINDS], [*KINDS.values()])[0]
        body = self._new(kind, player)
        if known and die < 0.32:
            other_kind, other = self.chance.choice(known[-12:])
            # Rollbacks of rollbacks have tests of their own: no money hangs on their order.
            alike = (kind == "rollback") is (other_kind == "rollback")
            for name in ("transferId", "transactionId"):
                body |= {name: other[name]} if alike and name in body and name in other else {}
        known.append((kind, body))
        return kind, body

    def _new(self, kind: str, player: str) -> Json:
        number = len(self.made[player])
        who: Json = {"playerExternalId": player, "currency": "KZT"}
        if kind in TRANSFERS:
            everything = kind == "withdraw" and self.chance.random() < 0.2
            how_much = {"all": True} if everything else {"amount": self.chance.randint(1, 400)}
            return who | {"transferId": f"{player}-{number}", **how_much}
        letter = "u" if kind == "rollback" else ""
        play = {"transactionId": f"{player}-{letter}{number}", "providerId": "acme", "gameCode": "aviator"}
        # The next numbers as well: what refers to them may come before them.
        near = max(0, number + self.chance.randint(-8, 3))
        if kind in {"win", "rollback"}:
            play["referenceId"] = f"{player}-{near}"
        if kind == "rollback":
            return {"playerExternalId": player, **play}
        body = who | play | {"roundId": f"round-{near // 6 if kind == 'win' else number // 6}"}
        body["isRoundFinished"] = self.chance.random() < 0.1
        if kind == "betwin":
            return body | {"betAmount": self.chance.randint(1, 90), "winAmount": self.chance.randint(0, 90)}
        return body | {"amount": self.chance.randint(0 if kind == "win" else 1, 90)}

    def requests(self) -> list[list[tuple[str, Json]]]:
        """Most come alone, some in batches over several players; neighbours come out of order."""
        found, left = [], OPERATIONS
        while left > 0:
            size = self.chance.choice((1, 1, 1, 1, 6))
            batch = [self.operation(self.chance.choice(PLAYERS)) for _ in range(size)]
            for transfers in (True, False):
                part = [it for it in batch if (it[0] in TRANSFERS) is transfers]
                found += [part] if part else []
            left -= size
        places = {id(request): place + self.chance.uniform(0, 40) for place, request in enumerate(found)}
        return sorted(found, key=lambda request: places[id(request)])


@dataclass
class Storm:
    """Everything that was asked, and what was answered."""

    site: Machines
    chance: Random
    http: httpx.AsyncClient
    told: dict[Key, list[tuple[Wish, Json]]] = field(default_factory=lambda: defaultdict(list))

    async def ask(self, path: str, body: Json, scope: str) -> Json:
        answer = await self.http.post(
            self.chance.choice(self.site.addresses) + path,
            content=json.dumps(body),
            headers={
                "authorization": f"Bearer {self.site.tokens[scope]}",
                "content-type": "application/json",
            },
        )
        return dict(answer.json())

    async def request(self, operations: list[tuple[str, Json]]) -> None:
        """Ask until it is answered for good, and keep the answers."""
        is_transfer = operations[0][0] in TRANSFERS
        scope, several = ("wallet", "wallet_batch") if is_transfer else ("play", "game_batch")
        left = operations
        while left:
            if len(left) == 1:
                told = [await self.ask(PATHS[left[0][0]], left[0][1], scope)]
            else:
                items = [{"type": kind, **body} for kind, body in left]
                answer = await self.ask(PATHS[several], {"operations": items}, scope)
                told = answer["data"].get("results") or [answer] * len(left)
            pairs = list(zip(left, told, strict=True))
            left = [asked for asked, answer in pairs if answer["code"] in LATER]
            for (kind, body), answer in pairs:
                if answer["code"] not in LATER:
                    wish = read(kind, body, Policy())  # type: ignore[arg-type]
                    self.told[is_transfer, wish.id or ""].append((wish, answer))

    async def blow(self, requests: list[list[tuple[str, Json]]]) -> None:
        waiting = iter(requests)

        async def client() -> None:
            for request in waiting:
                await self.request(request)

        await asyncio.gather(*(client() for _ in range(CLIENTS)))

    async def get(self, path: str, **asked: object) -> Json:
        answer = await self.http.get(
            self.chance.choice(self.site.addresses) + path,
            params={name: str(value) for name, value in asked.items()},
            headers={"authorization": f"Bearer {self.site.tokens['read']}"},
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["data"])

    async def history(self, player: str) -> list[Json]:
        found: list[Json] = []
        asked: dict[str, object] = {"playerExternalId": player, "includeRefused": "true", "limit": 500}
        while True:
            told = await self.get("/v1/transaction/list", **asked)
            found += told["transactions"]
            if told["nextCursor"] is None:
                return found
            asked["cursor"] = told["nextCursor"]


@pytest.fixture
def site() -> Iterator[Machines]:
    with machines() as made:
        yield made


@pytest.mark.timeout(3600 if IS_NIGHT else 240)
async def test_after_the_storm_one_order_explains_every_answer(site: Machines) -> None:
    chance = Random(SEED)
    async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
        storm = Storm(site, chance, http)
        for player in PLAYERS:
            made = {"playerExternalId": player, "currency": "KZT"}
            assert (await storm.ask("/v1/player/create", made, "wallet"))["code"] == "OK"
        await storm.blow(Sky(chance).requests())
        stored = {key: one_answer(key, told) for key, told in storm.told.items()}
        kept = {key: found for key, found in stored.items() if found is not None}
        assert len(kept) > OPERATIONS // 3, "too little was stored to say anything"
        for player in PLAYERS:
            oracle = explained(player, await storm.history(player), kept)
            await compare(storm, oracle, player)
    async with Database(site.url) as database:
        await invariants.hold(database)


def one_answer(key: Key, told: list[tuple[Wish, Json]]) -> tuple[Wish, Json] | None:
    """What is stored under an id: one effect, told first once and repeated word for word; None: nothing."""
    codes = {answer["code"] for _, answer in told}
    stored = [(wish, answer) for wish, answer in told if answer["code"] not in NOT_STORED | {"VALIDATION"}]
    assert stored or "ID_CONFLICT" not in codes, f"a conflict with nothing: {key}"
    if not stored:
        return None
    assert sum(not answer["data"]["duplicate"] for _, answer in stored) == 1, (key, stored)
    assert len({wish.fingerprint for wish, _ in stored}) == 1, f"different contents were accepted: {key}"
    wish, first = stored[0]
    assert all(wish.fingerprint != it.fingerprint for it, answer in told if answer["code"] == "ID_CONFLICT")
    lasting = [
        {**answer, "data": {name: value for name, value in answer["data"].items() if name not in NOW}}
        for _, answer in stored
    ]
    for answer in lasting:
        differing = difference(lasting[0] | {"message": answer["message"]}, answer, str(key))
        assert differing is None, differing
    return wish, first


def explained(player: str, rows: list[Json], stored: dict[Key, tuple[Wish, Json]]) -> Oracle:
    """Do a wallet's operations again in the order of its history; every stored answer must come out."""
    mine = {key for key, (wish, _) in stored.items() if wish.player == player}
    assert {("transferId" in row, row["externalId"]) for row in rows} == mine
    oracle = Oracle()
    oracle.create(player, "KZT")
    applied = sorted((row for row in rows if row["applied"]), key=lambda row: int(row["sequence"]))
    assert [row["sequence"] for row in applied] == list(range(1, len(applied) + 1))
    idle: dict[int, list[Json]] = defaultdict(list)
    for row in rows:
        if not row["applied"]:
            idle[row["sequence"]].append(row)
    for sequence in range(len(applied) + 1):
        if sequence:
            row = applied[sequence - 1]
            wrong = attempt(oracle, stored["transferId" in row, row["externalId"]])
            assert wrong is None, f"{player} at {sequence}: {wrong}"
        settle(oracle, [stored["transferId" in row, row["externalId"]] for row in idle[sequence]])
    return oracle


def settle(oracle: Oracle, left: list[tuple[Wish, Json]]) -> None:
    """What moved nothing shares its number; some order of it must be right."""
    wrong = settled(oracle, left, itertools.count(1))
    assert wrong is None, wrong


def settled(oracle: Oracle, left: list[tuple[Wish, Json]], tries: Iterator[int]) -> str | None:
    """Carry these out in an order that explains them; where there is none, why, and the oracle as it was.

    The first that fits may be the wrong one: a rollback that came before its win makes the win one that never
    counts, and so may something else.
    """
    if not left:
        return None
    before = copy.deepcopy(oracle.__dict__)
    why: str | None = None
    for place, found in enumerate(left):
        assert next(tries) < MOST_TRIES, why
        differing = attempt(oracle, found)
        if differing is None:
            differing = settled(oracle, left[:place] + left[place + 1 :], tries)
            if differing is None:
                return None
        why = why or differing
        oracle.__dict__.update(copy.deepcopy(before))
    return why


def test_the_first_order_that_fits_may_be_the_wrong_one() -> None:
    """A rollback made its win one that never counts; the win alone could have had another reason for that."""
    oracle = Oracle(Policy(zero_stakes=True))
    oracle.create("aigerim", "KZT")
    play = {"player": "aigerim", "currency": "KZT", "provider": "acme", "game": "aviator", "round": "r-1"}
    bet = Wish("bet", "b-1", amount=0, **play)  # type: ignore[arg-type]
    undone = Wish("rollback", "x-1", "aigerim", provider="acme", reference="b-1")
    win = Wish("win", "w-1", amount=42, reference="b-1", **play)  # type: ignore[arg-type]
    rollback = Wish("rollback", "x-2", "aigerim", provider="acme", reference="w-1")
    for wish in (bet, undone):
        assert oracle.carry_out(wish)[1]["code"] == "OK"
    truth = copy.deepcopy(oracle)
    told = {wish.id: (wish, truth.carry_out(wish)[1]) for wish in (rollback, win)}
    assert [answer["code"] for _, answer in told.values()] == ["NOTHING_TO_REVERSE", "ROLLED_BACK"]
    settle(oracle, [told["w-1"], told["x-2"]])
    assert oracle.operations.keys() == truth.operations.keys()
    other = Wish("rollback", "x-3", "aigerim", provider="acme", reference="b-1")
    with pytest.raises(AssertionError, match="NOTHING_TO_REVERSE"):
        settle(truth, [(other, told["x-2"][1])])


def attempt(oracle: Oracle, found: tuple[Wish, Json]) -> str | None:
    """Where the oracle answers otherwise, if it does."""
    wish, answer = found
    _, expected = oracle.carry_out(wish)
    lasting = {name: value for name, value in expected["data"].items() if name not in NOW}
    differing = difference({**expected, "data": lasting}, answer)
    named = [
        known for key, known in oracle.operations.items() if key[0] == "game" and key[2] == wish.reference
    ]
    return differing and f"{wish}{differing}: {answer}, where the oracle knows {named}"


async def compare(storm: Storm, oracle: Oracle, player: str) -> None:
    """The balance and every round are what the oracle has."""
    asked = {"playerExternalId": player, "currency": "KZT"}
    found = await storm.get("/v1/player/wallet/balance", **asked)
    assert difference(oracle.balance(player, "KZT")[1]["data"], found, player) is None
    for _, currency, provider, round_id in oracle.rounds:
        expected = oracle.round(player, currency, provider, round_id)[1]["data"]
        told = await storm.get(
            "/v1/transaction/round", playerExternalId=player, providerId=provider, roundId=round_id
        )
        assert difference(expected, told, f"{player} {round_id}") is None
