"""The money of a deposit: credited, and taken again where it was not paid or its player's bank has it.

The caller holds the payment's lock and writes what the payment is then, in the same transaction.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from app import ledger, merchants
from app.kernel.money import Money
from app.payments.queries import Payment
from app.payments.states import SubStatus
from app.plumbing.database import Reader, Transaction

__all__ = ["charge_back", "credit", "is_the_players", "take_again", "was_charged_back", "win_back"]

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
        await _move(tx, found, f"{found.payment_id}:again-{found.sequence}", amount, is_out=False, at=at)
        return True
    site = await merchants.site(tx, found.site_id)
    to_player = site.wallet_mode is merchants.WalletMode.TRANSFER
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

    From the merchant, who was credited in seamless mode. A new entry, never an edit of the old one.
    """
    await _move(tx, found, f"{found.payment_id}:reversal-{found.sequence}", amount, is_out=True, at=at)


async def charge_back(tx: Transaction, found: Payment, key: str, amount: Money, *, at: datetime) -> None:
    """The player's bank has taken it by a dispute: from whoever had it, as `take_again`; `key` is new."""
    await _move(tx, found, key, amount, is_out=True, at=at, by=ledger.CHARGEBACK)


async def was_charged_back(reader: Reader, found: Payment, keys: Sequence[str]) -> bool:
    """Whether anything was ever taken under one of these keys."""
    parts = [f"{key}{part}" for key in keys for part in ("", ":cash", ":debt")]  # see `ledger.take`
    return bool(await ledger.posted_kinds(reader, found.site_id, _SOURCE, parts))


async def win_back(tx: Transaction, found: Payment, key: str, amount: Money, *, at: datetime) -> None:
    """The player's bank has given it back: to whom it was taken from; `key` is new."""
    await _move(tx, found, key, amount, is_out=False, at=at, by=ledger.CHARGEBACK)


async def is_the_players(reader: Reader, found: Payment) -> bool:
    """Whether a deposit was credited to the player, and not to the merchant: what goes back is theirs.

    As it was booked, whoever keeps the balances of the site by now.
    """
    key = f"{found.payment_id}:credit"
    keys = [key, *(f"{key}-{number}" for number in range(1, found.sequence + 1))]
    kinds = await ledger.posted_kinds(reader, found.site_id, _SOURCE, keys)
    assert kinds, "only what was credited goes back"
    return kinds[0] == ledger.DEPOSIT_TO_PLAYER.kind


async def _move(
    tx: Transaction,
    found: Payment,
    key: str,
    amount: Money,
    *,
    is_out: bool,
    at: datetime,
    by: ledger.Outflow = ledger.REVERSAL,
) -> None:
    if await is_the_players(tx, found):
        demand = ledger.Demand(_SOURCE, key, by, amount, found.player_id, found.account, found.payment_id)
        moves = ledger.take if is_out else ledger.give
        posted = await moves(tx, found.site_id, demand, at=at)
    else:
        movement = by.from_merchant if is_out else by.to_merchant
        owners = ("site", found.account) if is_out else (found.account, "site")
        request = ledger.PostRequest(_SOURCE, key, movement, amount, *owners, because=found.payment_id)
        posted = await ledger.post(tx, found.site_id, [request], at=at)
    assert posted, "each of its keys is new"
    assert all(one.is_posted for one in posted), (
        "what is taken is there or owed, and what is given was here before"
    )
