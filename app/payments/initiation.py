"""The merchant says "pay": `POST /api/payout/`, matched to what was requested (protocol.md sections 3.3, 15).

A repeat is a replay: the same transaction number, the same order number, no effect.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app import merchants, methods, players, staff
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.payments.approvals import is_ready, review
from app.payments.changes import Cause
from app.payments.contract import INITIATED, SOURCE_TYPES
from app.payments.legs import lock_player, payout, payout_of_order, policy
from app.payments.model import Step
from app.payments.obstacles import PAYOUTS, why_barred
from app.payments.queries import Payment
from app.payments.requests import LegPlan, PayoutPlan, reserve, write_payout
from app.payments.sending import WithdrawalsLocked
from app.payments.states import Status, SubStatus
from app.payments.steps import carry_on_soon, carry_out
from app.plumbing import switches
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes

__all__ = [
    "Initiated",
    "InitiationMismatch",
    "PayoutsNotAccepted",
    "PurseUnknown",
    "WithdrawalOver",
    "WithdrawalUnknown",
    "initiate",
    "number_of_order",
    "order_number",
]

_ORDER_DIGITS: Final = 30
_NUMBER_DIGITS: Final = 12
# What the merchant said and colleagues may need; the personal fields of the protocol are not kept twice.
_KEPT: Final = ("invoice_id", "external_value1", "customer_purse")


class WithdrawalUnknown(Refusal):
    """There is no withdrawal under external_id {external_id}."""

    param = "external_id"


class WithdrawalOver(Refusal):
    """The withdrawal {external_id} will not be paid: it is {status}, {sub_status}."""

    param = "external_id"


class InitiationMismatch(Refusal):
    """{field} is not that of the withdrawal that was requested."""

    def __init__(self, *, field: str) -> None:
        """Name the field that differs."""
        super().__init__(field=field)
        self.param = field


class PurseUnknown(Refusal):
    """customer_purse names no instrument of this player, or more than one: nothing can be sent there."""

    param = "customer_purse"


class PayoutsNotAccepted(Refusal):
    """Withdrawals are closed for the moment; initiate it again later."""


@dataclass(frozen=True, slots=True)
class Initiated:
    """A withdrawal that the merchant has initiated; `replayed`: it had done so before."""

    payment: Payment
    order_id: str
    replayed: bool


async def initiate(pipes: Pipes, site: merchants.Site, fields: Mapping[str, str]) -> Initiated:
    """Take the merchant's word that a withdrawal is to be paid.

    Args:
        site: whose signed request it is.
        fields: as the grammar of initiations reads them.

    Returns:
        the withdrawal, with the numbers that every repeat gets too.

    Raises:
        WithdrawalUnknown: no such order number, and the site's policy takes nothing that nobody asked for.
        InitiationMismatch: amount, currency or player differ from the request.
        WithdrawalOver: it was rejected or cancelled, or it has failed or come back before this first word.
        PayoutsNotAccepted: withdrawals are stopped; a repeat is answered all the same.
        PurseUnknown, CurrencyMismatch, InsufficientFunds, WithdrawalsLocked: of what nobody had asked for.
    """
    amount = Money(int(fields["amount"]), fields["currency"].upper())
    payment_id = ids.new("wdr", at=pipes.clock.now())

    async def work(tx: Transaction) -> Initiated:
        at = pipes.clock.now()
        found = await payout_of_order(tx, site.site_id, fields["external_id"], lock=True)
        if found is None:
            found = await _unasked(tx, site, fields, amount, payment_id, at)
        await _check(tx, found, fields, amount)
        return await _initiated(tx, found, fields, at)

    return await pipes.database.retried(work)


async def _initiated(tx: Transaction, found: Payment, fields: Mapping[str, str], at: datetime) -> Initiated:
    if found.initiated_at is not None:
        return Initiated(found, found.order_id or order_number(found), replayed=True)
    if await switches.is_stopped(tx, found.site_id, PAYOUTS):
        raise PayoutsNotAccepted
    rules = await policy(tx, found.site_id, found.amount.currency)
    changes: dict[str, object] = {"initiated_at": at, "order_id": order_number(found)}
    is_queued = found.sub_status is SubStatus.APPROVED
    if is_queued:
        changes |= {"ask_at": at, "expires_at": None}  # should the job be lost, a sweep sends it
    detail = {"initiated": True, **{name: fields[name] for name in _KEPT if name in fields}}
    await carry_out(
        tx, found, Step(), Cause("merchant", changes=changes, detail=detail, event=INITIATED), at=at
    )
    now_is = await payout(tx, found.site_id, found.payment_id)
    if is_queued and is_ready(now_is, rules):
        await carry_on_soon(tx, found.site_id, found.payment_id)
    return Initiated(now_is, order_number(found), replayed=False)


def number_of_order(order_id: str) -> int:
    """The transaction number that an order number begins with; 0, which none has, where it is not one."""
    is_one = len(order_id) == _ORDER_DIGITS and order_id.isascii() and order_id.isdigit()
    return int(order_id[:_NUMBER_DIGITS]) if is_one else 0


def order_number(found: Payment) -> str:
    """The protocol's order number of a payment: 30 digits, our own number first."""
    digits = int.from_bytes(hashlib.sha256(found.payment_id.encode()).digest())
    rest = _ORDER_DIGITS - _NUMBER_DIGITS
    return f"{found.number:0{_NUMBER_DIGITS}d}{digits % 10**rest:0{rest}d}"


async def _check(tx: Transaction, found: Payment, fields: Mapping[str, str], amount: Money) -> None:
    player = await players.player(tx, found.site_id, found.player_id)
    for field, same in (
        ("currency", amount.currency == found.amount.currency),
        ("amount", amount.minor == found.amount.minor),
        ("site_login", fields["site_login"] == player.site_login),
    ):
        if not same:
            raise InitiationMismatch(field=field)
    has_failed = found.status in {Status.FAILED, Status.REFUNDED}
    # A repeat is told what its withdrawal has become; the first word comes too late.
    if found.status is Status.CANCELLED or (has_failed and found.initiated_at is None):
        raise WithdrawalOver(
            external_id=found.external_id, status=found.status.value, sub_status=found.sub_status.value
        )


async def _unasked(
    tx: Transaction,
    site: merchants.Site,
    fields: Mapping[str, str],
    amount: Money,
    payment_id: str,
    at: datetime,
) -> Payment:
    """Write a withdrawal that the merchant initiates of itself, where the policy takes such."""
    rules = await policy(tx, site.site_id, amount.currency)
    if not rules.allow_without_request:
        raise WithdrawalUnknown(external_id=fields["external_id"])
    if await switches.is_stopped(tx, site.site_id, PAYOUTS):
        raise PayoutsNotAccepted
    player, _ = await players.player_of_login(tx, site.site_id, fields["site_login"])
    await lock_player(tx, player.player_id)
    if await why_barred(tx, site.site_id, player.player_id):
        raise WithdrawalsLocked
    known = await _instrument(tx, site.site_id, player.player_id, fields.get("customer_purse", ""))
    offer = await methods.offer(
        tx, site.site_id, amount.currency, known.method, direction=methods.Direction.PAYOUT
    )
    methods.check_amount(offer, amount)
    account = known.account if "token" in known.fields else offer.account
    leg = LegPlan(
        known.method, account, amount, known.fields, known.masked, known.fingerprint, known.instrument_id
    )
    plan = PayoutPlan(
        payment_id=payment_id,
        site_id=site.site_id,
        player_id=player.player_id,
        amount=amount,
        legs=[leg],
        customer_ip=fields.get("customer_ip", ""),
        source_type=SOURCE_TYPES["api"],
        language=site.languages[0],
        hold_id=await reserve(tx, site.site_id, player.player_id, amount, payment_id, at=at),
        view_hash=None,
        ask_at=None,
        external_id=fields["external_id"],
        source="merchant",
    )
    written = await write_payout(tx, plan, at=at)
    await review(tx, written, maker=staff.merchant_actor(site.site_id), at=at)
    return await payout(tx, site.site_id, payment_id, lock=True)


async def _instrument(tx: Transaction, site_id: int, player_id: str, purse: str) -> methods.Instrument:
    """The one instrument of the player that looks like this purse, and to which money can be sent."""
    own = await methods.instruments(tx, site_id, player_id)
    fitting = [one for one in own if one.masked == purse and one.fields]
    if len(fitting) != 1:
        raise PurseUnknown
    return fitting[0]
