"""What large batches are tested with: two players who are remembered, and bets and wins of theirs."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.wallet.contract import Answer
from app.wallet.schemas import game_ask
from app.wallet.terms import Ask, Code, Policy, Type
from tests import invariants
from tests.wallet.counter import Counter, Json, opened

__all__ = ["bet", "codes", "remembering", "rounds", "win"]

_PLAYERS = ("aigerim", "bolat")


@asynccontextmanager
async def remembering(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """Two players with 1000 tenge each, remembered by the counter's journal; four are a large batch."""
    async with opened(database, clock) as made:
        for login in _PLAYERS:
            await made.player(login, cash=1100)
        warm = [bet(f"b-{number}", login, round_id="r-1") for number, login in enumerate(_PLAYERS, 1)]
        assert codes(await made.journal.run(made.site_id, warm)) == [Code.OK] * 2
        yield made
    await invariants.hold(database)


def bet(key: str, login: str = "aigerim", amount: int = 100, round_id: str = "") -> Ask:
    body: Json = {"transactionId": key, "playerExternalId": login, "currency": "KZT", "amount": amount}
    body |= {"roundId": round_id or f"r-{key}", "gameCode": "aviator", "providerId": "acme"}
    return game_ask(Type.BET, body, lambda _: Policy(), "req_test")


def win(key: str, reference: str, login: str = "aigerim", amount: int = 90, **more: object) -> Ask:
    body: Json = {"transactionId": key, "playerExternalId": login, "currency": "KZT", "amount": amount}
    body |= {"roundId": f"r-{reference}", "gameCode": "aviator", "providerId": "acme"}
    return game_ask(Type.WIN, body | {"referenceId": reference} | more, lambda _: Policy(), "req_test")


def codes(answers: Sequence[Answer]) -> list[Code]:
    return [answer.code for answer in answers]


def rounds(prefix: str, login: str = "aigerim", pairs: int = 3) -> list[Ask]:
    """A bet and its win by turns, ten less than before with each."""
    asks = []
    for number in range(pairs):
        key = f"{prefix}.{number}"
        asks += [bet(key, login), win(f"{key}w", key, login, isRoundFinished=True)]
    return asks
