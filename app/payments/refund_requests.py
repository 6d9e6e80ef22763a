"""A refund of a deposit, or of a part of it, as somebody asks for it: reserved, and put to other people."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select

from app import ledger, providers, staff
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.payments.changes import Cause
from app.payments.contract import event_type
from app.payments.crediting import is_the_players
from app.payments.legs import policy
from app.payments.model import PayoutPolicy, Step
from app.payments.queries import Payment, payment, payment_of
from app.payments.refund_steps import SOURCE
from app.payments.states import STATUS_OF, Kind, SubStatus
from app.payments.steps import carry_out, remember
from app.payments.tables import payment_events, payment_numbers, payments
from app.payments.telling import WHO_HEARS, audience_of, tell
from app.plumbing import idempotency
from app.plumbing.database import Reader, Transaction
from app.plumbing.pipes import Pipes

__all__ = [
    "AmountNotPositive",
    "DepositNotRefundable",
    "RefundExceedsCaptured",
    "RefundWish",
    "RefundsNotOffered",
    "check_reason",
    "permitted",
    "refund",
    "refund_content",
    "refunds_of",
    "request_refund",
]

_LONGEST_REASON: Final = 255


class RefundExceedsCaptured(Refusal):
    """Of this deposit {remaining} can still go back."""

    param = "amount"


class DepositNotRefundable(Refusal):
    """Nothing of this deposit can go back: it is {sub_status}."""


class AmountNotPositive(Refusal):
    """The amount must be above zero."""

    param = "amount"


class RefundsNotOffered(Refusal):
    """The provider of this deposit does not give money back."""


@dataclass(frozen=True, slots=True)
class RefundWish:
    """What somebody wants to give back.

    Args:
        deposit_id: of which deposit.
        amount: how much; None: all that can still go back.
        reason: for colleagues and the provider.
        key: the idempotency key: the same wish of the same person again is the same refund.
    """

    deposit_id: str
    amount: Money | None
    reason: str
    key: str


async def request_refund(pipes: Pipes, site_id: int, wish: RefundWish, operator: staff.Operator) -> Payment:
    """Reserve a refund and ask other people to approve it; whoever asks does not approve.

    Returns:
        the refund; of a repeated wish the one that there is.

    Raises:
        PaymentNotFound: no such deposit at this site.
        NotPermitted, OperatorDisabled: this person may not (403).
        BadReason: no reason, or none that can be read.
        DepositNotRefundable, RefundExceedsCaptured: not so much of it (409, with what remains).
        AmountNotPositive, CurrencyMismatch: no such amount can go back (422).
        RefundsNotOffered: the provider cannot.
        InsufficientFunds: the player has not so much left with us once what he owes is repaid (402).
        IdempotencyKeyReused: the key was used for another wish.
    """
    check_reason(wish.reason)
    refund_id = ids.new("rfd", at=pipes.clock.now())

    async def work(tx: Transaction) -> Payment:
        return await _request(tx, site_id, wish, operator, refund_id, pipes.clock.now())

    return await pipes.database.retried(work)


async def refund(reader: Reader, site_id: int, refund_id: str, *, lock: bool = False) -> Payment:
    """One refund.

    Raises:
        PaymentNotFound: no such refund at this site.
    """
    return await payment(reader, site_id, refund_id, lock=lock, kind=Kind.REFUND)


async def refunds_of(reader: Reader, site_id: int, deposit_id: str) -> list[Payment]:
    """Every refund of a deposit, the oldest first."""
    rows = await reader.all(
        select(payments.c.payment_id)
        .where(payments.c.site_id == site_id, payments.c.parent_id == deposit_id)
        .order_by(payments.c.number)
    )
    return [await refund(reader, site_id, row.payment_id) for row in rows]


def refund_content(found: Payment) -> dict[str, Any]:
    """What people say yes to, and what sending compares."""
    return {
        "deposit": found.parent_id,
        "amount_minor": found.amount.minor,
        "currency": found.amount.currency,
        "player": found.player_id,
        "account": found.account,
    }


async def _request(
    tx: Transaction,
    site_id: int,
    wish: RefundWish,
    operator: staff.Operator,
    refund_id: str,
    at: datetime,
) -> Payment:
    await permitted(tx, operator, site_id)
    content = {
        "amount": wish.amount.minor if wish.amount else None,
        "currency": wish.amount.currency if wish.amount else None,
        "reason": wish.reason,
    }
    scope = f"refund:{wish.deposit_id}:{operator.operator_id}"  # two people may well use the same key
    claimed = await idempotency.claim(tx, site_id, scope, wish.key, content)
    if claimed.receipt is not None:
        return await refund(tx, site_id, claimed.receipt["payment_id"])
    deposit = await payment(tx, site_id, wish.deposit_id, lock=True, kind=Kind.DEPOSIT)
    amount = _checked(deposit, wish.amount)
    account = await providers.account(tx, site_id, deposit.account)
    if providers.Cap.REFUND not in providers.gateway_of(account).caps:
        raise RefundsNotOffered
    hold_id = await _reserve(tx, deposit, amount, refund_id, operator, at)
    pending = deposit.refund_pending + amount
    await remember(tx, deposit, {"refund_pending_minor": pending.minor})
    found = await _write(tx, deposit, amount, refund_id, hold_id, wish.reason, at)
    rules = await policy(tx, site_id, amount.currency)
    until = at + timedelta(hours=rules.approval_hours)
    approval = staff.ApprovalWish(
        staff.ApprovalKind.REFUND,
        refund_id,
        refund_content(found),
        operator.actor,
        _people_needed(pending + deposit.refunded, rules),  # in parts it is still the same money
        until,
    )
    await staff.open_approval(tx, site_id, approval, at=at)
    cause = Cause("staff", reason=wish.reason, changes={"expires_at": until}, detail={"by": operator.actor})
    await carry_out(tx, found, Step((SubStatus.AWAITING_APPROVAL,)), cause, at=at)
    await idempotency.settle(tx, claimed, {"payment_id": refund_id})
    return await refund(tx, site_id, refund_id)


def _checked(deposit: Payment, wanted: Money | None) -> Money:
    """How much goes back, if so much can."""
    if deposit.sub_status is not SubStatus.COMPLETED:
        raise DepositNotRefundable(sub_status=deposit.sub_status.value)
    amount = deposit.remaining if wanted is None else wanted
    if wanted is not None and wanted <= Money(0, deposit.amount.currency):
        raise AmountNotPositive
    if amount > deposit.remaining or deposit.remaining.minor == 0:
        raise RefundExceedsCaptured(remaining=deposit.remaining)
    return amount


async def _reserve(
    tx: Transaction, deposit: Payment, amount: Money, refund_id: str, operator: staff.Operator, at: datetime
) -> int | None:
    """Set the player's money aside, so that it is not played away meanwhile; None: the merchant was credited.

    What is owed is repaid first, as before a withdrawal: money does not leave around a debt by this way.
    """
    if not await is_the_players(tx, deposit):
        return None
    owner, key = deposit.player_id, f"{refund_id}:debt"
    await ledger.repay(tx, deposit.site_id, owner, amount.currency, source=SOURCE, key=key, at=at)
    wish = ledger.HoldRequest(
        SOURCE, f"{refund_id}:hold", deposit.player_id, amount, refund_id, actor=operator.actor
    )
    held = await ledger.hold(tx, deposit.site_id, wish, at=at)
    if isinstance(held, ledger.Hold):
        return held.transfer_id
    assert held.refusal is not None
    raise held.refusal


async def _write(
    tx: Transaction,
    deposit: Payment,
    amount: Money,
    refund_id: str,
    hold_id: int | None,
    reason: str,
    at: datetime,
) -> Payment:
    """The refund's row and first event."""
    same = {"site_id": deposit.site_id, "payment_id": refund_id}
    state = {"status": STATUS_OF[SubStatus.REQUESTED], "sub_status": SubStatus.REQUESTED}
    sum_ = {"amount_minor": amount.minor, "currency": amount.currency}
    row = await tx.one(
        payments.insert()
        .values(
            **same,
            **state,
            **sum_,
            number=select(payment_numbers.next_value()).scalar_subquery(),
            kind=Kind.REFUND,
            parent_id=deposit.payment_id,
            player_id=deposit.player_id,
            method=deposit.method,
            account=deposit.account,
            external_id=deposit.external_id,
            purse=deposit.purse,
            hold_id=hold_id,
            reason=reason,
            customer_ip=deposit.customer_ip,
            source_type=deposit.source_type,
            language=deposit.language,
            sequence=1,
            created_at=at,
            changed_at=at,
        )
        .returning(payments, *WHO_HEARS)
    )
    name = event_type(Kind.REFUND, SubStatus.REQUESTED)
    event = payment_events.insert().values(
        **same, **state, **sum_, sequence=1, type=name, source="staff", recorded_at=at
    )
    await tx.execute(event)
    written = payment_of(row)
    await tell(tx, None, written, name, audience_of(row), at=at)
    return written


async def permitted(tx: Transaction, operator: staff.Operator, site_id: int) -> None:
    """Let pass who may ask for refunds, as the database knows this person now."""
    now_is = await staff.operator(tx, operator.operator_id)
    staff.require(now_is, staff.Right.REFUND_REQUEST, site_id)


def _people_needed(amount: Money, rules: PayoutPolicy) -> int:
    return 2 if rules.second_above is not None and amount > rules.second_above else 1


def check_reason(reason: str) -> None:
    """Refuse a reason that nobody can read."""
    if not reason.strip() or len(reason) > _LONGEST_REASON or not reason.isprintable():
        raise staff.BadReason(field="reason", rule=f"1 to {_LONGEST_REASON} printable characters")
    staff.check_text("reason", reason)
