"""Whatever is asked, in whatever order, the product answers as a plain model of the contract does."""

import itertools
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from app import players
from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from tests import invariants
from tests.wallet.world import CURRENCIES, World, world

IS_NIGHT = os.environ.get("CASHIER_NIGHTLY") == "1"
EXAMPLES, SCENES_AT_MOST = (2000, 40) if IS_NIGHT else (80, 24)
# A failure tells all that was asked before it; making that short takes longer than a minute.
PHASES = (Phase.explicit, Phase.generate, *([Phase.shrink] if IS_NIGHT else []))
PLAYERS = ("anna", "boris", "clara")
STANDING = {
    "block": players.PlayerStatus.BLOCKED,
    "close": players.PlayerStatus.CLOSED,
    "activate": players.PlayerStatus.ACTIVE,
}
TRANSFERS, GAME = ("deposit", "withdraw"), ("bet", "win", "betwin", "rollback")
# A command: what is asked, with which number, and what is unusual about it.
Command = tuple[str, int, dict[str, Any]]

BAD_AMOUNTS: tuple[object, ...] = (True, "5", 1.0, 1.5, -1, None, 10**15 + 1, 10**30, [], {})
AMOUNTS = st.one_of(st.integers(0, 60), st.sampled_from((10**15, *BAD_AMOUNTS)))
BAD_IDS: tuple[object, ...] = ("", "a" * 129, "a\nb", "a\x00b", "a\x7fb", "\ud800", 5, True, [])
ODD_IDS = ("{}" + "a" * 100, "{}ünï/çødé %2F?", "{} ", "{}'; --", "{}null")
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
    "bet": {"freeRoundId": st.sampled_from(("spin", "spin", "spin", "none")), **MONEY, **PLAY},
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
    # Half are as usual, so that much succeeds and much is repeated word for word. One thing is unusual in the
    # others: of several wrong fields nobody promised which one is named.
    if draw(st.booleans()):
        return kind, draw(NUMBERS), {}
    name = draw(st.sampled_from(sorted(BY_KIND[kind])))
    odd = {name: draw(BY_KIND[kind][name])}
    if kind == "bet" and name == "freeRoundId":
        odd["amount"] = draw(st.sampled_from((0, 0, 5)))
    if odd.get("kind") == "free_round" and draw(st.booleans()):
        odd["freeRoundId"] = "spin"
    return kind, draw(NUMBERS), odd


@st.composite
def batches(draw: st.DrawFn) -> Command:
    name, kinds = draw(st.sampled_from((("wallet_batch", TRANSFERS), ("game_batch", GAME))))
    items = draw(st.lists(asked(kinds), max_size=5))
    odd = draw(st.sampled_from(("", "", "", "deposit", "bet", "jump")))
    return name, 0, {"items": items, "odd": odd, "allOrNone": draw(st.booleans())}


@st.composite
def lives(draw: st.DrawFn) -> list[Command]:
    """What happens around one bet, mostly as usual, in any order."""
    number = draw(NUMBERS)
    told = draw(st.lists(st.sampled_from(("bet", "win", "rollback", "betwin")), min_size=1, max_size=4))
    order = draw(st.sampled_from((["bet"], ["bet"], ["bet", "win"], ["bet", "rollback"], [])))
    finished = {"isRoundFinished": True} if draw(st.integers(0, 2)) == 0 else {}
    apart = {"transactionId": "{}another"} if draw(st.booleans()) else {}
    *others, last = order + told
    return [*((kind, number, {}) for kind in others), (last, number, finished | apart)]


@st.composite
def elsewhere(draw: st.DrawFn) -> list[Command]:
    """What happens while the site keeps its players' balances itself."""
    asked_then = draw(st.lists(asked(GAME + TRANSFERS) | batches(), min_size=1, max_size=4))
    return [("leave", 0, {}), *asked_then, ("return", 0, {})]


FOREIGN: Command = ("deposit", 0, {"transferId": "{}foreign", "currency": "EUR"})
NOBODY: Command = ("deposit", 0, {"playerExternalId": "{}nobody"})


def scripts(number: int) -> tuple[list[Command], ...]:
    """What chance alone would find too rarely."""
    rich = {"transferId": "{}rich", "amount": 10**15}
    opened = {"transactionId": "{}opened"}
    ended = {"transactionId": "{}ended", "isRoundFinished": True}
    late = {"transactionId": "{}late", "referenceId": "{}opened"}
    kinds = ("bet", "betwin", "win", "rollback")
    blocked: list[Command] = [
        ("block", number, {}),
        ("deposit", number, {"transferId": "{}blocked in"}),
        ("withdraw", number, {"transferId": "{}blocked out"}),
        *((kind, number, {}) for kind in kinds),
        ("activate", number, {}),
    ]
    moved: list[Command] = [
        ("deposit", number, {}),
        ("bet", number, {}),
        ("leave", number, {}),
        *((kind, number, {}) for kind in ("deposit", "withdraw", *kinds)),
        ("bet", number, {"amount": 0}),
        ("bet", number, {"amount": -1}),
        ("return", number, {}),
        ("withdraw", number, {}),
    ]
    return (
        blocked,
        [("deposit", number, rich), ("deposit", number, {"transferId": "{}more"}), FOREIGN, NOBODY],
        [
            ("bet", number, opened),
            ("bet", number, ended),
            ("win", number, late),
            ("rollback", number, {"referenceId": "{}opened"}),
        ],
        [("cash", 0, {}), ("launch", 0, {}), ("end", 0, {}), ("bet", 0, {})],
        [("rollback", number, {}), ("bet", number, {}), ("win", number, {}), ("betwin", number, {})],
        [("bet", number, {}), ("rollback", number, {}), ("rollback", number, {"transactionId": "{}again"})],
        [
            ("bet", number, {"transactionId": "{}lucky"}),
            ("win", number, {"transactionId": "{}luck", "referenceId": "{}lucky", "amount": 90}),
            ("withdraw", number, {"transferId": "{}gone", "all": True}),
            ("rollback", number, {"transactionId": "{}undone", "referenceId": "{}luck"}),
            ("deposit", number, {"transferId": "{}paid"}),
            ("deposit", number, {"transferId": "{}more paid"}),
        ],
        moved,
    )


OTHERS = st.sampled_from(
    ("void", "status", "block", "activate", "close", "bonus", "cash", "take", "launch", "end")
)
SCENES = st.one_of(
    NUMBERS.flatmap(lambda number: st.sampled_from(scripts(number))),
    lives(),
    lives(),
    asked(GAME).map(lambda command: [command]),
    asked(TRANSFERS).map(lambda command: [command]),
    batches().map(lambda command: [command]),
    elsewhere(),
    st.tuples(OTHERS, NUMBERS, st.just({})).map(lambda command: [command]),
)
# Some begin with money, some without.
BEGINNINGS = st.lists(
    st.tuples(NUMBERS, st.sampled_from((100, 100, 100, 10**15))).map(
        lambda it: ("deposit", it[0], {"transferId": f"{{}}first-{it[0]}", "amount": it[1]})
    ),
    min_size=2,
    max_size=6,
)
STORIES = st.builds(
    lambda beginning, script, scenes: [*beginning, *script, *itertools.chain(*scenes)],
    BEGINNINGS,
    NUMBERS.flatmap(lambda number: st.sampled_from(scripts(number))),
    st.lists(SCENES, min_size=SCENES_AT_MOST // 4, max_size=SCENES_AT_MOST),
)


# What a site may decide otherwise, each against its own model.
DECISIONS: dict[str, dict[str, object]] = {
    "bonus first": {"stake_order": "bonus_first", "one_bet_per_round": True, "max_bet": 9},
    "limits": {"max_transfer": 99, "max_balance": 150, "withdraw_while_round_open": False},
    "sessions": {"session_required": True, "id_scope": "player"},
    "ids by round": {"id_scope": "round"},
    "ids by provider": {"id_scope": "provider"},
    "caps on wins": {"max_win": 4, "reverse_wins": True},
    "wins taken back": {"reverse_wins": True},
    "listed games": {"listed_games_only": True},
    "wins taken back while there": {"reverse_wins": True, "short_reversal": "refuse"},
}
# What must have been told at least once, else the stories have become too simple.
TOLD = {
    "deposit": {"OK", "PLAYER_BLOCKED", "LIMIT_EXCEEDED"},
    "withdraw": {"OK", "PLAYER_BLOCKED", "INSUFFICIENT_FUNDS"},
    "bet": {"OK", "PLAYER_BLOCKED", "INSUFFICIENT_FUNDS", "ROLLED_BACK", "ROUND_CLOSED", "SESSION_EXPIRED"},
    "betwin": {"OK", "INSUFFICIENT_FUNDS", "ROUND_CLOSED"},
    "win": {"OK", "ROLLED_BACK", "ROUND_CLOSED"},
    "rollback": {"OK", "NOTHING_TO_REVERSE", "ALREADY_ROLLED_BACK", "ALREADY_SETTLED", "PARENT_FAILED"},
    "": {
        "VALIDATION",
        "PLAYER_NOT_FOUND",
        "CURRENCY_MISMATCH",
        "BET_NOT_FOUND",
        "ID_CONFLICT",
        "WRONG_WALLET_MODE",
    },
}
a_story = given(story=STORIES)


def settled(examples: int) -> settings:
    return settings(
        max_examples=examples,
        derandomize=not IS_NIGHT,
        deadline=None,
        database=None,
        phases=PHASES,
        suppress_health_check=list(HealthCheck),
    )


# Every script once, each about another number: what must be told does not hang on chance.
ALL_SCRIPTS: list[Command] = [
    *(("deposit", number, {"transferId": f"{{}}first-{number}", "amount": 100}) for number in range(6)),
    *itertools.chain(*(scripts(number % 6)[number] for number in range(8))),
]


@pytest.fixture
async def both(database: Database, clock: MovableClock) -> AsyncIterator[World]:
    async with world(database, clock) as made:
        yield made
    for kind, codes in TOLD.items():
        assert {code for code in codes if not made.heard[kind, code]} == set(), kind
    await invariants.hold(database)


@pytest.fixture(params=DECISIONS)
async def decided(
    request: pytest.FixtureRequest, database: Database, clock: MovableClock
) -> AsyncIterator[World]:
    async with world(database, clock, **DECISIONS[request.param]) as made:
        yield made
    await invariants.hold(database)


@pytest.mark.timeout(7200 if IS_NIGHT else 180)
@settled(EXAMPLES)
@example(story=ALL_SCRIPTS)
@a_story
async def test_the_product_answers_as_the_oracle(both: World, story: list[Command]) -> None:
    await carried_out(both, story)


@pytest.mark.timeout(7200 if IS_NIGHT else 120)
@settled(EXAMPLES // 8)
@a_story
async def test_whatever_the_site_decides(decided: World, story: list[Command]) -> None:
    await carried_out(decided, story)


async def carried_out(both: World, story: list[Command]) -> None:
    await both.forget()
    # Else it would soon be too many requests a second.
    both.counter.clock.advance(10)
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
        # Bet 0 is made in a session of its currency, if there is one: alive, ended, or another player's.
        self.session_of_the_first_bet: str | None = None

    def named(self, name: str) -> str:
        return self.prefix + name

    async def carry_out(self, kind: str, number: int, odd: dict[str, Any]) -> None:
        both, player = self.world, self.named(PLAYERS[number % 3])
        match kind:
            case "void":
                await both.void(self.named(f"t{number}"))
            case "status":
                await both.transfer_status(self.named(f"t{number}"))
            case "block" | "close" | "activate":
                await both.stand(player, STANDING[kind])
            case "leave" | "return":
                await both.keep_balances(is_seamless=kind == "leave")
            case "wallet_batch" | "game_batch":
                await both.ask(kind, self._batch(odd))
            case "deposit" | "withdraw" | "bet" | "win" | "betwin" | "rollback":
                await both.ask(kind, self._body(kind, number, odd))
            case _:
                await self._prepare(kind, number, player)

    async def _prepare(self, kind: str, number: int, player: str) -> None:
        both, currency = self.world, CURRENCIES[number % 2]
        match kind:
            case "bonus":
                await both.grant(player, currency, 10 + number)
            case "cash":
                await both.pay_in(player, currency, 10 + number)
            case "take":
                await both.take(player, currency, 30 + 9 * number)
            case "launch":
                session = await both.launch(player, currency)
                self.sessions += [session] if session else []
                if number % 2 == 0:
                    self.session_of_the_first_bet = session or self.session_of_the_first_bet
            case _:
                assert kind == "end", kind
                if self.sessions:
                    await both.end(self.sessions[number % len(self.sessions)])

    def _batch(self, odd: dict[str, Any]) -> dict[str, Any]:
        items = [{"type": kind, **self._body(kind, number, more)} for kind, number, more in odd["items"]]
        if odd["odd"] and items:
            items[-1]["type"] = odd["odd"]
        names = [str(item.get("transferId", item.get("transactionId"))) for item in items]
        # What an id is told that stands twice in a batch that is undone, has a test of its own.
        together = odd["allOrNone"] and len({*names}) == len(names)
        return {"operations": items, **({"allOrNone": True} if together else {})}

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
        if kind == "bet" and number == 0 and self.session_of_the_first_bet:
            body["sessionId"] = self.session_of_the_first_bet
        body |= odd
        if body.get("all") is True and "amount" not in odd:
            del body["amount"]
        return {name: self._own(value) for name, value in body.items()}

    def _own(self, value: object) -> object:
        return value.replace("{}", self.prefix) if isinstance(value, str) else value
