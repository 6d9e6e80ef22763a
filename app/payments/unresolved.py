"""Cases about deposits for which nothing goes out until people have closed them."""

from typing import Final

from sqlalchemy import ColumnElement, select

from app.payments.case_tables import payment_cases
from app.payments.model import DISPUTE, CaseKind, CaseState
from app.payments.queries import Payment
from app.payments.states import DisputeState, Kind
from app.payments.tables import payments
from app.plumbing.database import Reader

__all__ = ["is_denied", "is_unbooked", "is_unbooked_of_player"]

_its = payment_cases.c
# A word by which the bank may have the money, and that could not be booked.
_UNBOOKED: Final = (
    _its.kind.in_([CaseKind.AMOUNT_DIFFERS, CaseKind.ILLEGAL_CHANGE])
    & (_its.theirs["source"].astext == DISPUTE)
    & _its.theirs["code"].astext.not_in(
        [DisputeState.WON, DisputeState.PREVENTED, DisputeState.EARLY_WARNING]
    )
)


async def is_denied(reader: Reader, site_id: int, player_id: str) -> bool:
    """Whether people have yet to look at a deposit of the player's that was denied after it was paid."""
    denied = (_its.kind == CaseKind.DENIED_AFTER_SUCCESS) & (payments.c.kind == Kind.DEPOSIT)
    return await _is_open(reader, site_id, denied & (payments.c.player_id == player_id))


async def is_unbooked_of_player(reader: Reader, site_id: int, player_id: str) -> bool:
    """Whether people have yet to look at a dispute of a deposit of the player's."""
    return await _is_open(reader, site_id, _UNBOOKED & (payments.c.player_id == player_id))


async def is_unbooked(reader: Reader, deposit: Payment) -> bool:
    """Whether people have yet to look at a dispute of this deposit."""
    return await _is_open(reader, deposit.site_id, _UNBOOKED & (payments.c.payment_id == deposit.payment_id))


async def _is_open(reader: Reader, site_id: int, which: ColumnElement[bool]) -> bool:
    row = await reader.first(
        select(_its.case_id)
        .join(payments, (payments.c.site_id == _its.site_id) & (payments.c.payment_id == _its.payment_id))
        .where(_its.site_id == site_id, _its.state == CaseState.OPEN, which)
        .limit(1)
    )
    return row is not None
