"""The running demo shop: what it is told at the start, what it remembers, how it was told to misbehave."""

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import Depends, Request

from app.demo.merchant_books import Books, Player
from app.kernel.clock import Clock, SystemClock
from app.kernel.money import Money
from app.plumbing.http import HttpClient

__all__ = ["CalloutManner", "MerchantSettings", "Shop", "ShopHere", "WebhookManner", "demo_players"]

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
    `slow_seconds` stays under the cashier's 5 s deadline for callouts, `hang_seconds` is far above it.
    """

    base_url: str
    public_url: str
    site_id: int
    salt: str
    currency: str
    webhook_secret: str
    clock: Clock = field(default_factory=SystemClock)
    slow_seconds: float = 3.0
    hang_seconds: float = 30.0


@dataclass(slots=True)
class Shop:
    """The running shop: its books, its line to the cashier, and its manners."""

    settings: MerchantSettings
    http: HttpClient
    books: Books
    callout: CalloutManner = CalloutManner.ACCEPT
    webhook: WebhookManner = WebhookManner.ACCEPT
    callouts: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=HEARD_LIMIT))
    webhooks: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=HEARD_LIMIT))
    effects: Counter[str] = field(default_factory=Counter)


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
