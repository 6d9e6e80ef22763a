"""The money of a deposit: credited, taken again where it was not paid after all, and given back where it was.

The caller holds the payment's lock and writes what the payment is then, in the same transaction.
"""

from datetime import datetime
from typing import Final

from app import ledger, merchants
from app.kernel.money import Money
from app.payments.queries import Payment
from app.payments.states import SubStatus
from app.plumbing.database import Transaction

__all__ = ["credit", "take_again"]

_SOURCE: Final = "payments"  # the namespace of our keys in the ledger


async def credit(tx: Transaction, found: Payment, amount: Money, *, at: datetime) -> bool:
    """Money the provider holds for us becomes the player's (balance transfer mode) or the merchant's.

    Args:
        tx: the transaction of the change.
        found: the deposit before it. Of one that was reversed the money comes again: what the player owes is
            repaid first, for it was this money that was not there.
        amount: what came.
        at: this instant.

    Returns:
        Whether the ledger took it; what it refuses is a case for people, and stays the ledger's stored
        answer.
    """
    if found.sub_status is SubStatus.REVERSED:
        # Never under the first credit's key: the ledger would repeat its answer, and nothing would move.
        await _move(tx, found, f"again-{found.sequence}", amount, is_out=False, at=at)
        return True
    to_player = await _is_ours(tx, found)
    in_conflict = found.sub_status is SubStatus.CONFLICTED
    request = ledger.PostRequest(
        source=_SOURCE,
        # Out of a conflict under a key of its own: the first may have been refused, which stays its answer.
        key=f"{found.payment_id}:credit" + (f"-{found.sequence}" if in_conflict else ""),
        movement=ledger.DEPOSIT_TO_PLAYER if to_player else ledger.DEPOSIT_TO_MERCHANT,
        amount=amount,
        source_owner=found.account,
        target_owner=found.player_id if to_player else "site",
        because=found.payment_id,
    )
    [posted] = await ledger.post(tx, found.site_id, [request], at=at)
    return posted.is_posted


async def take_again(tx: Transaction, found: Payment, amount: Money, *, at: datetime) -> None:
    """It was not paid after all: from the player's cash as far as it is there, and owed beyond that.

    In seamless mode from the merchant. A new entry, never an edit of the old one.
    """
    await _move(tx, found, f"reversal-{found.sequence}", amount, is_out=True, at=at)


async def _move(
    tx: Transaction, found: Payment, word: str, amount: Money, *, is_out: bool, at: datetime
) -> None:
    key = f"{found.payment_id}:{word}"
    if await _is_ours(tx, found):
        demand = ledger.Demand(
            _SOURCE, key, ledger.REVERSAL, amount, found.player_id, found.account, found.payment_id
        )
        moves = ledger.take if is_out else ledger.give
        posted = await moves(tx, found.site_id, demand, at=at)
    else:
        movement = ledger.REVERSAL.from_merchant if is_out else ledger.REVERSAL.to_merchant
        owners = ("site", found.account) if is_out else (found.account, "site")
        request = ledger.PostRequest(_SOURCE, key, movement, amount, *owners, because=found.payment_id)
        posted = await ledger.post(tx, found.site_id, [request], at=at)
    assert posted, "a state is entered once, so each of its keys is new"
    assert all(one.is_posted for one in posted), (
        "what is taken is there or owed, and what is given was here before"
    )


async def _is_ours(tx: Transaction, found: Payment) -> bool:
    """Whether the player's balance is kept by us, and not by the merchant."""
    site = await merchants.site(tx, found.site_id)
    return site.wallet_mode is merchants.WalletMode.TRANSFER
