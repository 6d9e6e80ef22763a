"""What the operator has with the house: funded when its money has come, given back when it is asked for."""

from datetime import datetime
from typing import Final

from app import ledger, merchants, staff
from app.kernel.money import Money
from app.plumbing.database import Reader, Transaction
from app.wallet.contract import Refused
from app.wallet.terms import Code

__all__ = ["float_of", "fund_float", "return_float"]

_SOURCE: Final = "wallet.float"


async def float_of(reader: Reader, site_id: int, currency: str) -> Money:
    """What an operator has left in one currency; below nothing: what it owes, where nothing is prepaid."""
    return await ledger.balance(reader, site_id, _account(currency))


async def fund_float(
    tx: Transaction, site_id: int, amount: Money, key: str, *, at: datetime, by: str = staff.SYSTEM
) -> ledger.Posted:
    """Note that an operator's money has come, once for each key.

    Args:
        tx: the caller's transaction.
        site_id: whose.
        amount: above zero.
        key: of the payment, as whoever notes it chose it.
        at: this instant.
        by: the actor who notes it, for the site's diary.

    Raises:
        Refused: CURRENCY_MISMATCH: the site does not offer the currency; ID_CONFLICT.
    """
    posted = await _moved(tx, site_id, amount, key, ledger.FLOAT_FUND, at)
    await _note(tx, site_id, amount, key, "float.funded", posted, by=by, at=at)
    return posted


async def return_float(
    tx: Transaction, site_id: int, amount: Money, key: str, *, at: datetime, by: str = staff.SYSTEM
) -> ledger.Posted:
    """Note that an operator was given money back; arguments as for `fund_float`.

    Raises:
        Refused: as for `fund_float`; INSUFFICIENT_FUNDS: there is not as much.
    """
    posted = await _moved(tx, site_id, amount, key, ledger.FLOAT_RETURN, at)
    if posted.source_after.minor < 0 and not posted.duplicate:
        raise Refused(Code.INSUFFICIENT_FUNDS, "The float does not reach.")
    await _note(tx, site_id, amount, key, "float.returned", posted, by=by, at=at)
    return posted


async def _moved(
    tx: Transaction, site_id: int, amount: Money, key: str, movement: ledger.Movement, at: datetime
) -> ledger.Posted:
    site = await merchants.site(tx, site_id)
    if amount.currency not in site.currencies:
        raise Refused(Code.CURRENCY_MISMATCH, field="currency")
    request = ledger.PostRequest(_SOURCE, key, movement, amount, "site", "site", "float")
    [posted] = await ledger.post(tx, site_id, [request], at=at)
    if not posted.is_posted:
        raise Refused(Code.ID_CONFLICT)
    return posted


async def _note(
    tx: Transaction,
    site_id: int,
    amount: Money,
    key: str,
    deed: str,
    posted: ledger.Posted,
    *,
    by: str,
    at: datetime,
) -> None:
    """Once: a repeat has moved nothing."""
    if not posted.duplicate:
        detail = {"id": key, "amount": {"currency": amount.currency, "minor": amount.minor}}
        await staff.note(tx, site_id, actor=by, deed=deed, subject="float", detail=detail, at=at)


def _account(currency: str) -> ledger.AccountName:
    return ledger.AccountName("site", ledger.Purpose.OPERATOR_FLOAT, currency)
