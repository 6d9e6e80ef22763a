"""Whatever is asked, in whatever order, the product answers as a plain model of the contract does."""

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import players
from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests import invariants
from tests.wallet.world import CURRENCIES, World, world

IS_NIGHT = os.environ.get("CASHIER_NIGHTLY") == "1"
EXAMPLES, COMMANDS = (2000, 60) if IS_NIGHT else (60, 40)
PLAYERS = ("anna", "boris", "clara")
TRANSFERS, GAME = ("deposit", "withdraw"), ("bet", "win", "betwin", "rollback")
# A command: what is asked, with which number, and what is unusual about it.
Command = tuple[str, int, dict[str, Any]]

BAD_AMOUNTS = (True, "5", 1.0, 1.5, -1, None, 10**15 + 1, 10**30, [], {})
AMOUNTS = st.one_of(st.integers(0, 60), st.sampled_from((10**15, *BAD_AMOUNTS)))
BAD_IDS = ("", "a" * 129, "a\nb", "a\x00b", "a\x7fb", "\ud800", 5, True, [])
ODD_IDS = ("a" * 128, "ünï/çødé %2F?", " ", "'; --", "null")
NUMBERS = st.integers(0, 5)
BETS = NUMBERS.map("{{}}b{}".format)
ANY_ID = st.one_of(
    *(NUMBERS.map(f"{{{{}}}}{letter}{{}}".format) for letter in "bwxp"), st.sampled_from(BAD_IDS + ODD_IDS)
)
ROUNDS = st.one_of(
    st.sampled_from([f"{{}}{number}{currency}" for number in range(2) for currency in CURRENCIES]),
    st.sampled_from(BAD_IDS),
)
FLAGS = st.sampled_from((True, True, False, "true", 1))
UNUSUAL: dict[str, st.SearchStrategy[Any]] = {
    "playerExternalId": st.sampled_from([*(f"{{}}{name}" for name in PLAYERS), "{}nobody", "", 7]),
    "currency": st.sampled_from((*CURRENCIES, "EUR", "kzt", "XQQ", "", 5)),
}
MONEY = {"amount": AMOUNTS, **UNUSUAL}
PLAY = {"transactionId": ANY_ID, "roundId": ROUNDS, "isRoundFinished": FLAGS, "gameCode": st.just("dice")}
BY_KIND: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "deposit": {"transferId": ANY_ID, **MONEY},
    "withdraw": {"transferId": ANY_ID, "all": FLAGS, **MONEY},
    "bet": {"freeRoundId": st.just("spin"), **MONEY, **PLAY},
    "win": {
        "referenceId": BETS | ANY_ID,
        "kind": st.sampled_from(("win", "jackpot", "promo", "free_round", "tip")),
        "freeRoundId": st.just("spin"),
        **MONEY,
        **PLAY,
    },
    "betwin": {"betAmount": AMOUNTS, "winAmount": AMOUNTS, **UNUSUAL, **PLAY},
    "rollback": {
        "transactionId": ANY_ID,
        "referenceId": BETS | ANY_ID,
        "roundId": ROUNDS,
        "amount": AMOUNTS,
        "playerExternalId": UNUSUAL["playerExternalId"],
    },
}


@st.composite
def asked(draw: st.DrawFn, kinds: tuple[str, ...]) -> Command:
    kind = draw(st.sampled_from(kinds))
    unusual = draw(st.lists(st.sampled_from(sorted(BY_KIND[kind])), max_size=2, unique=True))
    # Half are as usual, so that much succeeds and much is repeated word for word.
    odd = {name: draw(BY_KIND[kind][name]) for name in unusual} if draw(st.booleans()) else {}
    return kind, draw(NUMBERS), odd


@st.composite
def batches(draw: st.DrawFn) -> Command:
    name, kinds = draw(st.sampled_from((("wallet_batch", TRANSFERS), ("game_batch", GAME))))
    items = draw(st.lists(asked(kinds), max_size=5))
    odd = draw(st.sampled_from(("", "", "", "deposit", "bet", "jump")))
    return name, 0, {"items": items, "odd": odd, "allOrNone": draw(st.booleans())}


OTHERS = st.sampled_from(("void", "status", "block", "activate", "close", "bonus", "cash", "launch", "end"))
COMMANDS_OF_A_STORY = st.lists(
    st.one_of(
        asked(("deposit", "bet")),
        asked(GAME),
        asked(("bet", "win", "rollback")),
        asked(TRANSFERS),
        batches(),
        st.tuples(OTHERS, NUMBERS, st.just({})),
    ),
    min_size=COMMANDS // 4,
    max_size=COMMANDS,
)


@pytest.fixture
async def both(database: Database, clock: MovableClock) -> AsyncIterator[World]:
    async with world(database, clock) as made:
        yield made
    await invariants.hold(database)


@pytest.mark.timeout(3600 if IS_NIGHT else 180)
@settings(
    max_examples=EXAMPLES,
    derandomize=not IS_NIGHT,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(story=COMMANDS_OF_A_STORY)
async def test_the_product_answers_as_the_oracle(both: World, story: list[Command]) -> None:
    both.forget()
    both.counter.clock.advance(1)
    told = Story(both)
    await both.create(*(told.named(name) for name in PLAYERS))
    for command in story:
        await told.carry_out(*command)
    await both.compare()


class Story:
    """One list of commands; its ids are its own, so that many stories share a database."""

    def __init__(self, both: World) -> None:
        self.world = both
        self.prefix = f"{next(both.counter.numbers)}-"
        self.sessions: list[str] = []

    def named(self, name: str) -> str:
        return self.prefix + name

    async def carry_out(self, kind: str, number: int, odd: dict[str, Any]) -> None:
        both, player = self.world, self.named(PLAYERS[number % 3])
        currency = CURRENCIES[number % 2]
        match kind:
            case "void":
                await both.void(self.named(f"t{number}"))
            case "status":
                await both.transfer_status(self.named(f"t{number}"))
            case "block" | "close":
                status = players.PlayerStatus.BLOCKED if kind == "block" else players.PlayerStatus.CLOSED
                await both.stand(player, status)
            case "activate":
                await both.stand(player, players.PlayerStatus.ACTIVE)
            case "bonus" | "cash":
                await both.grant(player, currency, **{kind: 10 + number})
            case "launch":
                session = await both.launch(player, currency)
                self.sessions += [session] if session else []
            case "end" if self.sessions:
                await both.end(self.sessions[number % len(self.sessions)])
            case "wallet_batch" | "game_batch":
                await both.ask(kind, self._batch(odd))
            case "deposit" | "withdraw" | "bet" | "win" | "betwin" | "rollback":
                await both.ask(kind, self._body(kind, number, odd))

    def _batch(self, odd: dict[str, Any]) -> dict[str, Any]:
        items = [{"type": kind, **self._body(kind, number, more)} for kind, number, more in odd["items"]]
        if odd["odd"] and items:
            items[-1]["type"] = odd["odd"]
        return {"operations": items, **({"allOrNone": True} if odd["allOrNone"] else {})}

    def _body(self, kind: str, number: int, odd: dict[str, Any]) -> dict[str, Any]:
        """The usual content of this number, so that it comes again, and what is unusual this time."""
        currency = CURRENCIES[number % 2]
        body: dict[str, Any] = {"playerExternalId": "{}" + PLAYERS[number % 3], "currency": currency}
        if kind in TRANSFERS:
            body |= {"transferId": f"{{}}t{number}", "amount": 40 + 7 * number}
        else:
            letter = {"bet": "b", "win": "w", "betwin": "p", "rollback": "x"}[kind]
            body |= {"transactionId": f"{{}}{letter}{number}", "providerId": "acme", "gameCode": "aviator"}
            body["roundId"] = f"{{}}{number // 2 % 2}{currency}"
            body |= {"bet": {"amount": 5 + number}, "betwin": {"betAmount": 4, "winAmount": number}}.get(
                kind, {}
            )
        if kind == "win":
            body |= {"referenceId": f"{{}}b{number}", "amount": 3 * number}
        if kind == "rollback":
            body["referenceId"] = f"{{}}b{number}"
            del body["roundId"], body["currency"]
        if kind == "bet" and number == 0 and self.sessions:
            body["sessionId"] = self.sessions[-1]
        body |= odd
        if body.get("all") is True and "amount" not in odd:
            del body["amount"]
        return {name: self._own(value) for name, value in body.items()}

    def _own(self, value: object) -> object:
        return value.replace("{}", self.prefix) if isinstance(value, str) else value
