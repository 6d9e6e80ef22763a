"""The product and the oracle side by side: each request goes to both, and the answers must be equal."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from app import ledger, merchants, players, wallet
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database
from app.wallet.sweeps import grant_bonus
from tests.wallet import counter
from tests.wallet.answers import Answer
from tests.wallet.oracle import Oracle
from tests.wallet.wishes import LISTED, Policy

__all__ = ["CURRENCIES", "PATHS", "World", "difference", "world"]

Json = dict[str, Any]

CURRENCIES: Final = ("KZT", "USD")
PATHS: Final = {
    "deposit": "/v1/player/wallet/deposit",
    "withdraw": "/v1/player/wallet/withdraw",
    "wallet_batch": "/v1/player/wallet/batch",
    "bet": "/v1/game/bet",
    "win": "/v1/game/win",
    "betwin": "/v1/game/betwin",
    "rollback": "/v1/game/rollback",
    "game_batch": "/v1/game/batch",
}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def difference(expected: object, found: object, where: str = "") -> str | None:
    """Where the product's answer is not as foretold; what was not foretold is not looked at."""
    match expected, found:
        case dict(), dict():
            lacking = [f"{where}.{name} is missing" for name in expected if name not in found]
            inner = (
                difference(value, found[name], f"{where}.{name}")
                for name, value in expected.items()
                if name in found
            )
            return next(iter(lacking), None) or next((found for found in inner if found), None)
        case list(), list() if len(expected) == len(found):
            pairs = zip(expected, found, strict=True)
            differing = (difference(*pair, f"{where}[{at}]") for at, pair in enumerate(pairs))
            return next((found for found in differing if found), None)
        case _:
            same = type(expected) is type(found) and expected == found
            return None if same else f"{where} should be {expected!r} and is {found!r}"


@dataclass(repr=False)
class World:
    """Two wallets that must not differ: one of PostgreSQL, one of dictionaries."""

    counter: counter.Counter
    database: Database
    oracle: Oracle = field(default_factory=Oracle)
    codes: dict[str, str] = field(default_factory=dict)
    recorded: dict[tuple[object, ...], tuple[str, str]] = field(default_factory=dict)
    asked: list[tuple[str, object]] = field(default_factory=list)
    heard: Counter[tuple[str, str]] = field(default_factory=Counter)
    grants: int = 0
    # What a test adds to its names, to have several worlds on one database.
    own: str = ""

    async def forget(self) -> None:
        """Begin again, on the same database, with ids that were never used."""
        if self.oracle.is_seamless:
            await self.keep_balances(is_seamless=False)
        self.oracle, self.asked = Oracle(self.oracle.policy), []
        self.recorded.clear()
        async with self.database.reading() as reader:
            for currency in CURRENCIES:
                left = await wallet.float_of(reader, self.counter.site_id, currency)
                self.oracle.floats[currency] = left.minor

    async def create(self, *names: str, currencies: tuple[str, ...] = CURRENCIES) -> None:
        for name in names:
            for currency in currencies:
                made = await self.counter.player(name, currency=currency)
                self.codes[name] = made["playerCode"]
            self.oracle.create(name, *currencies)

    async def ask(self, kind: str, body: object, *, header: str | None = None) -> Json:
        """Ask both; returns the product's envelope."""
        keyed = {} if header is None else {"idempotency-key": header}
        status, found = await self.raw(kind, json.dumps(body).encode(), **keyed)
        return self.check(f"{kind} {header or ''}", body, self._foretold(kind, body, header), (status, found))

    def _foretold(self, kind: str, body: Any, header: str | None) -> Answer:  # noqa: ANN401  whatever is sent
        match kind:
            case "deposit":
                return self.oracle.deposit(body, header)
            case "withdraw":
                return self.oracle.withdraw(body, header)
            case "wallet_batch":
                return self.oracle.wallet_batch(body)
            case "game_batch":
                return self.oracle.game_batch(body)
            case "bet" | "win" | "betwin" | "rollback":
                return self.oracle.game(kind, body)
            case _:
                raise AssertionError(kind)

    async def raw(self, kind: str, content: bytes, **headers: str) -> Answer:
        scope = "wallet" if "/wallet/" in PATHS[kind] else "play"
        headers |= {
            "authorization": f"Bearer {self.counter.tokens[scope]}",
            "content-type": "application/json",
        }
        answer = await self.counter.http.post(PATHS[kind], content=content, headers=headers)
        return answer.status_code, answer.json()

    async def void(self, transfer: str) -> Json:
        found = await self.counter.post(f"/v1/player/wallet/transfer/{transfer}/void", {})
        return self.check("void", transfer, self.oracle.void(transfer), found)

    async def transfer_status(self, transfer: str) -> Json:
        found = await self.counter.get(f"/v1/player/wallet/transfer/{transfer}")
        return self.check("transfer", transfer, self.oracle.transfer_status(transfer), found)

    def check(self, what: str, body: object, expected: Answer, found: Answer) -> Json:
        self.asked.append((what, body))
        status, envelope = found
        differing = difference({"status": expected[0], **expected[1]}, {"status": status, **envelope})
        told = f"{differing}\nexpected {expected}\nfound    {found}\nafter " + "\n".join(map(str, self.asked))
        assert differing is None, told
        assert envelope["message"], told
        if what.split(maxsplit=1)[0] in PATHS:
            for result in envelope["data"].get("results", [envelope]):
                self.heard[result["data"].get("type", ""), result["code"]] += 1
                assert self._is_recorded_once(result), told
        return envelope

    def _is_recorded_once(self, envelope: Json) -> bool:
        """Our id and the instant are there for what is stored, and the same whenever it is told again."""
        data = envelope["data"]
        if "externalId" not in data or "recordedAt" not in data:
            return "sequence" not in data and "transactionId" not in data
        ours = (data["transactionId"], data["recordedAt"])
        if not data["transactionId"].startswith("wop_") or not _INSTANT.fullmatch(data["recordedAt"]):
            return False
        is_back = data["type"] in {"rollback", "reverse_win"}  # which may bear the id of what it is about
        whose = (data["playerExternalId"], data.get("roundId"))
        key = (data["externalId"], "transferId" in data, is_back, *whose)
        return self.recorded.setdefault(key, ours) == ours

    async def grant(self, player: str, currency: str, minor: int) -> None:
        """Give a bonus, which is an operation of its own."""
        self.grants += 1
        key = f"gift-{self.grants}"
        await grant_bonus(self.counter.pipes, self.counter.site_id, player, Money(minor, currency), key)
        self.oracle.adopt(player, currency, bonus=minor)

    async def pay_in(self, player: str, currency: str, minor: int) -> None:
        """Move money on the wallet's account as the cashier does; it is adopted with the next operation."""
        self.grants += 1
        request = ledger.PostRequest(
            source="other room",
            key=f"paid-{self.grants}",
            movement=ledger.DEPOSIT_TO_PLAYER,
            amount=Money(minor, currency),
            source_owner="site",
            target_owner=self.codes[player],
            because="a test",
        )
        async with self.database.transaction() as tx:
            [posted] = await ledger.post(tx, self.counter.site_id, [request], at=self.counter.clock.now())
        assert posted.is_posted
        self.oracle.adopt(player, currency, cash=minor)
        body: Json = {"playerExternalId": player, "currency": currency, "amount": 1}
        await self.ask("deposit", body | {"transferId": f"{player}-{self.grants}"})

    async def take(self, player: str, currency: str, minor: int) -> None:
        """Take money as a dispute does, whatever the player has; what is not there is owed."""
        self.grants += 1
        purse = self.oracle.wallets[player, currency]
        outflow = ledger.CHARGEBACK
        demand = ledger.Demand(
            "other room",
            f"taken-{self.grants}",
            outflow,
            Money(minor, currency),
            self.codes[player],
            "site",
            "x",
        )
        async with self.database.transaction() as tx:
            await ledger.take(tx, self.counter.site_id, demand, at=self.counter.clock.now())
        cash = min(purse.cash, minor)
        self.oracle.owe(player, currency, minor - cash)
        if cash:
            self.oracle.adopt(player, currency, cash=-cash)
        body: Json = {"playerExternalId": player, "currency": currency, "amount": 1}
        await self.ask("deposit", body | {"transferId": f"{player}-{self.grants}"})

    async def stand(self, player: str, status: players.PlayerStatus) -> None:
        """Block a player, or not."""
        async with self.database.transaction() as tx:
            await players.set_status(tx, self.counter.site_id, player, status)
        self.oracle.players[player] = status.value

    async def keep_balances(self, *, is_seamless: bool) -> None:
        """Let the site keep its players' balances itself, whatever stands in the way, or not any more."""
        address = "https://shop.example.com/wallet" if is_seamless else ""
        async with self.database.transaction() as tx:
            await merchants.set_callback_url(tx, self.counter.site_id, address, at=self.counter.clock.now())
        self.counter.clock.advance(3)
        self.oracle.is_seamless = is_seamless

    async def launch(self, player: str, currency: str) -> str | None:
        """A session, if there is anything to play with."""
        body = {
            "playerExternalId": player,
            "currency": currency,
            "gameCode": "aviator",
            "providerId": "acme",
        }
        _, found = await self.counter.post("/v1/game/launch", body, scope="play")
        if found["code"] != "OK":
            return None
        self.oracle.launch(player, found["data"]["sessionId"])
        # A campaign may be cancelled later.
        self.counter.clock.advance(1)
        return str(found["data"]["sessionId"])

    async def end(self, session: str) -> None:
        status, _ = await self.counter.post("/v1/session/end", {"sessionId": session}, scope="play")
        assert status == 200
        self.oracle.sessions[session] = ""

    async def history(self, player: str, currency: str) -> list[Json]:
        """Everything of one wallet, the refused as well, page by page."""
        await self.counter.settled()
        found: list[Json] = []
        asked: dict[str, object] = {"playerExternalId": player, "currency": currency, "limit": 40}
        while True:
            asked["includeRefused"] = "true"
            _, told = await self.counter.get("/v1/transaction/list", **asked)
            found += told["data"]["transactions"]
            if told["data"]["nextCursor"] is None:
                return found
            asked["cursor"] = told["data"]["nextCursor"]

    async def compare(self) -> None:
        """Balances, histories and rounds of everybody are equal."""
        for player, currency in self.oracle.wallets:
            asked = {"playerExternalId": player, "currency": currency}
            found = await self.counter.get("/v1/player/wallet/balance", **asked)
            self.check("balance", asked, self.oracle.balance(player, currency), found)
            await self._compare_history(player, currency)
        rounds = Counter((player, provider, name) for player, _, provider, name in self.oracle.rounds)
        for player, currency, provider, round_id in self.oracle.rounds:
            # The question names no currency, so a round of two wallets is no question.
            if rounds[player, provider, round_id] > 1:
                continue
            asked = {"playerExternalId": player, "providerId": provider, "roundId": round_id}
            found = await self.counter.get("/v1/transaction/round", **asked)
            self.check("round", asked, self.oracle.round(player, currency, provider, round_id), found)

    async def _compare_history(self, player: str, currency: str) -> None:
        expected: list[tuple[object, ...]] = [
            (it.wish and it.wish.id, it.code == "OK", it.sequence, it.before, it.after)
            for it in self.oracle.listed(player, currency, include_refused=True)
        ]
        rows = await self.history(player, currency)
        # A rollback of nothing belongs to no wallet of a player who has several.
        nowhere = {
            it.wish.id
            for it in self.oracle.operations.values()
            if it.wish and it.currency is None and it.wish.player == player
        }
        found = [
            _row(row)
            for row in rows
            if row["type"] not in {"cashier", "bonus", "repayment", "hold"}
            and not row["externalId"].startswith("sweeper-")
            and (row["type"] != "rollback" or row["externalId"] not in nowhere)
        ]
        lacking, more = {*expected} - {*found}, {*found} - {*expected}
        after = "\n".join(map(str, self.asked))
        assert not lacking | more, f"{player} {currency}: lacks {lacking}, has {more}\nafter {after}"
        applied = [row for row in rows if row["applied"]]
        numbers = sorted(row["sequence"] for row in applied)
        assert numbers == list(range(1, self.oracle.wallets[player, currency].sequence + 1))
        balance = 0
        for row in sorted(applied, key=lambda row: int(row["sequence"])):
            assert row["balanceBefore"] == balance, row
            balance = row["balanceAfter"]


def _row(row: Mapping[str, Any]) -> tuple[object, ...]:
    code = row.get("code", "OK")
    return (row["externalId"], code == "OK", row["sequence"], row["balanceBefore"], row["balanceAfter"])


@asynccontextmanager
async def world(database: Database, clock: MovableClock, **decisions: object) -> AsyncIterator[World]:
    """Both on a fresh database, with the same policy."""
    async with counter.opened(database, clock) as made:
        if decisions:
            await made.decide(**{name: str(value).lower() for name, value in decisions.items()})
            async with database.transaction() as tx:
                await wallet.add_game(tx, made.site_id, wallet.Game(*LISTED, "", "", True), at=clock.now())
        yield World(made, database, Oracle(Policy(**decisions)))  # type: ignore[arg-type]
