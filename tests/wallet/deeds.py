"""What another process, another room or a person may do to a player while nobody here looks."""

from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import text

from app import ledger
from app.kernel.money import Money
from app.wallet.queries import lock_wallets
from app.wallet.schemas import game_ask
from app.wallet.terms import Ask, Code, Policy, Type
from tests.wallet.counter import Counter, Json

__all__ = ["CHANGES", "Deed", "close_the_round", "deposit", "dispute", "hold_all", "play", "player"]

Deed = Callable[[Counter], Awaitable[object]]


def play(kind: Type, key: str, **more: object) -> Deed:
    """A platform's operation that reaches another process."""
    body: Json = {"transactionId": key, "playerExternalId": "aigerim", "providerId": "acme"}
    if kind is not Type.ROLLBACK:
        body |= {"currency": "KZT", "roundId": "r-1", "gameCode": "aviator"}

    async def deed(counter: Counter) -> None:
        ask = game_ask(kind, body | more, lambda _: Policy(), "req_other")
        [answer] = await counter.journal.run(counter.site_id, [ask])
        assert answer.code in {Code.OK, Code.NOTHING_TO_REVERSE}

    return deed


def deposit(key: str, player: str = "aigerim") -> Ask:
    """Ten minor units, as a batch is asked for them."""
    return Ask(Type.DEPOSIT, "operator", key, player, Policy(), b"print", "req_x", currency="KZT", amount=10)


async def hold_all(counter: Counter) -> None:
    """A withdrawal from the cashier's page, which moves the cash in another room."""
    who = await player(counter)
    async with counter.pipes.database.transaction() as tx:
        wish = ledger.HoldRequest("payments", "h-1", who, Money(950, "KZT"), "wdr_1")
        assert isinstance(await ledger.hold(tx, counter.site_id, wish, at=counter.clock.now()), ledger.Hold)


async def dispute(counter: Counter, key: str = "d-1") -> None:
    """A lost dispute of somebody who has nothing: it moves no cash."""
    who = await player(counter)
    async with counter.pipes.database.transaction() as tx:
        demand = ledger.Demand("payments", key, ledger.CHARGEBACK, Money(70, "KZT"), who, "psp", "dsp_1")
        await ledger.take(tx, counter.site_id, demand, at=counter.clock.now())


async def close_the_round(counter: Counter) -> None:
    """The house ends a round that its platform has forgotten."""
    who = await player(counter)
    async with counter.pipes.database.transaction() as tx:
        await lock_wallets(tx, counter.site_id, who)
        await tx.execute(text("UPDATE wallet_round SET state = 'completed' WHERE round_id = 'r-1'"))


async def player(counter: Counter) -> str:
    return str((await counter.rows("SELECT player_id FROM player"))[0].player_id)


# What is done, what is asked then of a player who has 1000 and the bet b-1 of 100 in the round r-1, and
# what the answer is.
CHANGES: Final[list[tuple[str, Deed, str, Json, str]]] = [
    (
        "a bet takes the money",
        play(Type.BET, "o-1", amount=950),
        "bet",
        {"amount": 100},
        "INSUFFICIENT_FUNDS",
    ),
    ("a hold takes the money", hold_all, "bet", {"amount": 100}, "INSUFFICIENT_FUNDS"),
    ("the round is closed", close_the_round, "bet", {"amount": 100}, "ROUND_CLOSED"),
    (
        "the bet is rolled back before it has come",
        play(Type.ROLLBACK, "o-1", referenceId="ours"),
        "bet",
        {"amount": 100},
        "ROLLED_BACK",
    ),
    (
        "the bet of the win is rolled back",
        play(Type.ROLLBACK, "o-1", referenceId="b-1"),
        "win",
        {"amount": 100, "referenceId": "b-1"},
        "ROLLED_BACK",
    ),
    (
        "the win is rolled back before it has come",
        play(Type.ROLLBACK, "o-1", referenceId="ours"),
        "win",
        {"amount": 100, "referenceId": "b-1"},
        "ROLLED_BACK",
    ),
    (
        "the win ends the round",
        play(Type.WIN, "o-1", amount=10, referenceId="b-1", isRoundFinished=True),
        "bet",
        {"amount": 100},
        "ROUND_CLOSED",
    ),
    (
        "the same id with other content",
        play(Type.BET, "ours", amount=7),
        "bet",
        {"amount": 100},
        "ID_CONFLICT",
    ),
    ("the same bet", play(Type.BET, "ours", amount=100), "bet", {"amount": 100}, "OK"),
]
