"""What is true of payments: one payment, its tries, its events, and what needs a person."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.engine import Row

from app import merchants, players
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.payments.contract import event_type
from app.payments.model import Attention, Decided, Facts
from app.payments.states import Kind, Status, SubStatus
from app.payments.tables import payment_events, payments
from app.plumbing.database import Built, Reader
from app.providers import State

__all__ = [
    "WAITS",
    "Attempt",
    "Payment",
    "PaymentNotFound",
    "attempt_of",
    "events",
    "payment",
    "payment_of",
    "payment_of_merchant",
    "payment_of_view",
    "site_of_view",
    "taken_again",
    "view_hash",
    "view_token",
    "went_back",
]

WAITS = "waits"  # the code of a reason why something is not sent yet

# What says nothing of an order that its provider does not know now: it may never have come.
_UNHEARD_OF = frozenset({None, State.UNKNOWN, State.NOT_FOUND})
# Built once: every deposit asks these.
_BY_ID = payments.select().where(
    payments.c.site_id == bindparam("of_site"), payments.c.payment_id == bindparam("of_payment")
)
_ONE, _ONE_LOCKED = Built(_BY_ID), Built(_BY_ID.with_for_update(key_share=True))


class PaymentNotFound(Refusal):
    """There is no such payment."""


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment as its row says."""

    site_id: int
    payment_id: str
    number: int
    kind: Kind
    player_id: str
    method: str
    account: str
    sub_status: SubStatus
    status: Status
    amount: Money
    external_id: str
    provider_reference: str | None
    reason_code: str
    reason: str
    is_late: bool
    attention: Attention | None
    continue_url: str | None
    next_account: str | None
    present_attempt: str | None
    return_url: str | None = field(repr=False)
    customer_ip: str
    source_type: int
    language: str
    sequence: int
    asked: int
    created_at: datetime
    changed_at: datetime
    sent_at: datetime | None
    expires_at: datetime | None
    completed_at: datetime | None
    parent_id: str | None
    purse: str
    captured: Money
    refund_pending: Money
    refunded: Money
    charged_back: Money
    hold_id: int | None
    order_id: str | None
    reason_player: str
    approved_hash: bytes | None
    approved_at: datetime | None
    initiated_at: datetime | None
    ask_at: datetime | None
    is_questioned: bool

    @property
    def facts(self) -> Facts:
        """What the model decides from; of a payout its legs have their own."""
        return Facts(
            self.kind,
            self.sub_status,
            self.amount,
            self.provider_reference,
            self.sent_at,
            self.expires_at,
            captured=self.captured if self.captured.minor else None,
        )

    @property
    def remaining(self) -> Money:
        """What of the money that came can still go back."""
        return self.captured - self.refund_pending - self.refunded - self.charged_back

    @property
    def told_as(self) -> SubStatus:
        """What merchants are told it is: a deposit that went back before it was credited never came."""
        is_undone = self.kind is Kind.DEPOSIT and self.sub_status is SubStatus.REFUNDED
        return SubStatus.BY_OPERATOR if is_undone and not self.captured.minor else self.sub_status

    @property
    def real_amount(self) -> Money:
        """What was really paid, once something was."""
        return self.captured if self.captured.minor else self.amount

    @property
    def waits_because(self) -> str:
        """Why what people have let go is not sent yet, in words for staff; empty where nothing holds it."""
        return self.reason if self.reason_code == WAITS else ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a provider; its id is our reference there. `leg`: the part of a payout that it pays.

    `state` is what the provider last said; None: nobody knows. `said_paid`: it has said that money moved,
    whatever it says now. `is_questioned`: it is over, and asked about until its provider answers.
    `was_spoken_of`: in a word that we do not know. `came_back_short`: a part of what went out came back.
    `decided`: by two people with a proof. `told`: the sum that its provider told last.
    """

    attempt_id: str
    payment_id: str
    account: str
    leg: int | None
    is_over: bool
    state: State | None = None
    said_paid: bool = False
    error_code: str = ""
    error: str = ""
    provider_reference: str | None = None
    sent_at: datetime | None = None
    is_questioned: bool = False
    was_spoken_of: bool = False
    came_back_short: bool = False
    decided: Decided | None = None
    told: Money | None = None

    @property
    def outcome(self) -> str:
        """What became of it, for operators: the provider's last word, with its own code and sentence."""
        if self.never_left and not self.is_questioned:
            return " ".join(filter(None, ("never left", self.error_code)))
        said = self.state.value if self.state else "no answer yet"
        words = [said, self.error_code, self.error]
        words += ["(said before that it was paid)"] * self.contradicts
        words += ["(asked about until it answers)"] * self.is_questioned
        words += [f"(two people: {self.decided.value.replace('_', ' ')})"] if self.decided else []
        return " ".join(filter(None, words))

    @property
    def contradicts(self) -> bool:
        """Whether its provider now denies that money moved of which it has said so."""
        return self.said_paid and self.state is not State.SUCCEEDED

    @property
    def never_left(self) -> bool:
        """Whether it is over because no byte of it left us: all else ends by a definite word."""
        return self.is_over and self.state is State.UNKNOWN and not self.was_heard_of

    @property
    def was_heard_of(self) -> bool:
        """Whether its provider has shown that it has had the order: it may have carried it out since."""
        is_told = self.provider_reference is not None or self.was_spoken_of
        return self.said_paid or is_told or self.state not in _UNHEARD_OF


async def payment(
    reader: Reader, site_id: int, payment_id: str, *, lock: bool = False, kind: Kind | None = None
) -> Payment:
    """One payment; with `lock`, nobody else changes it until the transaction ends.

    Raises:
        PaymentNotFound: no such payment at this site, or it is of another kind than the one that was meant.
    """
    row = await reader.first(_ONE_LOCKED if lock else _ONE, {"of_site": site_id, "of_payment": payment_id})
    if row is None or (kind is not None and row.kind != kind):
        raise PaymentNotFound
    return payment_of(row)


async def payment_of_view(reader: Reader, view_token: str) -> Payment:
    """The payment that a view token shows.

    Raises:
        PaymentNotFound: not a token of ours.
    """
    row = await reader.first(
        payments.select().where(
            payments.c.site_id == site_of_view(view_token), payments.c.view_hash == view_hash(view_token)
        )
    )
    if row is None:
        raise PaymentNotFound
    return payment_of(row)


async def payment_of_merchant(
    reader: Reader, site_id: int, *, number: int | None, external_id: str | None, site_login: str | None
) -> Payment:
    """The newest payment with our transaction number or the merchant's order number, as the merchant asks.

    Args:
        reader: where to read.
        site_id: whose payment.
        number: the protocol's transaction_id.
        external_id: the merchant's order number.
        site_login: the payment must be this player's, where one is named.

    Raises:
        PaymentNotFound: none fits, or neither number was given.
    """
    if number is None and external_id is None:
        raise PaymentNotFound
    wanted = payments.select().where(payments.c.site_id == site_id)
    if number is not None:
        wanted = wanted.where(payments.c.number == number)
    if external_id is not None:
        # A refund has the order number of its deposit; who asks by it means the deposit.
        wanted = wanted.where(payments.c.external_id == external_id, payments.c.kind != Kind.REFUND)
    row = await reader.first(wanted.order_by(payments.c.created_at.desc()).limit(1))
    if row is None:
        raise PaymentNotFound
    found = payment_of(row)
    if site_login is not None:
        player = await players.player(reader, site_id, found.player_id)
        if player.site_login != site_login:
            raise PaymentNotFound
    return found


async def events(reader: Reader, site_id: int, payment_id: str) -> Sequence[Row[Any]]:
    """Everything that happened to a payment, in order."""
    return await reader.all(
        payment_events.select()
        .where(payment_events.c.site_id == site_id, payment_events.c.payment_id == payment_id)
        .order_by(payment_events.c.sequence)
    )


async def taken_again(reader: Reader, reversed_deposit: Payment) -> Money:
    """What was taken again of a deposit when it was reversed, the last time."""
    told = await _last_told(reader, reversed_deposit, SubStatus.REVERSED)
    assert told is not None, "it is told with its reversal"
    return told


async def went_back(reader: Reader, returned_deposit: Payment) -> Money:
    """What came for a deposit and went back to its payer; where nobody has told the sum, what was ordered."""
    return await _last_told(reader, returned_deposit, SubStatus.REFUNDED) or returned_deposit.amount


async def _last_told(reader: Reader, found: Payment, sub_status: SubStatus) -> Money | None:
    """The sum that was told when a payment came to this state, the last time; None: none was."""
    its = payment_events.c
    row = await reader.one(
        select(its.amount_minor, its.currency)
        .where(
            its.site_id == found.site_id,
            its.payment_id == found.payment_id,
            its.type == event_type(found.kind, sub_status),
        )
        .order_by(its.sequence.desc())
        .limit(1)
    )
    return None if row.amount_minor is None else Money(row.amount_minor, row.currency)


def view_hash(view_token: str) -> bytes:
    """How a view token is kept."""
    return hashlib.sha256(view_token.encode()).digest()


def view_token(site_id: int, payment_id: str, form_key: str) -> str:
    """Derived, so that a repeated form finds the same page; unguessable, because both parts are."""
    digest = hashlib.sha256(f"view\n{payment_id}\n{form_key}".encode()).digest()
    return f"{site_id}-{base64.urlsafe_b64encode(digest[:24]).decode()}"


def site_of_view(view_token: str) -> int:
    """The site number that leads a view token; 0 when there is none."""
    return merchants.site_number(view_token.partition("-")[0])


def attempt_of(row: Any) -> Attempt:  # noqa: ANN401  or what has its columns
    """Read a row of the table `attempt`."""
    said = State(row.state) if row.state else None
    its = (row.attempt_id, row.payment_id, row.account, row.leg, row.is_over, said, row.said_paid)
    told = (row.error_code, row.error, row.provider_reference, row.sent_at, row.is_questioned)
    decided = Decided(row.decided) if row.decided else None
    a_sum = None if row.told_minor is None else Money(row.told_minor, row.told_currency)
    return Attempt(*its, *told, row.was_spoken_of, row.came_back_short, decided, a_sum)


def payment_of(row: Row[Any]) -> Payment:
    """Read a row of the table `payment`."""
    return Payment(
        site_id=row.site_id,
        payment_id=row.payment_id,
        number=row.number,
        kind=Kind(row.kind),
        player_id=row.player_id,
        method=row.method,
        account=row.account,
        sub_status=SubStatus(row.sub_status),
        status=Status(row.status),
        amount=Money(row.amount_minor, row.currency),
        external_id=row.external_id,
        provider_reference=row.provider_reference,
        reason_code=row.reason_code,
        reason=row.reason,
        is_late=row.is_late,
        attention=Attention(row.attention) if row.attention else None,
        continue_url=row.continue_url,
        next_account=row.next_account,
        present_attempt=row.present_attempt,
        return_url=row.return_url,
        customer_ip=row.customer_ip,
        source_type=row.source_type,
        language=row.language,
        sequence=row.sequence,
        asked=row.asked,
        created_at=row.created_at,
        changed_at=row.changed_at,
        sent_at=row.sent_at,
        expires_at=row.expires_at,
        completed_at=row.completed_at,
        parent_id=row.parent_id,
        purse=row.purse,
        captured=Money(row.captured_minor, row.currency),
        refund_pending=Money(row.refund_pending_minor, row.currency),
        refunded=Money(row.refunded_minor, row.currency),
        charged_back=Money(row.charged_back_minor, row.currency),
        hold_id=row.hold_id,
        order_id=row.order_id,
        reason_player=row.reason_player,
        approved_hash=row.approved_hash,
        approved_at=row.approved_at,
        initiated_at=row.initiated_at,
        ask_at=row.ask_at,
        # The release before kept no more of it than that it shows.
        is_questioned=row.is_questioned or row.attention == Attention.UNCONFIRMED,
    )
