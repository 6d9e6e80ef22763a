"""What is true of disputes: one, those of a deposit, lists of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.engine import Row

from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.payments.case_tables import disputes
from app.payments.contract import CHARGEBACK_STATUS_ID, CHARGEBACK_TYPE_ID
from app.payments.states import DisputeState
from app.plumbing.database import Reader

__all__ = [
    "LOST",
    "NO_BEGINNING",
    "OVER",
    "UNDECIDED",
    "WAITS_FOR_EVIDENCE",
    "Dispute",
    "DisputeNotFound",
    "DisputePage",
    "dispute",
    "dispute_of",
    "dispute_page",
    "disputes_of",
    "open_disputes",
    "public_dispute",
]

D = DisputeState
# The money is with the bank while it is not decided.
UNDECIDED: Final = frozenset({D.OPENED, D.NEEDS_RESPONSE, D.SUBMITTED, D.PRE_ARBITRATION})
# An answer of ours may still be heard, and none was given.
WAITS_FOR_EVIDENCE: Final = UNDECIDED - {D.SUBMITTED}
# What was given in to or has expired had to be opened first: a warning expires as well, and takes nothing.
NO_BEGINNING: Final = frozenset({D.ACCEPTED, D.EXPIRED})
LOST: Final = NO_BEGINNING | {D.LOST}
OVER: Final = LOST | {D.WON, D.PREVENTED}


class DisputeNotFound(Refusal):
    """There is no such dispute."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """One dispute as its row says. `posted`: what is taken from us at present."""

    site_id: int
    dispute_id: str
    number: int
    payment_id: str
    account: str
    dispute_reference: str
    state: DisputeState
    amount: Money
    posted: Money
    reason: str
    sequence: int
    due_at: datetime | None
    opened_at: datetime
    changed_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class DisputePage:
    """Some disputes, the newest first, and whether there are older ones."""

    disputes: list[Dispute]
    has_more: bool


def dispute_of(row: Row[Any]) -> Dispute:
    """Read a row of the table `dispute`."""
    return Dispute(
        site_id=row.site_id,
        dispute_id=row.dispute_id,
        number=row.number,
        payment_id=row.payment_id,
        account=row.account,
        dispute_reference=row.dispute_reference,
        state=DisputeState(row.state),
        amount=Money(row.amount_minor, row.currency),
        posted=Money(row.posted_minor, row.currency),
        reason=row.reason,
        sequence=row.sequence,
        due_at=row.due_at,
        opened_at=row.opened_at,
        changed_at=row.changed_at,
        closed_at=row.closed_at,
    )


def public_dispute(its: Dispute) -> dict[str, object]:
    """A dispute as strangers may see it."""
    return {
        "object": "dispute",
        "id": its.dispute_id,
        "transaction_id": its.number,
        "type_id": CHARGEBACK_TYPE_ID,
        "status": its.state.value,
        "status_id": CHARGEBACK_STATUS_ID[its.state],
        "payment_id": its.payment_id,
        "amount_minor": its.amount.minor,
        "posted_minor": its.posted.minor,
        "currency": its.amount.currency,
        "due_at": its.due_at.isoformat() if its.due_at else None,
        "opened_at": its.opened_at.isoformat(),
        "closed_at": its.closed_at.isoformat() if its.closed_at else None,
    }


async def dispute(reader: Reader, site_id: int, dispute_id: str) -> Dispute:
    """One dispute.

    Raises:
        DisputeNotFound: no such dispute at this site.
    """
    row = await reader.first(
        disputes.select().where(disputes.c.site_id == site_id, disputes.c.dispute_id == dispute_id)
    )
    if row is None:
        raise DisputeNotFound
    return dispute_of(row)


async def disputes_of(reader: Reader, site_id: int, deposit_id: str) -> list[Dispute]:
    """Every dispute of a deposit, the oldest first."""
    rows = await reader.all(
        disputes.select()
        .where(disputes.c.site_id == site_id, disputes.c.payment_id == deposit_id)
        .order_by(disputes.c.number)
    )
    return [dispute_of(row) for row in rows]


async def dispute_page(
    reader: Reader,
    site_id: int,
    *,
    limit: int,
    is_open: bool = False,
    payment_id: str | None = None,
    starting_after: str | None = None,
) -> DisputePage:
    """Disputes as pages of a list, the newest first.

    Args:
        reader: where to read.
        site_id: whose.
        limit: at most so many.
        is_open: only those that are not decided.
        payment_id: only those of this deposit.
        starting_after: the id of a dispute; the page begins with the next older one.

    Raises:
        DisputeNotFound: no such dispute to continue from.
    """
    asked = disputes.select().where(disputes.c.site_id == site_id)
    if is_open:
        asked = asked.where(disputes.c.state.not_in(sorted(OVER)))
    if payment_id is not None:
        asked = asked.where(disputes.c.payment_id == payment_id)
    if starting_after is not None:
        asked = asked.where(disputes.c.number < (await dispute(reader, site_id, starting_after)).number)
    rows = await reader.all(asked.order_by(disputes.c.number.desc()).limit(limit + 1))
    return DisputePage([dispute_of(row) for row in rows[:limit]], len(rows) > limit)


async def open_disputes(reader: Reader, site_id: int, *, limit: int = 100) -> list[Dispute]:
    """Disputes of a site that are not decided, the first to be due first."""
    rows = await reader.all(
        disputes.select()
        .where(disputes.c.site_id == site_id, disputes.c.state.not_in(sorted(OVER)))
        .order_by(disputes.c.due_at.nulls_last(), disputes.c.number)
        .limit(limit)
    )
    return [dispute_of(row) for row in rows]
