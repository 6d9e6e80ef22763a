"""What can be true in a ledger: accounts and their floors, movements, requests and answers. Pure."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, NewType

from app.kernel.errors import Refusal
from app.kernel.money import MAX_MINOR, AmountOutOfRange, Money

__all__ = [
    "KEY_LENGTH",
    "MAX_BALANCE",
    "AccountName",
    "AccountState",
    "BalanceLimitReached",
    "Hold",
    "InsufficientFunds",
    "Key",
    "KeyReused",
    "Movement",
    "Outcome",
    "PostRequest",
    "Posted",
    "Purpose",
    "Seal",
    "Side",
    "Stored",
    "TransferNumber",
    "length_prefixed",
]

# A PostgreSQL BIGINT: sums are held against it before they are written.
MAX_BALANCE: Final = 2**63 - 1
# Keys, owners and reasons are identifiers; 128 is the longest that callers may choose (wallet.md 4).
KEY_LENGTH: Final = 128

# Drawn from one sequence while the accounts are locked: on each account later transfers have higher numbers.
# Below zero: decided, not written yet.
TransferNumber = NewType("TransferNumber", int)


class InsufficientFunds(Refusal):
    """There is not enough money: {balance} is available."""


class BalanceLimitReached(Refusal):
    """The account cannot hold that much."""


class KeyReused(Refusal):
    """The key {key} was used before for something else."""

    param = "key"


class Purpose(StrEnum):
    """What an account is for. One account holds one purpose and one currency of one owner."""

    PLAYER_CASH = "player_cash"
    PLAYER_BONUS = "player_bonus"
    PLAYER_HELD = "player_held"
    PLAYER_DEBT = "player_debt"
    MERCHANT_PAYABLE = "merchant_payable"
    OPERATOR_FLOAT = "operator_float"
    HOUSE_GAMING = "house_gaming"
    HOUSE_FEES = "house_fees"
    PROVIDER_CLEARING = "provider_clearing"
    FX_POSITION = "fx_position"
    SUSPENSE = "suspense"

    @property
    def floor_minor(self) -> int | None:
        """The least balance in minor units; None where an account may owe, as a player's money never does."""
        return 0 if self.value.startswith("player_") and self is not Purpose.PLAYER_DEBT else None

    @property
    def ceiling_minor(self) -> int | None:
        """The highest balance in minor units: a debt that is repaid is nothing."""
        return 0 if self is Purpose.PLAYER_DEBT else None


class Outcome(StrEnum):
    """What became of a request. All but CONFLICT are final, stored, and repeated to whoever asks again."""

    POSTED = "posted"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    BALANCE_LIMIT_REACHED = "balance_limit_reached"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Movement:
    """A kind of transfer and the purposes it joins; the legal ones are declared in `chart`."""

    kind: str
    source: Purpose
    target: Purpose


class Key(NamedTuple):
    """What makes a request the same request, for ever, within its site: who asks, and their own id for it."""

    source: str
    key: str


class AccountName(NamedTuple):
    """Which account of a site."""

    owner: str
    purpose: Purpose
    currency: str


@dataclass(slots=True)
class AccountState:
    """An account as locked by this transaction, then as each decision leaves it; amounts in minor units.

    `moved_at` stays as it was found.
    """

    account_id: int
    balance: int
    version: int
    floor: int | None
    moved_at: datetime


@dataclass(frozen=True, slots=True)
class PostRequest:
    """A wish to move money once.

    Args:
        source: the namespace of `key`, e.g. "payments".
        key: the caller's own id of this operation, 1-128 characters.
        movement: one of `chart`.
        amount: above zero, at most 10**15 minor units.
        source_owner, target_owner: whose accounts: a player, a site, or a provider.
        because: what caused it, e.g. a deposit id. Part of the content: the same key for another cause is a
            conflict.
        actor: who asked, for the sealed record; not part of the content.

    Raises:
        AmountOutOfRange: above the limit.
        ValueError: not above zero, a text that is empty or too long, or one account on both sides.
    """

    source: str
    key: str
    movement: Movement
    amount: Money
    source_owner: str
    target_owner: str
    because: str
    actor: str = "system"

    def __post_init__(self) -> None:
        """Hold the limits."""
        if self.amount.minor <= 0:
            raise ValueError("a transfer moves more than nothing; its direction is the movement's")
        if self.amount.minor > MAX_MINOR:
            raise AmountOutOfRange
        for text in (self.source, self.key, self.source_owner, self.target_owner, self.because, self.actor):
            if not 0 < len(text) <= KEY_LENGTH or "\0" in text:
                raise ValueError(f"{text!r} is not 1 to {KEY_LENGTH} characters")
        if self.source_account == self.target_account:
            raise ValueError("a transfer needs two accounts")

    @property
    def identity(self) -> Key:
        """What the ledger knows this request by."""
        return Key(self.source, self.key)

    @property
    def source_account(self) -> AccountName:
        """Where the money comes from."""
        return AccountName(self.source_owner, self.movement.source, self.amount.currency)

    @property
    def target_account(self) -> AccountName:
        """Where the money goes."""
        return AccountName(self.target_owner, self.movement.target, self.amount.currency)

    def fingerprint(self) -> bytes:
        """Digest of the content: two requests with one key must have one fingerprint."""
        parts = (
            self.movement.kind,
            self.amount.currency,
            str(self.amount.minor),
            self.source_owner,
            self.target_owner,
            self.because,
        )
        written = b"".join(length_prefixed(part.encode()) for part in parts)
        return hashlib.blake2b(written, digest_size=32).digest()


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside for one purpose: captured, released, or still held."""

    site_id: int
    transfer_id: TransferNumber
    player_id: str
    amount: Money
    captured: Money
    released: Money
    placed_at: datetime
    expires_at: datetime | None
    duplicate: bool = False

    @property
    def remaining(self) -> Money:
        """What is neither captured nor released."""
        return self.amount - self.captured - self.released

    def is_expired(self, at: datetime) -> bool:
        """Say whether it is too late to capture; the instant of expiry itself is too late."""
        return self.expires_at is not None and at >= self.expires_at


class Side(NamedTuple):
    """One account as an operation left it; a refused operation leaves it as it was."""

    account_id: int
    version: int
    balance_minor: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A request that was decided before, as its transfer row tells it."""

    transfer_id: TransferNumber
    fingerprint: bytes
    outcome: Outcome
    source: Side
    target: Side
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Posted:
    """The answer to a request.

    Args:
        transfer_id: our number for it; for a conflict, of the transfer that has the key.
        outcome: final, except CONFLICT, for which nothing was written.
        duplicate: this is the stored answer of an earlier time; no money moved now.
        source_version, target_version: the accounts' gap-free counters after the operation.
        source_after, target_after: balances that the operation left, as told the first time.
        source_now, target_now: balances at this moment of this transaction.
    """

    request: PostRequest
    transfer_id: TransferNumber
    outcome: Outcome
    duplicate: bool
    source_version: int
    target_version: int
    source_after: Money
    target_after: Money
    source_now: Money
    target_now: Money
    recorded_at: datetime

    @property
    def is_posted(self) -> bool:
        """Say whether the money has moved, now or at the first time."""
        return self.outcome is Outcome.POSTED

    @property
    def refusal(self) -> Refusal | None:
        """The sentence for a "no". Raise it after the transaction: the stored refusal must be committed."""
        match self.outcome:
            case Outcome.POSTED:
                return None
            case Outcome.INSUFFICIENT_FUNDS:
                return InsufficientFunds(balance=self.source_after, needed=self.request.amount)
            case Outcome.BALANCE_LIMIT_REACHED:
                return BalanceLimitReached()
            case Outcome.CONFLICT:
                return KeyReused(key=self.request.key)


@dataclass(frozen=True, slots=True)
class Seal:
    """A link of a site's hash chain: the position of the last transfer it covers, the digest up to there."""

    number: int
    last_recorded_in: int
    last_transfer_id: int
    head: bytes


def length_prefixed(part: bytes) -> bytes:
    """Write bytes so that their end cannot be mistaken: four bytes of length, big-endian, then the bytes."""
    return len(part).to_bytes(4) + part
