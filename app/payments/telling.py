"""What others hear of a change: the site's protocol notification, and the events of its endpoints.

What both are made of has its home here, also for what `dispute_telling` tells.

Written in the transaction of the change itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, literal_column, select

from app import merchants, methods, players, webhooks
from app.kernel.money import Money
from app.payments.contract import (
    TYPE_ID,
    VOID_TYPE_ID,
    PaymentFacts,
    event_aliases,
    is_told,
    notification_fields,
    status_id,
)
from app.payments.queries import Payment
from app.payments.states import STATUS_OF, Kind, Status, SubStatus
from app.payments.tables import payment_numbers, payments
from app.plumbing.database import Transaction

__all__ = [
    "NOBODY_HEARS",
    "WHO_HEARS",
    "Audience",
    "audience_of",
    "notified_of",
    "public_object",
    "publish_change",
    "tell",
]

# "Withdrawal" is the word that others read.
WORDS = {Kind.DEPOSIT: "deposit", Kind.PAYOUT: "withdrawal", Kind.REFUND: "refund"}
# Ends whose reason is the provider's or the merchant's own sentence.
_SAID_BY_OTHERS = frozenset(
    {
        *(SubStatus.DECLINED, SubStatus.PROVIDER_ERROR, SubStatus.UNDELIVERABLE),
        *(SubStatus.REJECTED_BY_MERCHANT, SubStatus.MERCHANT_UNREACHABLE),
    }
)
_NOT_A_SUCCESS = frozenset({Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True, slots=True)
class _Beside:
    """Money that a change moved and that is told as a transaction of its own; `word` says what it is."""

    word: str
    type_id: int
    amount: Money


@dataclass(frozen=True, slots=True)
class Audience:
    """Who hears of a payment's change.

    Args:
        is_there: somebody is registered for events.
        hears_every_change: the site's protocol addresses hear of every change, not of ends only.
        site_login: whose payment it is, in the site's words.
    """

    is_there: bool
    hears_every_change: bool
    site_login: str


# By their names: of an INSERT, SQLAlchemy would take the columns for those of another row.
_SITE: ColumnElement[int] = literal_column("payment.site_id", payments.c.site_id.type)
_PLAYER: ColumnElement[str] = literal_column("payment.player_id", payments.c.player_id.type)
# What the statement of a change returns besides the payment, so that nothing need be asked before it is told.
_IS_HEARD, _HEARS_EVERY_CHANGE = webhooks.is_heard_at(_SITE), merchants.tells_every_change(_SITE)
WHO_HEARS = (
    _IS_HEARD.label("is_heard"),
    _HEARS_EVERY_CHANGE.label("hears_every_change"),
    players.login_of(_SITE, _PLAYER).label("site_login"),
)
# Of a change that is no end.
NOBODY_HEARS = ~_IS_HEARD & ~_HEARS_EVERY_CHANGE


def public_object(found: Payment) -> dict[str, object]:
    """A payment as strangers may see it: masked, money in minor units, nothing that is for staff."""
    return {
        "object": WORDS[found.kind],
        "id": found.payment_id,
        "transaction_id": found.number,
        "type_id": TYPE_ID[found.kind],
        "status": found.status.value,
        "sub_status": found.sub_status.value,
        "status_id": status_id(found.told_as, is_partial=found.real_amount != found.amount),
        "amount_minor": found.amount.minor,
        "currency": found.amount.currency,
        "captured_minor": found.captured.minor,
        "refund_pending_minor": found.refund_pending.minor,
        "refunded_minor": found.refunded.minor,
        "charged_back_minor": found.charged_back.minor,
        "player_id": found.player_id,
        "method": found.method,
        "purse": found.purse,
        "external_id": found.external_id,
        "order_id": found.order_id,
        "parent_id": found.parent_id,
        "is_late": found.is_late,
        "reason": found.reason_player,
        "created_at": found.created_at.isoformat(),
        "completed_at": found.completed_at.isoformat() if found.completed_at else None,
    }


def audience_of(row: Any) -> Audience:  # noqa: ANN401  of a statement that returns WHO_HEARS
    """Who hears of the change that the row is of."""
    return Audience(row.is_heard, row.hears_every_change, row.site_login)


async def tell(
    tx: Transaction,
    was: Payment | None,
    now_is: Payment,
    event_type: str,
    audience: Audience,
    *,
    at: datetime,
) -> None:
    """Tell the merchant of a change that has just been written.

    Args:
        tx: the transaction of the change.
        was: the payment before it; None when it is new.
        now_is: the payment after it; its `sequence` numbers the change.
        event_type: the name of the event in the payment's own history.
        audience: by `audience_of`.
        at: this instant.
    """
    if audience.is_there:
        before, after = public_object(was) if was else {}, public_object(now_is)
        its = (now_is.payment_id, now_is.sequence)
        is_adjusted = was is not None and now_is.captured not in {was.captured, now_is.amount}
        for name in (event_type, *event_aliases(event_type, is_adjusted=is_adjusted)):
            await publish_change(tx, now_is.site_id, name, its, before, after, at=at)
    moved = was is None or was.sub_status is not now_is.sub_status or was.external_id != now_is.external_id
    # A part that is paid late changes nothing but the sum.
    moved = moved or (was is not None and was.captured != now_is.captured)
    if was is not None and is_told(was.sub_status) and _told_of(was) == _told_of(now_is):
        # A deposit that was told as paid stays paid for the merchant: what is disputed has a type of its own.
        moved = False
    beside = _beside(was, now_is) if was is not None else None
    if beside is not None:
        await _announce(tx, now_is, audience.site_login, at, beside=beside)
    elif moved and (is_told(now_is.sub_status) or audience.hears_every_change):
        await _announce(tx, now_is, audience.site_login, at)


async def publish_change(
    tx: Transaction,
    site_id: int,
    event_type: str,
    its: tuple[str, int],
    before: Mapping[str, object],
    after: Mapping[str, object],
    *,
    at: datetime,
) -> None:
    """Tell the site's endpoints of a change, with what was otherwise before it.

    Args:
        tx: the transaction of the change.
        site_id: whose endpoints.
        event_type: the name of the event.
        its: the id of what has changed, and the number of the change.
        before: as strangers saw it; empty when it is new.
        after: as they see it now.
        at: this instant.
    """
    changed = {name: value for name, value in before.items() if value != after[name]}
    await webhooks.publish(tx, site_id, webhooks.Event(event_type, *its, after, changed, at), at=at)


def _beside(was: Payment, now_is: Payment) -> _Beside | None:
    """What of a withdrawal came back, or went again then; of a deposit what is taken, or comes again."""
    came_back = now_is.refunded - was.refunded
    if now_is.kind is Kind.PAYOUT and came_back.minor > 0:
        return _Beside("return", TYPE_ID[Kind.REFUND], came_back)
    if now_is.kind is Kind.PAYOUT and came_back.minor:
        return _Beside("payout", TYPE_ID[Kind.PAYOUT], now_is.captured - was.captured - came_back)
    if was.sub_status is now_is.sub_status:
        return None
    if now_is.sub_status is SubStatus.REVERSED:
        return _Beside("reversal", VOID_TYPE_ID, was.captured)
    if was.sub_status is SubStatus.REVERSED:
        return _Beside("credit", TYPE_ID[Kind.DEPOSIT], now_is.captured)
    return None


def _told_of(one: Payment) -> tuple[object, ...]:
    is_partial = one.real_amount != one.amount
    return status_id(one.told_as, is_partial=is_partial), one.captured, one.external_id


async def _announce(
    tx: Transaction, now_is: Payment, site_login: str, at: datetime, *, beside: _Beside | None = None
) -> None:
    """Write a notification: of the payment itself, or of a transaction of its own beside it."""
    site = await merchants.site(tx, now_is.site_id)
    facts = notified_of(now_is, site_login, at=at)
    told_of = (now_is.payment_id, now_is.sequence)
    if beside is not None:
        number = int(await tx.scalar(select(payment_numbers.next_value())))
        facts = replace(
            facts,
            type_id=beside.type_id,
            number=number,
            sub_status=SubStatus.COMPLETED,
            amount=beside.amount,
            real_amount=beside.amount,
        )
        # By itself: what is told of the payment must not overtake it, nor another of its kind.
        told_of = (f"{now_is.payment_id}-{beside.word}-{number}", 1)
    told = webhooks.Notification(
        payment_id=told_of[0],
        sequence=told_of[1],
        success=STATUS_OF[now_is.told_as] not in _NOT_A_SUCCESS,
        fields=notification_fields(facts, extended=site.extended_info),
    )
    await webhooks.announce(tx, site, told, at=at)


def notified_of(found: Payment, site_login: str, *, at: datetime) -> PaymentFacts:
    """What a notification tells of a payment as it stands at this instant."""
    method = methods.CATALOGUE[found.method]
    return PaymentFacts(
        type_id=TYPE_ID[found.kind],
        number=found.number,
        sub_status=found.told_as,
        amount=found.amount,
        real_amount=found.real_amount,
        site_id=found.site_id,
        site_login=site_login,
        customer_purse=found.purse,
        external_id=found.external_id,
        provider_reference=found.provider_reference or "",
        # What colleagues write is for colleagues.
        message=found.reason if found.sub_status in _SAID_BY_OTHERS else found.reason_player,
        group_id=method.group_id,
        payment_type_id=method.type_id,
        customer_ip=found.customer_ip,
        source_type=found.source_type,
        completed_at=at,
    )
