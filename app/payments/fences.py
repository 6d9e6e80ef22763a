"""What would be paid or collected a second time: order numbers and providers' numbers that are taken."""

from dataclasses import dataclass

from sqlalchemy import and_, bindparam, exists, or_, select, text

from app.payments.queries import Payment, payment_of
from app.payments.states import Status
from app.payments.tables import payments
from app.plumbing.database import Built, Reader, Transaction

__all__ = ["Taken", "locked_for_order", "reference_is_taken", "taken"]

# Credited, also where it went back since: a refund that fails after all and a dispute that is won complete it
# again, and an order is paid once.
_GONE = (payments.c.status == Status.REFUNDED) & (payments.c.captured_minor > 0)
_PAID = (payments.c.status == Status.COMPLETED) | _GONE
_OPEN = (payments.c.status == Status.PENDING) | (payments.c.status == Status.PROCESSING)
# Built once: every deposit asks them.
_ANOTHER = and_(
    payments.c.site_id == bindparam("of_site"),
    payments.c.kind == bindparam("of_kind"),
    payments.c.payment_id != bindparam("of_payment"),
)
_OF_ORDER = _ANOTHER & (payments.c.external_id == bindparam("by_order"))
_mine = payments.alias("mine")
_LOCKED_FOR_ORDER = Built(
    select(_mine, exists().where(_OF_ORDER, or_(_OPEN, _PAID)).label("order_is_taken"))
    .where(_mine.c.site_id == bindparam("of_site"), _mine.c.payment_id == bindparam("of_payment"))
    .with_for_update(key_share=True, of=_mine)
)
_REFERENCE_IS_TAKEN = (
    exists()
    .where(
        _ANOTHER,
        payments.c.account == bindparam("by_account"),
        text("kind <> 'payout'"),  # as its index says
        payments.c.provider_reference == bindparam("by_reference"),
    )
    .label("reference_is_taken")
)
_REFERENCE = Built(select(_REFERENCE_IS_TAKEN))
_BOTH = Built(select(_REFERENCE_IS_TAKEN, exists().where(_OF_ORDER, _PAID).label("order_is_paid")))


@dataclass(frozen=True, slots=True)
class Taken:
    """Whether another deposit, or refund, has the provider's number, or was credited under the order's."""

    reference: bool
    order: bool


async def taken(reader: Reader, found: Payment, provider_reference: str | None) -> Taken:
    """What of a deposit that is to be credited now belongs to another; no number is nobody's."""
    row = await reader.one(_BOTH, {**_of(found), "by_reference": provider_reference})
    return Taken(row.reference_is_taken, bool(found.external_id) and row.order_is_paid)


async def locked_for_order(tx: Transaction, found: Payment, external_id: str) -> tuple[Payment, bool]:
    """A payment as it is now, locked; and whether another deposit has this order number of the merchant.

    One that is open, or was ever credited.
    """
    row = await tx.one(_LOCKED_FOR_ORDER, {**_of(found), "by_order": external_id})
    return payment_of(row), row.order_is_taken


async def reference_is_taken(reader: Reader, found: Payment, provider_reference: str | None) -> bool:
    """Whether another deposit, or refund, through the same provider account has this number already.

    No number is nobody's. A withdrawal's numbers are its legs', each at the leg's own account.
    """
    if provider_reference is None:
        return False
    return bool(await reader.scalar(_REFERENCE, {**_of(found), "by_reference": provider_reference}))


def _of(found: Payment) -> dict[str, object]:
    return {
        "of_site": found.site_id,
        "of_kind": found.kind,
        "of_payment": found.payment_id,
        "by_account": found.account,
        "by_order": found.external_id,
    }
