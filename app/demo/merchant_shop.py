"""The running demo shop: what it is told at the start, what it remembers, how it was told to misbehave."""

import asyncio
from collections import Counter, deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import Depends, Request

from app.demo.merchant_books import Books, Player
from app.kernel.clock import Clock, SystemClock
from app.kernel.money import Money
from app.plumbing.http import HttpClient

__all__ = [
    "ApprovalManner",
    "CalloutManner",
    "InitiationManner",
    "MerchantSettings",
    "PayoutManner",
    "Shop",
    "ShopHere",
    "WebhookManner",
    "demo_players",
]

# The demo keeps the last messages it heard, not all of them: it may run for days.
HEARD_LIMIT: Final = 500


class CalloutManner(StrEnum):
    """How the shop answers `check_deposit`."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    GARBAGE = "garbage"
    SLOW = "slow"  # a good answer, late but within the cashier's deadline
    HANG = "hang"  # the connection stays open, nothing is said
    HTML = "html"
    ERROR500 = "error500"
    NO_ANSWER = "no_answer"  # the connection is closed without a byte


class PayoutManner(StrEnum):
    """How the shop answers `request_payout`; those up to ERROR_YES reserve the money, the rest do not."""

    ACCEPT = "accept"
    SLOW = "slow"
    LATE = "late"  # a good answer, after the cashier's deadline
    LOST_ANSWER = "lost_answer"  # acts, then closes the connection without a byte
    OTHER_ORDER = "other_order"  # every repeat is answered with another external_id
    SAME_ORDER = "same_order"  # every withdrawal is answered with the external_id of the first
    DEPOSITS_YES = "deposits_yes"  # code 0, the yes to check_deposit
    NO_ORDER = "no_order"  # code 50 without external_id
    ERROR_YES = "error_yes"  # code 50 under HTTP 500
    CHANGE_OF_MIND = "change_of_mind"  # refuses each transaction once, accepts it when asked again
    REFUSE = "refuse"
    NO_FUNDS = "no_funds"
    REDIRECT = "redirect"
    GARBAGE = "garbage"
    HTML = "html"
    ERROR500 = "error500"
    HANG = "hang"
    NO_ANSWER = "no_answer"


class ApprovalManner(StrEnum):
    """When the shop tells the cashier to pay a withdrawal."""

    OWNER = "owner"  # when the owner approves it at the desk
    AT_ONCE = "at_once"  # as soon as request_payout is answered
    BEFORE_ANSWER = "before_answer"  # before request_payout is answered
    AFTER_END = "after_end"  # when the cashier has said that it is over


class InitiationManner(StrEnum):
    """What the shop sends to initiate a payout; after LOST_ANSWER come mistakes that must be refused."""

    HONEST = "honest"
    EVERY_FIELD = "every_field"  # all of protocol.md 3.3
    AS_FORM = "as_form"
    AGAIN = "again"  # once more after the answer
    STORM = "storm"  # many at the same moment
    LOST_ANSWER = "lost_answer"  # does not look at the first answer, and asks again
    WRONG_AMOUNT = "wrong_amount"  # one more than was asked for
    WRONG_CURRENCY = "wrong_currency"
    WRONG_LOGIN = "wrong_login"
    UNKNOWN_ORDER = "unknown_order"
    NO_ORDER = "no_order"
    BAD_SIGNATURE = "bad_signature"
    CARD_NUMBER = "card_number"  # an unmasked one, in customer_purse
    EXTRA_FIELD = "extra_field"


class WebhookManner(StrEnum):
    """How the shop answers webhooks; only ACCEPT, SLOW and LOST_ANSWER act on them."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    ERROR500 = "error500"
    SLOW = "slow"
    LOST_ANSWER = "lost_answer"  # acts, then closes the connection without a byte


@dataclass(frozen=True, slots=True)
class MerchantSettings:
    """What the shop is told at the start: where the cashier is, and the secrets shared with it.

    `webhook_secret` is the Standard Webhooks one (`whsec_...`); empty: those headers are not checked.
    `api_token` reads the shop's payments; empty: the owner is not told what a withdrawal waits for.
    `slow_seconds` stays under the cashier's 5 s deadline for callouts, `late_seconds` and `hang_seconds` are
    above it. `pauses_seconds` lie between the tries to initiate a payout.
    """

    base_url: str
    public_url: str
    site_id: int
    salt: str
    currency: str
    webhook_secret: str
    api_token: str = field(default="", repr=False)
    clock: Clock = field(default_factory=SystemClock)
    slow_seconds: float = 3.0
    late_seconds: float = 7.0
    hang_seconds: float = 30.0
    pauses_seconds: tuple[float, ...] = (0.5, 2.0, 5.0)


@dataclass(slots=True)
class Shop:
    """The running shop: its books, its line to the cashier, and its manners."""

    settings: MerchantSettings
    http: HttpClient
    books: Books
    callout: CalloutManner = CalloutManner.ACCEPT
    webhook: WebhookManner = WebhookManner.ACCEPT
    payout: PayoutManner = PayoutManner.ACCEPT
    approval: ApprovalManner = ApprovalManner.OWNER
    initiation: InitiationManner = InitiationManner.HONEST
    callouts: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=HEARD_LIMIT))
    webhooks: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=HEARD_LIMIT))
    initiations: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=HEARD_LIMIT))
    effects: Counter[str] = field(default_factory=Counter)
    changed_minds: set[str] = field(default_factory=set)
    errands: set[asyncio.Task[None]] = field(default_factory=set)
    looked_at: datetime | None = None

    def send(self, errand: Coroutine[Any, Any, None]) -> None:
        """Let something be done meanwhile."""
        task = asyncio.create_task(errand)
        self.errands.add(task)
        task.add_done_callback(self.errands.discard)

    async def close(self) -> None:
        """End what is still being done."""
        for task in self.errands:
            task.cancel()
        await asyncio.gather(*self.errands, return_exceptions=True)


def demo_players(currency: str) -> dict[str, Player]:
    """Return the three players of the demo, with nothing on their accounts."""
    people = [
        ("aigerim", "Aigerim", "Sadykova", "en"),
        ("daniyar", "Daniyar", "Omarov", "ru"),
        ("gulnara", "Gulnara", "Akhmetova", "kk"),
    ]
    return {
        login: Player(login, first, last, f"{login}@players.example", language, Money(0, currency))
        for login, first, last, language in people
    }


def the_shop(request: Request) -> Shop:
    """Return the running shop of this process."""
    shop = request.app.state.shop
    assert isinstance(shop, Shop)
    return shop


ShopHere = Annotated[Shop, Depends(the_shop)]
