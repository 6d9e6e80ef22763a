"""What a merchant's site is: values, and which salts and addresses count. Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType

from app.kernel.errors import Refusal
from app.kernel.signing import Dialect

__all__ = [
    "ATTEMPTS_LIMIT",
    "MOST_ATTEMPTS",
    "SALT_OVERLAP",
    "BadAttempts",
    "MessageFormat",
    "NotAuthentic",
    "Salt",
    "Scope",
    "Site",
    "SiteId",
    "WalletMode",
    "accepted_salts",
    "site_number",
]

SiteId = NewType("SiteId", int)

# 48 h: both servers of a merchant are redeployed within a working day, and a rotation done on a Friday can be
# repaired on Sunday.
SALT_OVERLAP = timedelta(hours=48)
# The first account and two more: where three providers refuse it is the card or the destination, not they.
# And a player waits at the other end, in the worst case for the deadline of each (8 s at the sandbox).
MOST_ATTEMPTS = 3
ATTEMPTS_LIMIT = 9  # as many as a method can have accounts; a test holds the two together
_LONGEST_NUMBER = 9  # digits; fits PostgreSQL's integer


class NotAuthentic(Refusal):
    """The request is not authentic: check the site, the signature or the key."""


class BadAttempts(Refusal):
    """A payment is tried at 1 to {most} provider accounts."""

    param = "most_attempts"


class MessageFormat(StrEnum):
    """How the site wants our messages encoded (protocol.md section 3.4)."""

    JSON = "json"
    FORM = "form"


class Scope(StrEnum):
    """What an API token may do."""

    WALLET = "wallet"
    PLAY = "play"
    READ = "read"


class WalletMode(StrEnum):
    """Who keeps the player's balance: we (no Callback URL) or the merchant."""

    TRANSFER = "transfer"
    SEAMLESS = "seamless"


@dataclass(frozen=True, slots=True)
class Salt:
    """One secret of the SHA-1 rule; `retired_at` ends its acceptance after a rotation."""

    number: int
    value: str = field(repr=False)
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """One shop of a merchant and everything that is switched on there; salts newest first."""

    site_id: SiteId
    merchant_id: str
    name: str
    callout_url: str
    notify_url: str
    notify_failure_url: str
    callback_url: str
    message_format: MessageFormat
    dialect: Dialect
    frame_origins: tuple[str, ...]
    currencies: tuple[str, ...]
    languages: tuple[str, ...]
    extended_info: bool
    is_test: bool
    tell_every_change: bool
    most_attempts: int
    webhook_secret: str = field(repr=False)
    salts: tuple[Salt, ...] = field(repr=False)

    @property
    def wallet_mode(self) -> WalletMode:
        """Empty Callback URL = balance transfer mode: the player's balance is ours (wallet.md section 4)."""
        return WalletMode.SEAMLESS if self.callback_url else WalletMode.TRANSFER

    @property
    def signing_salt(self) -> str:
        """The newest salt; the only one we sign with."""
        return self.salts[0].value

    def notification_url(self, *, success: bool) -> str:
        """Where a final state is told: failures go to their own address where the site has one."""
        return self.notify_url if success or not self.notify_failure_url else self.notify_failure_url


def site_number(text: str) -> int:
    """The number of a site from a stranger's text; 0, which no site has, when it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER else 0


def accepted_salts(salts: tuple[Salt, ...], now: datetime) -> tuple[str, ...]:
    """The salts a signature may have been made with: the newest, and its predecessor during the overlap."""
    return tuple(salt.value for salt in salts if salt.retired_at is None or now < salt.retired_at)
