"""How many new places to send money to a player may name: more than a person has, and cards are tried out."""

from datetime import datetime, timedelta
from typing import Final

from app import methods
from app.kernel.errors import Refusal
from app.payments.legs import lock_player
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes

__all__ = ["NEW_AT_MOST", "TooManyInstruments", "check_new", "count_trial"]

NEW_AT_MOST: Final = 20  # within so long; also numbers that the bank was asked about, whatever it said
_NEW_FOR: Final = timedelta(hours=24)


class TooManyInstruments(Refusal):
    """You have entered {most} new cards, accounts or telephones today; choose one that you used before."""


async def check_new(tx: Transaction, site_id: int, player_id: str, *, at: datetime) -> None:
    """Refuse another new place to send money to.

    Raises:
        TooManyInstruments: the player has named enough of them.
    """
    if await methods.new_instruments(tx, site_id, player_id, since=at - _NEW_FOR) >= NEW_AT_MOST:
        raise TooManyInstruments(most=NEW_AT_MOST)


async def count_trial(pipes: Pipes, site_id: int, player_id: str) -> None:
    """Count that the bank is about to be asked about a number, one at a time of a player.

    Before it is asked: what it declines counts too, and so does what is asked at once.

    Raises:
        TooManyInstruments: it was asked about enough of them; this one it does not hear of.
    """

    async def count(tx: Transaction) -> None:
        await lock_player(tx, player_id)
        at = pipes.clock.now()
        if not await methods.note_trial(tx, site_id, player_id, since=at - _NEW_FOR, most=NEW_AT_MOST, at=at):
            raise TooManyInstruments(most=NEW_AT_MOST)

    await pipes.database.retried(count)
