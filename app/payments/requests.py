"""A withdrawal's row and legs, as they are first written: by the player's wish, or by the merchant's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import select

from app import ledger, merchants, methods, staff
from app.kernel.money import Money
from app.payments.closed_loop import Part, plan
from app.payments.contract import event_type
from app.payments.leg_money import SOURCE
from app.payments.queries import Payment, payment_of
from app.payments.sources import account_for, name_of, paid_by
from app.payments.states import STATUS_OF, Kind, LegState, SubStatus
from app.payments.tables import legs, payment_events, payment_numbers, payments
from app.payments.telling import WHO_HEARS, audience_of, tell
from app.plumbing.database import Reader, Transaction

__all__ = ["LegPlan", "PayoutPlan", "available", "looped", "parts_of", "reserve", "write_payout"]


@dataclass(frozen=True, slots=True)
class LegPlan:
    """So much goes there, and why."""

    method: str
    account: str
    amount: Money
    destination: Mapping[str, str] = field(repr=False)
    masked: str
    fingerprint: str
    instrument_id: str | None
    why: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PayoutPlan:
    """A withdrawal that is about to exist; its legs sum to its amount."""

    payment_id: str
    site_id: int
    player_id: str
    amount: Money
    legs: Sequence[LegPlan]
    customer_ip: str
    source_type: int
    language: str
    hold_id: int | None
    view_hash: bytes | None
    ask_at: datetime | None
    external_id: str = ""
    source: str = "player"

    def __post_init__(self) -> None:
        """Hold what is promised."""
        assert sum(leg.amount.minor for leg in self.legs) == self.amount.minor, "legs sum to the amount"


async def write_payout(tx: Transaction, plan: PayoutPlan, *, at: datetime) -> Payment:
    """Write a withdrawal as requested, with its legs and first event."""
    first = SubStatus.REQUESTED
    same = {"site_id": plan.site_id, "payment_id": plan.payment_id}
    row = await tx.one(
        payments.insert()
        .values(
            **same,
            number=select(payment_numbers.next_value()).scalar_subquery(),
            kind=Kind.PAYOUT,
            player_id=plan.player_id,
            method=plan.legs[0].method,
            account=plan.legs[0].account,
            status=STATUS_OF[first],
            sub_status=first,
            amount_minor=plan.amount.minor,
            currency=plan.amount.currency,
            external_id=plan.external_id,
            purse=", ".join(dict.fromkeys(leg.masked for leg in plan.legs)),
            hold_id=plan.hold_id,
            view_hash=plan.view_hash,
            customer_ip=plan.customer_ip,
            source_type=plan.source_type,
            language=plan.language,
            sequence=1,
            created_at=at,
            changed_at=at,
            ask_at=plan.ask_at,
        )
        .returning(payments, *WHO_HEARS)
    )
    await _write_legs(tx, plan)
    name = event_type(Kind.PAYOUT, first)
    await tx.execute(
        payment_events.insert().values(
            **same,
            sequence=1,
            type=name,
            status=STATUS_OF[first],
            sub_status=first,
            source=plan.source,
            amount_minor=plan.amount.minor,
            currency=plan.amount.currency,
            recorded_at=at,
        )
    )
    written = payment_of(row)
    await tell(tx, None, written, name, audience_of(row), at=at)
    return written


async def _write_legs(tx: Transaction, plan: PayoutPlan) -> None:
    rows = [
        {
            "site_id": plan.site_id,
            "payment_id": plan.payment_id,
            "leg": number,
            "state": LegState.PLANNED,
            "method": leg.method,
            "account": leg.account,
            "amount_minor": leg.amount.minor,
            "currency": leg.amount.currency,
            "instrument_id": leg.instrument_id,
            "destination": dict(leg.destination),
            "masked": leg.masked,
            "fingerprint": leg.fingerprint,
            "why": dict(leg.why),
        }
        for number, leg in enumerate(plan.legs, 1)
    ]
    await tx.execute(legs.insert().values(rows))


async def available(reader: Reader, site_id: int, player_id: str, currency: str) -> Money | None:
    """What a player could withdraw now: the cash without what is owed; None where the merchant keeps it."""
    site = await merchants.site(reader, site_id)
    if site.wallet_mode is merchants.WalletMode.SEAMLESS:
        return None
    cash = ledger.AccountName(player_id, ledger.Purpose.PLAYER_CASH, currency)
    rest = await ledger.balance(reader, site_id, cash) - await ledger.debt(
        reader, site_id, player_id, currency
    )
    return max(rest, Money(0, currency))


async def reserve(
    tx: Transaction, site_id: int, player_id: str, amount: Money, payment_id: str, *, at: datetime
) -> int | None:
    """Set the player's money aside, what is owed being repaid first; in seamless mode it is not ours: None.

    Raises:
        InsufficientFunds: it does not reach; nothing is repaid either.
    """
    site = await merchants.site(tx, site_id)
    if site.wallet_mode is merchants.WalletMode.SEAMLESS:
        return None
    key = f"{payment_id}:debt"
    await ledger.repay(tx, site_id, player_id, amount.currency, source=SOURCE, key=key, at=at)
    wish = ledger.HoldRequest(
        SOURCE, f"{payment_id}:hold", player_id, amount, payment_id, actor=staff.player_actor(player_id)
    )
    held = await ledger.hold(tx, site_id, wish, at=at)
    if isinstance(held, ledger.Hold):
        return held.transfer_id
    assert held.refusal is not None
    raise held.refusal


async def looped(reader: Reader, site_id: int, player_id: str, chosen: LegPlan) -> list[LegPlan]:
    """The legs of a withdrawal by the closed loop: back to where money came from first, each with its why.

    Args:
        chosen: all of it to where the player wants it; its instrument is kept already.
    """
    assert chosen.instrument_id is not None
    wanted = await methods.instrument(reader, site_id, player_id, chosen.instrument_id)
    parts = await parts_of(reader, wanted, chosen.amount)
    return [await _leg_of(reader, site_id, player_id, chosen, part) for part in parts]


async def parts_of(reader: Reader, wanted: methods.Instrument, amount: Money) -> list[Part]:
    """How the closed loop splits an amount that its player wants at this instrument."""
    paid = await paid_by(reader, wanted.site_id, wanted.player_id, amount.currency)
    return plan(paid, amount, wanted.instrument_id, name_of(wanted))


async def _leg_of(reader: Reader, site_id: int, player_id: str, chosen: LegPlan, part: Part) -> LegPlan:
    why = {"closed_loop": part.sentence}
    if part.instrument_id == chosen.instrument_id:
        return replace(chosen, amount=part.amount, why=why)
    known = await methods.instrument(reader, site_id, player_id, part.instrument_id)
    account = await account_for(reader, site_id, part.amount.currency, known)
    assert account is not None, "nothing is planned to where nothing can be sent"
    return LegPlan(
        known.method,
        account,
        part.amount,
        known.fields,
        known.masked,
        known.fingerprint,
        known.instrument_id,
        why,
    )
