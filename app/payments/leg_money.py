"""What moves in the ledger for one leg of a payout: held, captured, given back, taken again.

The caller holds the payment's lock, and writes where the leg stands.
"""

from datetime import datetime

from sqlalchemy import update

from app import ledger
from app.kernel.money import Money
from app.payments.legs import Leg, legs_of
from app.payments.queries import Payment
from app.payments.states import LegState
from app.payments.tables import legs
from app.plumbing.database import Transaction

__all__ = ["SOURCE", "bring_back", "give_back", "hold_again", "let_go", "pay"]

SOURCE = "payments"  # the namespace of our keys in the ledger


async def give_back(tx: Transaction, found: Payment, *, at: datetime) -> None:
    """Release all that is still held for a payout, and mark its legs; nothing of it is under way."""
    again = [leg for leg in await legs_of(tx, found) if leg.hold_id is not None]  # each of these held its own
    for held in [await _hold_of(tx, found, leg) for leg in (None, *again)]:
        if held is not None and held.remaining.minor:
            await ledger.release(tx, held, because=found.payment_id, at=at)
    its = (legs.c.site_id == found.site_id) & (legs.c.payment_id == found.payment_id)
    await tx.execute(update(legs).where(its).values(is_released=True))


async def pay(tx: Transaction, found: Payment, leg: Leg, paid: Money, at: datetime) -> bool:
    """The money has left: what was held is captured; what was given back or came back is taken, or owed.

    Where people accepted another sum, what is held beyond it is the player's again, and what it is more is
    taken, or owed.
    """
    # Never under the key of an earlier time: the ledger would repeat its answer, and nothing would move.
    is_again = leg.state is LegState.RETURNED
    again = f"again-{found.sequence}"
    held = await _hold_of(tx, found, leg)
    if held is None:
        movement = ledger.PAYOUT.from_merchant
        posted = await _post(tx, found, leg, again if is_again else movement.kind, movement, paid, at)
        return posted.is_posted
    if leg.is_released or is_again:
        taken = await ledger.take(
            tx, found.site_id, _demand(found, leg, again if is_again else "late", paid), at=at
        )
        assert taken, "a state is entered once, so each of its keys is new"
        return True
    key, because = f"leg-{leg.leg}", found.payment_id
    from_hold = min(leg.amount, paid)
    captured = await ledger.capture(
        tx, held, provider=leg.account, because=because, at=at, amount=from_hold, key=key
    )
    if paid < leg.amount:
        rest = leg.amount - paid
        await ledger.release(tx, held, because=because, at=at, amount=rest, key=f"{key}-rest")
    elif paid > leg.amount:
        beyond = _demand(found, leg, "beyond", paid - leg.amount)
        await ledger.take(tx, found.site_id, beyond, at=at)
    return captured.is_posted


async def bring_back(tx: Transaction, found: Payment, leg: Leg, amount: Money, at: datetime) -> None:
    """The bank sent it back: a new entry, never an edit of the old one."""
    why = f"returned-{found.sequence}"  # it may be paid again, and come back again
    if found.hold_id is None:
        await _post(tx, found, leg, why, ledger.PAYOUT.to_merchant, amount, at)
    else:
        given = await ledger.give(tx, found.site_id, _demand(found, leg, why, amount), at=at)
        assert given, "a state is entered once, so each of its keys is new"


async def let_go(tx: Transaction, found: Payment, leg: Leg, at: datetime) -> None:
    """Release what is still held for one leg: nothing of it was paid."""
    held = await _hold_of(tx, found, leg)
    if held is not None and not leg.is_released:
        await ledger.release(
            tx, held, because=found.payment_id, at=at, amount=leg.amount, key=f"leg-{leg.leg}"
        )


async def hold_again(tx: Transaction, found: Payment, leg: Leg, at: datetime) -> int | None:
    """Hold once more what was given back too early.

    Returns:
        the hold's number, 0 in seamless mode, None when the money is not there any more.
    """
    if found.hold_id is None:
        return 0
    # A key of its own each time: the ledger would repeat that the money was not there, when it is.
    again = f"again-{found.sequence}-{at.isoformat()}"
    wish = ledger.HoldRequest(
        SOURCE,
        f"{found.payment_id}:leg-{leg.leg}:{again}",
        found.player_id,
        leg.amount,
        found.payment_id,
    )
    held = await ledger.hold(tx, found.site_id, wish, at=at)
    return held.transfer_id if isinstance(held, ledger.Hold) else None


async def _hold_of(tx: Transaction, found: Payment, leg: Leg | None) -> ledger.Hold | None:
    """What is held for a payout, or for one leg that was opened again; None in seamless mode."""
    hold_id = (leg.hold_id if leg else None) or found.hold_id
    return None if hold_id is None else await ledger.find_hold(tx, found.site_id, hold_id)


def _demand(found: Payment, leg: Leg, why: str, amount: Money) -> ledger.Demand:
    return ledger.Demand(
        SOURCE,
        f"{found.payment_id}:leg-{leg.leg}:{why}",
        ledger.PAYOUT,
        amount,
        found.player_id,
        leg.account,
        found.payment_id,
    )


async def _post(
    tx: Transaction,
    found: Payment,
    leg: Leg,
    why: str,
    movement: ledger.Movement,
    amount: Money,
    at: datetime,
) -> ledger.Posted:
    """In seamless mode: between the merchant and the provider."""
    out = movement.target is ledger.Purpose.PROVIDER_CLEARING
    owners = ("site", leg.account) if out else (leg.account, "site")
    request = ledger.PostRequest(
        SOURCE,
        f"{found.payment_id}:leg-{leg.leg}:{why}",
        movement,
        amount,
        *owners,
        because=found.payment_id,
    )
    [posted] = await ledger.post(tx, found.site_id, [request], at=at)
    return posted
