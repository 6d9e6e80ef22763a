"""What a withdrawal would be, before it is asked for: what would go where, and why."""

from dataclasses import dataclass

from app import methods, players
from app.kernel.money import Money
from app.payments.closed_loop import Part
from app.payments.legs import policy
from app.payments.model import PayoutPolicy
from app.payments.payouts import PayoutWish, destination_of, ensure_possible
from app.payments.requests import parts_of
from app.payments.sources import name_of
from app.plumbing.database import Reader
from app.plumbing.pipes import Pipes

__all__ = ["PayoutPart", "PayoutPreview", "preview_payout"]


@dataclass(frozen=True, slots=True)
class PayoutPart:
    """So much would go to this instrument of the player's, and why.

    Args:
        instrument: where to.
        amount: all of this part.
        deposited: what came from there; None: nothing that is to go back.
        returned: what of that has gone back before.
        beyond: how much of the part is more than is to go back anywhere, so where the player chose.
    """

    instrument: methods.Instrument
    amount: Money
    deposited: Money | None
    returned: Money | None
    beyond: Money


@dataclass(frozen=True, slots=True)
class PayoutPreview:
    """A withdrawal as it would be asked for.

    Args:
        instrument_id: what the player chose or typed, under the id by which it is asked for.
        parts: what would go where; they sum to the amount.
        rules: what the site wants of its withdrawals.
    """

    instrument_id: str
    parts: tuple[PayoutPart, ...]
    rules: PayoutPolicy


async def preview_payout(pipes: Pipes, session: players.Session, wish: PayoutWish) -> PayoutPreview:
    """Say what a withdrawal would be, and ask for nothing.

    What was typed is kept as one of the player's instruments, so that the number of a card is told once, and
    the form that is sent next names it by its id.

    Raises:
        as `request_payout` for the same wish, but for its form key, which is not used.
    """
    site_id, player_id = session.player.site_id, session.player.player_id
    async with pipes.database.transaction() as tx:
        await ensure_possible(tx, session, wish, at=pipes.clock.now())
    where, account = await destination_of(pipes, session, wish)
    async with pipes.database.transaction() as tx:
        chosen = await methods.remember_instrument(
            tx, site_id, player_id, where, account=account, at=pipes.clock.now()
        )
        rules = await policy(tx, site_id, wish.amount.currency)
        looped = rules.closed_loop
        parts = await parts_of(tx, chosen, wish.amount) if looped else [_whole(chosen, wish.amount)]
        shown = [await _shown(tx, chosen, part) for part in parts]
    return PayoutPreview(chosen.instrument_id, tuple(shown), rules)


def _whole(chosen: methods.Instrument, amount: Money) -> Part:
    return Part(chosen.instrument_id, amount, f"{amount.text()} to {name_of(chosen)}", beyond=amount)


async def _shown(reader: Reader, chosen: methods.Instrument, part: Part) -> PayoutPart:
    known = chosen
    if part.instrument_id != chosen.instrument_id:
        known = await methods.instrument(reader, chosen.site_id, chosen.player_id, part.instrument_id)
    return PayoutPart(
        instrument=known,
        amount=part.amount,
        deposited=part.paid.deposited if part.paid else None,
        returned=part.paid.returned if part.paid else None,
        beyond=part.beyond or Money(0, part.amount.currency),
    )
