"""Operators and game platforms under load: many clients over real sockets, and a note of every answer."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any, Final

import httpx

Json = dict[str, Any]

# The answer says that nothing was done; everything else that is not final leaves the outcome unknown.
NOT_DONE: Final = frozenset({"OVERLOADED", "RATE_LIMITED", "IN_PROGRESS"})
PATIENCE_SECONDS: Final = 30.0
TRANSFERS: Final = frozenset({"deposit", "withdraw"})
_PAUSE_SECONDS: Final = 0.05
# How often each is wanted; the last three need a bet that is still open.
_WEIGHTS: Final = {"deposit": 20, "withdraw": 8, "bet": 35, "betwin": 6, "early": 3}
_UPON_BETS: Final = {"win": 20, "rollback": 6, "race": 2}


class Heard(StrEnum):
    """What a client knows of an operation."""

    NOTHING = "nothing"
    NOT_DONE = "not done"
    UNKNOWN = "unknown"
    FINAL = "final"


@dataclass(slots=True)
class Wish:
    """One operation: what is asked, again and again with the same content, and the answer that ended it."""

    type: str
    key: str
    body: Json
    heard: Heard = Heard.NOTHING
    status: int = 0
    answer: Json = field(default_factory=dict)
    was_unknown: bool = False

    @property
    def is_final(self) -> bool:
        """Whether its answer says how it ended."""
        return self.heard is Heard.FINAL

    @property
    def path(self) -> str:
        """Where it is asked."""
        return f"/v1/player/wallet/{self.type}" if self.type in TRANSFERS else f"/v1/game/{self.type}"

    @property
    def player(self) -> str:
        """Whose money."""
        return str(self.body["playerExternalId"])

    @property
    def code(self) -> str:
        """How it ended."""
        return str(self.answer["code"])

    @property
    def data(self) -> Json:
        """What the answer says."""
        return dict(self.answer["data"])


@dataclass
class Load:
    """All the clients of one site.

    Args:
        addresses: web processes; a client takes any of them.
        tokens: by scope.
        players: the site's ids of them.
        chance: what is wanted next.
    """

    addresses: Sequence[str]
    tokens: Mapping[str, str]
    players: Sequence[str]
    chance: Random
    wishes: dict[str, Wish] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _webs: list[httpx.AsyncClient] = field(default_factory=list)
    _open_bets: list[Wish] = field(default_factory=list)

    def of(self, *heard: Heard) -> list[Wish]:
        """The operations of which so much is known."""
        return [wish for wish in self.wishes.values() if wish.heard in heard]

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Keep connections to the web processes for the time of a block."""
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._webs = [
            httpx.AsyncClient(base_url=address, timeout=5, trust_env=False, limits=limits)
            for address in self.addresses
        ]
        try:
            yield
        finally:
            for web in self._webs:
                await web.aclose()

    @asynccontextmanager
    async def running(self, clients: int) -> AsyncIterator[None]:
        """Let so many clients ask, one thing after the other, for the time of a block."""
        self.ended.clear()
        asking = [asyncio.create_task(self._client()) for _ in range(clients)]
        try:
            yield
        finally:
            self.ended.set()
            await asyncio.gather(*asking)

    async def create_players(self) -> None:
        """Everybody with an empty wallet."""
        for player in self.players:
            body = {"playerExternalId": player, "currency": "KZT"}
            made = await self._webs[0].post("/v1/player/create", json=body, headers=self._token("wallet"))
            assert made.status_code == 200, made.text

    async def get(self, path: str) -> httpx.Response:
        """Ask a question, until somebody answers."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    return await self.chance.choice(self._webs).get(path, headers=self._token("read"))
                except httpx.TransportError:
                    await asyncio.sleep(_PAUSE_SECONDS)

    async def post(self, path: str, body: object, scope: str) -> httpx.Response:
        """Ask for anything."""
        return await self.chance.choice(self._webs).post(path, json=body, headers=self._token(scope))

    async def ask(self, wish: Wish) -> None:
        """Ask once, and note what is known now."""
        try:
            reply = await self.post(wish.path, wish.body, "wallet" if wish.type in TRANSFERS else "play")
            answer = reply.json()
            code = str(answer["code"])
        except (httpx.HTTPError, ValueError, KeyError):
            wish.heard, wish.was_unknown = Heard.UNKNOWN, True
            return
        if code in NOT_DONE:
            # Of what was unknown before, this says only that the second asking did nothing.
            wish.heard = Heard.UNKNOWN if wish.was_unknown else Heard.NOT_DONE
        elif code == "INTERNAL":
            wish.heard, wish.was_unknown = Heard.UNKNOWN, True
        else:
            wish.heard, wish.status, wish.answer = Heard.FINAL, reply.status_code, answer

    async def resolve(self) -> Counter[str]:
        """Ask for everything until each has its final answer; how much that was unknown had been done."""
        not_done = self.of(Heard.NOT_DONE)
        await self._check_not_done(not_done)
        unknown = self.of(Heard.UNKNOWN)
        # What platforms do about a bet that was not answered: some take it back, some ask again, some both.
        undone = [
            self._rollback(wish.key, wish.player)
            for wish in unknown
            if wish.type == "bet" and self.chance.random() < 0.5
        ]
        for wishes in (undone, [*unknown, *not_done]):
            await asyncio.gather(*(self._until_final(wish) for wish in wishes))
        return Counter("done" if wish.data["duplicate"] else "not done" for wish in unknown)

    async def _check_not_done(self, wishes: Iterable[Wish]) -> None:
        """What was answered as not done does not exist."""
        for wish in wishes:
            found = await self.get(f"/v1/transaction/by-reference/{wish.key}")
            assert found.status_code == 404, f"answered as not done, but {found.text}"

    async def _until_final(self, wish: Wish) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.ask(wish)
            while not wish.is_final:
                await asyncio.sleep(_PAUSE_SECONDS)
                await self.ask(wish)

    async def _client(self) -> None:
        while not self.ended.is_set():
            wishes = self._wanted()
            await asyncio.gather(*(self.ask(wish) for wish in wishes))
            for wish in wishes:
                if wish.heard is Heard.UNKNOWN and self.chance.random() < 0.3:
                    await self.ask(wish)  # at once, also while the first may still be running
                if wish.type == "bet" and wish.is_final and wish.code == "OK":
                    self._open_bets.append(wish)
            if not all(wish.is_final for wish in wishes):
                await asyncio.sleep(_PAUSE_SECONDS)

    def _wanted(self) -> list[Wish]:
        """What a client does next: mostly one operation."""
        weights = _WEIGHTS | _UPON_BETS if self._open_bets else _WEIGHTS
        [what] = self.chance.choices([*weights], [*weights.values()])
        player = self.chance.choice(self.players)
        match what:
            case "deposit" | "withdraw":
                return [self._noted(what, f"t-{len(self.wishes)}", player, amount=self._amount())]
            case "bet":
                return [self._play(what, player, amount=self._amount())]
            case "betwin":
                return [self._play(what, player, betAmount=self._amount(), winAmount=self._amount())]
            case "early":
                bet = self._play("bet", player, amount=self._amount())
                return [self._rollback(bet.key, player), bet]
            case _:
                return self._upon_a_bet(what)

    def _upon_a_bet(self, what: str) -> list[Wish]:
        bet = self._open_bets.pop(self.chance.randrange(len(self._open_bets)))
        if what == "win":
            # The bet stays open, and may be won once more or be rolled back too late.
            self._open_bets.extend([bet] if self.chance.random() < 0.2 else [])
            return [self._win(bet)]
        return [*([self._win(bet)] if what == "race" else []), self._rollback(bet.key, bet.player)]

    def _amount(self) -> int:
        return self.chance.randint(1, 1000)

    def _play(self, what: str, player: str, **amounts: int) -> Wish:
        key = f"g-{len(self.wishes)}"
        return self._noted(what, key, player, **amounts, roundId=f"r-{key}", gameCode="aviator")

    def _win(self, bet: Wish) -> Wish:
        more = {"roundId": bet.body["roundId"], "gameCode": bet.body["gameCode"], "referenceId": bet.key}
        finished = self.chance.random() < 0.5
        key = f"g-{len(self.wishes)}"
        return self._noted("win", key, bet.player, amount=self._amount(), isRoundFinished=finished, **more)

    def _rollback(self, bet: str, player: str) -> Wish:
        return self._noted("rollback", f"g-{len(self.wishes)}", player, referenceId=bet)

    def _noted(self, what: str, key: str, player: str, **more: object) -> Wish:
        body: Json = {"playerExternalId": player, **more}
        if what != "rollback":
            body["currency"] = "KZT"
        if what in TRANSFERS:
            body["transferId"] = key
        else:
            body |= {"transactionId": key, "providerId": "acme"}
        made = self.wishes[key] = Wish(what, key, body)
        return made

    def _token(self, scope: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens[scope]}"}
