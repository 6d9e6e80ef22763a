"""The one contract that every gateway keeps, and the words in which it answers.

A gateway translates: our order into its provider's request, the provider's answer into a `Result`. It never
decides what a payment becomes, never stores anything, and never guesses: what it cannot read is
`State.UNKNOWN`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Flag, StrEnum, auto
from typing import Protocol

from app.kernel.errors import Refusal
from app.kernel.masking import CardNumber
from app.kernel.money import Money
from app.plumbing.http import HttpClient

__all__ = [
    "BadNotice",
    "Cap",
    "DepositOrder",
    "DisputeReport",
    "DisputeStage",
    "Gateway",
    "InstrumentSeen",
    "NoticeReply",
    "PayoutOrder",
    "ProviderAccount",
    "ProviderError",
    "RawNotice",
    "Redirect",
    "RefundOrder",
    "Report",
    "Result",
    "State",
    "Tokenised",
    "is_own_page",
    "judged",
]

_PAGE = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(?=[/?#]|$)")


class BadNotice(Refusal):
    """The notice is not authentic."""


class Cap(Flag):
    """What a gateway can do; the core never asks for more."""

    DEPOSIT = auto()
    CANCEL = auto()
    STATUS = auto()
    NOTICE = auto()
    REDIRECT = auto()
    PAYOUT = auto()
    REFUND = auto()
    BALANCE = auto()
    TOKENS = auto()


class State(StrEnum):
    """What the provider says of one order. UNKNOWN is an answer: nothing may be concluded from it.

    RETURNED: a payout that was paid came back. REVERSED: a success of a deposit or refund was taken back.
    """

    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NOT_FOUND = "not_found"
    UNKNOWN = "unknown"
    RETURNED = "returned"
    REVERSED = "reversed"


class DisputeStage(StrEnum):
    """How far the player's bank has come with taking a deposit back (payments.md section 1.3)."""

    EARLY_WARNING = "early_warning"
    PREVENTED = "prevented"
    OPENED = "opened"
    NEEDS_RESPONSE = "needs_response"
    SUBMITTED = "submitted"
    WON = "won"
    LOST = "lost"
    ACCEPTED = "accepted"
    EXPIRED = "expired"
    PRE_ARBITRATION = "pre_arbitration"


@dataclass(frozen=True, slots=True)
class ProviderAccount:
    """Our account at a provider, for one site; `credentials` never leave the gateway.

    A gateway reads `credentials` alone: the secret before them verifies notices, by `before_rotation`, and
    signs nothing.
    """

    site_id: int
    account: str
    gateway: str
    base_url: str
    page_origin: str
    credentials: Mapping[str, str] = field(repr=False)
    former_secret: str | None = field(default=None, repr=False)
    former_secret_ends_at: datetime | None = None

    def before_rotation(self, now: datetime) -> "ProviderAccount | None":
        """The account with its former secret, for notices still signed so; None once that is over."""
        ends_at = self.former_secret_ends_at
        if self.former_secret is None or ends_at is None or now >= ends_at:
            return None
        former = {**self.credentials, "secret": self.former_secret}
        return replace(self, credentials=former, former_secret=None, former_secret_ends_at=None)

    def is_where(self, other: "ProviderAccount") -> bool:
        """Whether both are the same account at the same address, under the same number of ours there."""
        its, theirs = ((one.gateway, one.base_url, one.credentials.get("account")) for one in (self, other))
        return (self.site_id, self.account, its) == (other.site_id, other.account, theirs)


@dataclass(frozen=True, slots=True)
class DepositOrder:
    """What we ask a provider to collect.

    `reference` is our attempt's id: the same for every repeat of the same try.
    """

    reference: str
    amount: Money
    description: str
    player_reference: str
    language: str
    return_url: str
    notice_url: str
    method: str = ""  # a code of the catalogue of `methods`; empty: the provider's page asks


@dataclass(frozen=True, slots=True)
class PayoutOrder:
    """What we ask a provider to pay to a player.

    `reference` as in a deposit. `destination` has the fields of the method as `methods` reads them; of a card
    it is the `token` that this very account gave for it, never a number.
    """

    reference: str
    amount: Money
    method: str
    destination: Mapping[str, str] = field(repr=False)
    description: str
    player_reference: str
    language: str
    notice_url: str


@dataclass(frozen=True, slots=True)
class RefundOrder:
    """What we ask a provider to give back of a deposit.

    `original_reference` is our attempt that took the deposit, `provider_reference` the provider's own number
    of it; `reference` names the refund itself.
    """

    reference: str
    original_reference: str
    provider_reference: str
    amount: Money
    reason: str
    notice_url: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """The player must go to this page."""

    url: str


@dataclass(frozen=True, slots=True)
class ProviderError:
    """Why a provider did not do it. `code` is the provider's own word, kept for staff.

    Args:
        code: the provider's own word.
        message: its sentence.
        retryable: it is about the provider, or our account there, and not about the player, the card or the
            destination: another account may do it, or this one later. Only what the provider says so clearly.
        undeliverable: of a payout: the destination cannot receive, whoever sends (a closed account, a wrong
            number).
    """

    code: str
    message: str
    retryable: bool = False
    undeliverable: bool = False

    def __post_init__(self) -> None:
        """Hold what cannot be otherwise."""
        assert not (self.retryable and self.undeliverable), "what cannot receive cannot receive from others"


@dataclass(frozen=True, slots=True)
class InstrumentSeen:
    """With what the player paid, or where a payout went, in the provider's words.

    `fingerprint` is the same whenever the same card, account or telephone comes to this provider again;
    `token` pays to it, where the provider gives one.
    """

    method: str
    masked: str
    fingerprint: str
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Tokenised:
    """A provider's stand-in for a card number: good at the account that gave it, worthless elsewhere."""

    token: str = field(repr=False)
    masked: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class DisputeReport:
    """What a provider tells of one dispute; `amount` is the disputed part of the deposit.

    After `due_at` an answer to it comes too late; None where there is nothing to answer.
    """

    dispute_reference: str
    stage: DisputeStage
    amount: Money
    reason: str
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Result:
    """What one call brought. `raw` is masked: no card number, no secret."""

    state: State
    provider_reference: str | None = None
    amount: Money | None = None
    next_action: Redirect | None = None
    error: ProviderError | None = None
    raw: Mapping[str, object] = field(default_factory=dict)
    nothing_was_sent: bool = False
    instrument: InstrumentSeen | None = None


@dataclass(frozen=True, slots=True)
class RawNotice:
    """A provider's message exactly as it arrived; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """One fact out of a notice: what became of the order that carries our `reference`.

    With a `dispute`, the order is the disputed deposit and `result` says nothing of it (UNKNOWN).
    """

    dedupe_key: str
    reference: str
    result: Result
    occurred_at: datetime | None
    dispute: DisputeReport | None = None


@dataclass(frozen=True, slots=True)
class NoticeReply:
    """The exact answer the provider wants for a notice that was taken in."""

    status: int
    body: bytes
    media_type: str


def is_own_page(account: ProviderAccount, url: str) -> bool:
    """Whether a player's browser may be sent to a page that the provider has named."""
    found = _PAGE.match(url)
    return found is not None and url.isprintable() and account.page_origin in {"", found[0]}


def judged(account: ProviderAccount, result: Result) -> Result:
    """The result, unless it would send the player's browser to a page that is not the provider's.

    A page elsewhere, or an address that is no web address, makes the result UNKNOWN: it is not what we
    ordered.
    """
    if result.next_action is None:
        return result
    if result.state is not State.REQUIRES_ACTION:
        return replace(result, next_action=None)  # nobody waits for the player: a page changes nothing
    if is_own_page(account, result.next_action.url):
        return result
    error = ProviderError("bad_page", "the provider named a page that is not its own")
    return replace(result, state=State.UNKNOWN, next_action=None, error=error)


class Gateway(Protocol):
    """One way to reach one kind of provider."""

    name: str
    caps: Cap

    async def deposit(self, http: HttpClient, account: ProviderAccount, order: DepositOrder) -> Result:
        """Ask the provider to collect a deposit.

        Time-outs and unreadable answers are UNKNOWN, never an exception.
        """
        ...

    async def pay_out(self, http: HttpClient, account: ProviderAccount, order: PayoutOrder) -> Result:
        """Ask the provider to pay a player; as `deposit`.

        FAILED means that the provider itself said that it did not and will not pay under this reference. Its
        error says whether another account may (`retryable`), or nobody can (`undeliverable`).
        """
        ...

    async def refund(self, http: HttpClient, account: ProviderAccount, order: RefundOrder) -> Result:
        """Ask the provider to give back a deposit or a part of it; as `pay_out`."""
        ...

    async def status(self, http: HttpClient, account: ProviderAccount, reference: str) -> Result:
        """Ask what became of an order of ours: deposit, payout or refund."""
        ...

    async def balance(self, http: HttpClient, account: ProviderAccount, currency: str) -> Money | None:
        """What the provider holds for us and can pay out now; None: it could not be had."""
        ...

    async def tokenise(
        self, http: HttpClient, account: ProviderAccount, number: CardNumber
    ) -> Tokenised | ProviderError:
        """Have the provider keep a card number, in exchange for a token.

        An error that is `retryable` says nothing of the card; any other is the provider's no to this card. No
        money moves, so that asking again is harmless.
        """
        ...

    async def cancel(self, http: HttpClient, account: ProviderAccount, reference: str) -> Result:
        """Ask the provider to forget an order that the player did not pay."""
        ...

    def verify(self, account: ProviderAccount, notice: RawNotice) -> None:
        """Raise `BadNotice` unless the provider itself sent these very bytes."""
        ...

    def parse(self, account: ProviderAccount, notice: RawNotice) -> list[Report]:
        """The facts of a verified notice; an unreadable one gives none.

        It may be read after the account's secret was changed: what it says must not hang on the secret.
        """
        ...

    def reply(self, account: ProviderAccount, notice: RawNotice) -> NoticeReply:
        """What to answer to a notice that was taken in."""
        ...
