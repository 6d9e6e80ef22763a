"""What is true of a payout beyond its row: its legs and tries, the site's policy, what stands in its way."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import case, func, select
from sqlalchemy.engine import Row

from app import ledger, players
from app.kernel.money import Money
from app.payments.case_tables import disputes
from app.payments.model import Facts, PayoutPolicy
from app.payments.queries import Attempt, Payment, attempt_of, payment, payment_of
from app.payments.states import DisputeState, Kind, LegState, Status, SubStatus
from app.payments.tables import attempts, legs, payment_events, payments, policies
from app.plumbing.database import Reader, Transaction

__all__ = [
    "Leg",
    "attempts_of",
    "content_of",
    "facts_of",
    "is_disputed",
    "leg_of",
    "legs_of",
    "lock_player",
    "open_payouts",
    "order_belongs_to_another",
    "payout",
    "payout_of_order",
    "payouts_of_site",
    "policy",
    "present_try",
    "present_try_of",
    "taken_within_a_day",
    "was_in_doubt",
    "why_people",
]

_ONE_DAY: Final = timedelta(hours=24)
_AT_PROVIDER: Final = frozenset({SubStatus.SUBMITTED, SubStatus.PROVIDER_PENDING, SubStatus.UNKNOWN})
_PARTS_AT_PROVIDER: Final = frozenset({LegState.SUBMITTED, LegState.PROVIDER_PENDING, LegState.UNKNOWN})
# What a dispute is at while the money may still be lost.
_UNDECIDED = frozenset(
    {
        DisputeState.OPENED,
        DisputeState.NEEDS_RESPONSE,
        DisputeState.SUBMITTED,
        DisputeState.PRE_ARBITRATION,
    }
)


@dataclass(frozen=True, slots=True)
class Leg:
    """One part of a payout: how much goes where, and how far it is."""

    leg: int
    state: LegState
    method: str
    account: str
    amount: Money
    destination: Mapping[str, str] = field(repr=False)
    masked: str
    fingerprint: str
    instrument_id: str | None
    why: Mapping[str, Any]
    provider_reference: str | None
    is_released: bool
    hold_id: int | None
    sent_at: datetime | None
    captured: Money
    present_attempt: str | None

    @property
    def came_back(self) -> Money:
        """What had been paid of it and came back: the whole of that, or nothing."""
        return self.captured if self.state is LegState.RETURNED else Money(0, self.amount.currency)


async def payout(reader: Reader, site_id: int, payment_id: str, *, lock: bool = False) -> Payment:
    """One payout, as `payment`; anything else is not found.

    Raises:
        PaymentNotFound: no such payout at this site.
    """
    return await payment(reader, site_id, payment_id, lock=lock, kind=Kind.PAYOUT)


async def payout_of_order(reader: Reader, site_id: int, external_id: str, *, lock: bool) -> Payment | None:
    """The withdrawal that a merchant accepted under its order number, if there is one."""
    asked = payments.select().where(
        payments.c.site_id == site_id,
        payments.c.external_id == external_id,
        payments.c.kind == Kind.PAYOUT,
        payments.c.external_id != "",
    )
    row = await reader.first(asked.with_for_update(key_share=True) if lock else asked)
    return payment_of(row) if row else None


async def payouts_of_site(
    reader: Reader, site_id: int, *, statuses: Collection[Status] = (), limit: int = 100
) -> list[Payment]:
    """Withdrawals of a site, newest first; only those in one of the statuses, where some are named."""
    asked = payments.select().where(payments.c.site_id == site_id, payments.c.kind == Kind.PAYOUT)
    if statuses:
        asked = asked.where(payments.c.status.in_(sorted(statuses)))
    rows = await reader.all(
        asked.order_by(payments.c.created_at.desc(), payments.c.payment_id.desc()).limit(limit)
    )
    return [payment_of(row) for row in rows]


async def legs_of(reader: Reader, found: Payment) -> list[Leg]:
    """The legs of a payout, in their order; whoever changes them holds the payment's lock."""
    rows = await reader.all(
        legs.select()
        .where(legs.c.site_id == found.site_id, legs.c.payment_id == found.payment_id)
        .order_by(legs.c.leg)
    )
    return [leg_of(row) for row in rows]


async def attempts_of(reader: Reader, found: Payment) -> Sequence[Attempt]:
    """Every try of a payment, the oldest first."""
    rows = await reader.all(
        attempts.select()
        .where(attempts.c.site_id == found.site_id, attempts.c.payment_id == found.payment_id)
        .order_by(attempts.c.number)
    )
    return [attempt_of(row) for row in rows]


def present_try(leg: Leg, tries: Sequence[Attempt]) -> Attempt:
    """The try of a leg that counts: that which moved it last; where nobody kept it the last at its account.

    While the leg is at a provider it is the one that is not over: there is never more than one.

    Args:
        leg: the leg.
        tries: of it, the oldest first; at least one.
    """
    live = [one for one in tries if not one.is_over]
    if live and leg.state in _PARTS_AT_PROVIDER:
        return live[-1]
    kept = [one for one in tries if one.attempt_id == leg.present_attempt]
    return (kept or [one for one in tries if one.account == leg.account] or tries)[-1]


def present_try_of(found: Payment, tries: Sequence[Attempt]) -> Attempt:
    """The same of a deposit or refund, which has no parts."""
    live = [one for one in tries if not one.is_over]
    if live and found.sub_status in _AT_PROVIDER:
        return live[-1]
    kept = [one for one in tries if one.attempt_id == found.present_attempt]
    return (kept or tries)[-1]


async def policy(reader: Reader, site_id: int, currency: str) -> PayoutPolicy:
    """What the site wants of its withdrawals in a currency; the careful defaults where it said nothing."""
    row = await reader.first(
        policies.select().where(policies.c.site_id == site_id, policies.c.currency == currency)
    )
    if row is None:
        return PayoutPolicy()
    below, above = row.auto_below_minor, row.second_above_minor
    return PayoutPolicy(
        auto_below=None if below is None else Money(below, currency),
        second_above=None if above is None else Money(above, currency),
        cooling_seconds=row.cooling_seconds,
        player_may_cancel=row.player_may_cancel,
        closed_loop=row.closed_loop,
        needs_initiation=row.needs_initiation,
        allow_without_request=row.allow_without_request,
        approval_hours=row.approval_hours,
    )


async def open_payouts(reader: Reader, site_id: int, player_id: str) -> int:
    """How many withdrawals of a player are unfinished."""
    found = await reader.scalar(
        select(func.count())
        .select_from(payments)
        .where(
            payments.c.site_id == site_id,
            payments.c.player_id == player_id,
            payments.c.kind == Kind.PAYOUT,
            payments.c.status.in_([Status.PENDING, Status.PROCESSING]),
        )
    )
    return int(found or 0)


async def order_belongs_to_another(reader: Reader, found: Payment, external_id: str) -> bool:
    """Whether the merchant gave this order number to another withdrawal before."""
    other = await payout_of_order(reader, found.site_id, external_id, lock=False)
    return other is not None and other.payment_id != found.payment_id


async def is_disputed(reader: Reader, site_id: int, player_id: str) -> bool:
    """Whether a deposit of the player is disputed, and the money may still be lost."""
    row = await reader.first(
        select(disputes.c.dispute_id)
        .join(
            payments,
            (payments.c.site_id == disputes.c.site_id) & (payments.c.payment_id == disputes.c.payment_id),
        )
        .where(
            disputes.c.site_id == site_id,
            payments.c.player_id == player_id,
            disputes.c.state.in_(sorted(_UNDECIDED)),
        )
        .limit(1)
    )
    return row is not None


async def why_people(reader: Reader, found: Payment) -> list[str]:
    """What speaks against letting a withdrawal go without a person, whatever its amount.

    Returns:
        `blocked`, `disputed`, `in_debt`: a debt in any currency, for nobody else repays it.
    """
    site_id, player_id = found.site_id, found.player_id
    player = await players.player(reader, site_id, player_id)
    _, standing = await players.player_of_login(reader, site_id, player.site_login)
    accounts = await ledger.balances(reader, site_id, player_id)
    owes = any(name.purpose is ledger.Purpose.PLAYER_DEBT and owed.minor for name, owed in accounts.items())
    told = {
        "blocked": standing is not players.PlayerStatus.ACTIVE,
        "disputed": await is_disputed(reader, site_id, player_id),
        "in_debt": owes,
    }
    return [why for why, is_so in told.items() if is_so]


async def taken_within_a_day(reader: Reader, found: Payment) -> Money:
    """A withdrawal's amount and all that its player asked for within 24 hours of it, before it or after.

    In the same currency; what failed, was cancelled or was rejected does not count. Counted from when they
    were asked for: a long cooling moves none of them apart.
    """
    others = await reader.scalar(
        select(func.sum(payments.c.amount_minor)).where(
            payments.c.site_id == found.site_id,
            payments.c.player_id == found.player_id,
            payments.c.kind == Kind.PAYOUT,
            payments.c.currency == found.amount.currency,
            payments.c.status.in_([Status.PENDING, Status.PROCESSING, Status.COMPLETED]),
            payments.c.created_at.between(found.created_at - _ONE_DAY, found.created_at + _ONE_DAY),
            payments.c.payment_id != found.payment_id,
        )
    )
    return found.amount + Money(int(others or 0), found.amount.currency)


async def lock_player(tx: Transaction, player_id: str) -> None:
    """Let one withdrawal of a player at a time be judged, so that of two at once the second counts the first.

    Taken before anything of the player's in the ledger.
    """
    await tx.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"payout:{player_id}", 0))))


def facts_of(found: Payment, leg: Leg, *, is_superseded: bool) -> Facts:
    """What is known of a leg when evidence about a try of it arrives, whatever the other parts are at."""
    return Facts(
        Kind.PAYOUT,
        _stands_at(found, leg),
        leg.amount,
        leg.provider_reference,
        leg.sent_at,
        is_superseded=is_superseded,
        captured=leg.captured if leg.captured.minor else None,
    )


def _stands_at(found: Payment, leg: Leg) -> SubStatus:
    """The leg's own state. One that waits is in the queue, unless its money was given back before it left."""
    if leg.state is not LegState.PLANNED:
        return SubStatus(leg.state.value)
    if not leg.is_released:
        return SubStatus.ALLOCATED
    # Another part of what was cancelled may have been paid all the same; this one is cancelled still.
    return found.sub_status if found.status is Status.CANCELLED else SubStatus.BY_OPERATOR


def content_of(found: Payment, parts: Sequence[Leg]) -> dict[str, Any]:
    """What people say yes to, and what sending compares: how much of whose money goes where."""
    return {
        "amount_minor": found.amount.minor,
        "currency": found.amount.currency,
        "player": found.player_id,
        "legs": [
            {
                "leg": part.leg,
                "method": part.method,
                "amount_minor": part.amount.minor,
                "masked": part.masked,
                "destination": part.fingerprint,
            }
            for part in parts
        ],
    }


async def was_in_doubt(reader: Reader, found: Payment, leg: int | None, since: datetime) -> bool:
    """Whether a payment, or a part of it, was unknown or in conflict at any time since then."""
    its = payment_events.c
    # Of a part among others the event says so itself; what moves nothing tells where the others put it.
    has_moved = func.jsonb_array_length(its.detail["path"]) > 1
    state = func.coalesce(its.detail["leg_state"].astext, case((has_moved, its.sub_status)))
    asked = select(its.sequence).where(
        its.site_id == found.site_id,
        its.payment_id == found.payment_id,
        its.recorded_at >= since,
        state.in_([SubStatus.UNKNOWN.value, SubStatus.CONFLICTED.value]),
    )
    if leg is not None:
        asked = asked.where(func.coalesce(its.detail["leg"].astext, str(leg)) == str(leg))
    return await reader.first(asked.limit(1)) is not None


def leg_of(row: Row[Any]) -> Leg:
    """Read a row of the table `payout_leg`."""
    return Leg(
        leg=row.leg,
        state=LegState(row.state),
        method=row.method,
        account=row.account,
        amount=Money(row.amount_minor, row.currency),
        destination=row.destination,
        masked=row.masked,
        fingerprint=row.fingerprint,
        instrument_id=row.instrument_id,
        why=row.why,
        provider_reference=row.provider_reference,
        is_released=row.is_released,
        hold_id=row.hold_id,
        sent_at=row.sent_at,
        captured=Money(row.captured_minor, row.currency),
        present_attempt=row.present_attempt,
    )
