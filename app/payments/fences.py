"""What would be paid or collected a second time: order numbers and providers' numbers that are taken.

And what else stands in the way: of a deposit by the time that its merchant has answered, in one statement; of
one that is paid late, its player.
"""

from dataclasses import dataclass

from sqlalchemy import Text, and_, bindparam, exists, or_, select, text, true

from app import merchants, methods, players, providers
from app.payments.model import Attention, Evidence, Source, Step
from app.payments.queries import Payment, payment_of
from app.payments.states import Status
from app.payments.tables import payments
from app.plumbing import switches
from app.plumbing.database import Built, Reader, Transaction

__all__ = ["ForOrder", "Taken", "locked_for_order", "reference_is_taken", "taken", "why_fenced"]

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
_account = providers.account_beside(_mine.c.site_id, _mine.c.account)
_DEPOSIT = methods.Direction.DEPOSIT
_LOCKED_FOR_ORDER = Built(
    select(
        _mine,
        exists().where(_OF_ORDER, or_(_OPEN, _PAID)).label("order_is_taken"),
        switches.stopped(_mine.c.site_id, bindparam("by_switch", type_=Text())).label("is_stopped"),
        methods.is_offered(_mine.c.site_id, _mine.c.currency, _mine.c.method, _DEPOSIT).label("is_offered"),
        *_account.c,
    )
    .join(_account, true())
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
_ORDER_IS_PAID = exists().where(_OF_ORDER, _PAID).label("order_is_paid")
_SITE_ID = bindparam("of_site", type_=payments.c.site_id.type).label("site_id")
_BOTH = Built(merchants.site_beside(select(_SITE_ID, _REFERENCE_IS_TAKEN, _ORDER_IS_PAID).cte("asked")))


@dataclass(frozen=True, slots=True)
class ForOrder:
    """A deposit as it is once its merchant has answered, and what stands against sending it.

    Args:
        payment: its row, locked.
        account: where it was to go, as it is now; nobody changes it until the transaction ends.
        order_is_taken: another deposit has its order number, and is open or was ever credited.
        is_stopped: the stop switch is on.
        may_go: nothing is stopped, its method is offered still, and its account takes new orders.
    """

    payment: Payment
    account: providers.ProviderAccount
    order_is_taken: bool
    is_stopped: bool
    may_go: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """Whether another deposit, or refund, has the provider's number, or was credited under the order's."""

    reference: bool
    order: bool


async def taken(reader: Reader, found: Payment, provider_reference: str | None) -> Taken:
    """What of a deposit that is to be credited now belongs to another; no number is nobody's.

    Its site is read with it: who credits a deposit asks for that next.
    """
    rows = await reader.all(_BOTH, {**_of(found), "by_reference": provider_reference})
    merchants.know_site(reader, rows)
    row = rows[0]
    return Taken(row.reference_is_taken, bool(found.external_id) and row.order_is_paid)


async def why_fenced(tx: Transaction, found: Payment, evidence: Evidence, step: Step) -> Attention | None:
    """Why people must look before a success that a provider tells of this payment counts; None: it may.

    A deposit that is paid when it was over is credited to a player who may play (payments.md section 1.5);
    of anybody else, people decide whether it is or goes back, with the proof that they then have.
    """
    its = await taken(tx, found, evidence.provider_reference)
    if its.reference:
        return Attention.REFERENCE_REUSED
    if step.credit is None:
        return None
    if its.order:
        return Attention.SECOND_PAYMENT
    if step.is_late and evidence.source is not Source.SETTLEMENT:
        known = await players.player(tx, found.site_id, found.player_id)
        _, standing = await players.player_of_login(tx, found.site_id, known.site_login)
        return None if standing is players.PlayerStatus.ACTIVE else Attention.NOT_POSTED
    return None


async def locked_for_order(tx: Transaction, found: Payment, external_id: str, switch: str) -> ForOrder:
    """A deposit as it is now, locked, and what has become of its way meanwhile.

    All in one statement, as every deposit asks it.

    Args:
        tx: the caller's transaction.
        found: the deposit, as it was.
        external_id: the order number that the merchant gave it.
        switch: which stop switch it obeys.
    """
    asked = {**_of(found), "by_order": external_id, "by_switch": switch}
    row = await tx.one(_LOCKED_FOR_ORDER, asked)
    account, is_on = providers.account_of(row)
    may_go = is_on and row.is_offered and not row.is_stopped
    return ForOrder(payment_of(row), account, row.order_is_taken, bool(row.is_stopped), may_go)


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
