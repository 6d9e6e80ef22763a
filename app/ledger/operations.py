"""What can be done with the ledger: post transfers; place, capture and release holds.

Nothing here begins or ends a transaction: the caller's commit makes its own rows and the money one fact.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import asyncpg
from sqlalchemy import select, update

from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.ledger import chart
from app.ledger.model import (
    AccountName,
    AccountState,
    Hold,
    Key,
    Outcome,
    Posted,
    PostRequest,
    Purpose,
    Side,
    Stored,
    TransferNumber,
)
from app.ledger.queries import HoldNotPlaced, find_hold, hold_of
from app.ledger.rules import Book
from app.ledger.tables import holds, transfers
from app.plumbing.database import Transaction

__all__ = [
    "HoldAmountExceeded",
    "HoldExpired",
    "HoldRequest",
    "KeyRaced",
    "capture",
    "expire_holds",
    "hold",
    "locked",
    "post",
    "release",
]

_KEYS = "uq_transfer_site_id_source_key"
_HOLD_SOURCE: Final = "ledger.hold"  # the namespace of the keys of captures and releases

# migrations/sql/ledger_journal.sql and ledger_places.sql
_LOCK: Final = "SELECT * FROM ledger_lock_accounts($1, $2, $3, $4, $5, $6, $7, $8)"
# The keys are looked up when all is locked: the one function is called with what comes of the other.
_LOCK_AND_KNOW: Final = """
WITH locked AS MATERIALIZED (
    SELECT a AS account FROM ledger_lock_accounts($1, $2, $3, $4, $5, $6, $7, $8) AS a),
  done AS MATERIALIZED (SELECT count(*)::integer AS many FROM locked)
SELECT account, NULL::transfer AS transfer FROM locked
UNION ALL
SELECT NULL, known FROM done, LATERAL ledger_known_keys($1 + 0 * done.many, $2, $3) AS known
"""
_WRITE: Final = "SELECT numbers FROM ledger_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"


class KeyRaced(asyncpg.SerializationError):  # type: ignore[misc]  # asyncpg has no types
    """Another transaction used one of these keys for other content meanwhile: run this one again (40001)."""


class HoldExpired(Refusal):
    """The hold expired at {expires_at}; its money can only be released."""


class HoldAmountExceeded(Refusal):
    """The amount is above what is left of the hold: {remaining}."""

    param = "amount"


@dataclass(frozen=True, slots=True)
class HoldRequest:
    """A wish to set a player's cash aside once.

    Args:
        source, key: as in `PostRequest`.
        player_id: whose cash.
        amount: above zero.
        because: what for, e.g. a payout id.
        expires_at: from this instant on it cannot be captured, and `expire_holds` gives it back; None: never.
    """

    source: str
    key: str
    player_id: str
    amount: Money
    because: str
    expires_at: datetime | None = None
    actor: str = "system"


async def post(
    tx: Transaction, site_id: int, requests: Sequence[PostRequest], *, at: datetime
) -> list[Posted]:
    """Decide and write requests of one site in the caller's transaction; answers in their order.

    Opens missing accounts, locks all of them (those with a floor first, each by id), looks the keys up after
    the locks, decides in plain Python, and writes everything by one call. A refused request is a stored
    answer and harms no other.

    Args:
        tx: the caller's transaction.
        site_id: whose accounts and keys; no transfer crosses sites.
        requests: one or many.
        at: this instant; on each account the recorded instants never go back.

    Raises:
        UndeclaredMovement: a movement that `chart` does not declare; nothing is written.
        KeyRaced: sqlstate 40001; the transaction must run again, and will then see a conflict.
    """
    if not requests:
        return []
    raw = tx.raw
    rows = await raw.fetch(_LOCK_AND_KNOW, *_wanted(site_id, requests, at))
    accounts = _states(row["account"] for row in rows if row["account"] is not None)
    seen = _stored(row["transfer"] for row in rows if row["transfer"] is not None)
    book = Book(accounts=accounts, seen=seen, at=at)
    answers = [book.post(request) for request in requests]
    if not book.transfers:
        return answers
    try:
        numbers = await raw.fetchval(_WRITE, site_id, book.at, *_columns(book))
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == _KEYS:
            raise KeyRaced(str(error)) from error
        raise
    return [book.numbered(answer, numbers) for answer in answers]


async def hold(tx: Transaction, site_id: int, wish: HoldRequest, *, at: datetime) -> Hold | Posted:
    """Set a player's cash aside.

    Returns:
        the hold (as it is now, if `duplicate`), or the refused or conflicting answer when nothing is held.

    Raises:
        ValueError: it would expire before it is placed.
    """
    if wish.expires_at is not None and wish.expires_at <= at:
        raise ValueError("a hold expires after it is placed")
    request = PostRequest(
        source=wish.source,
        key=wish.key,
        movement=chart.HOLD_PLACE,
        amount=wish.amount,
        source_owner=wish.player_id,
        target_owner=wish.player_id,
        because=wish.because,
        actor=wish.actor,
    )
    (posted,) = await post(tx, site_id, [request], at=at)
    if not posted.is_posted:
        return posted
    if posted.duplicate:
        return replace(await find_hold(tx, site_id, posted.transfer_id), duplicate=True)
    await tx.execute(
        holds.insert().values(
            site_id=site_id,
            transfer_id=posted.transfer_id,
            player_id=wish.player_id,
            amount_minor=wish.amount.minor,
            currency=wish.amount.currency,
            placed_at=posted.recorded_at,
            expires_at=wish.expires_at,
        )
    )
    nothing = Money(0, wish.amount.currency)
    return Hold(
        site_id,
        posted.transfer_id,
        wish.player_id,
        wish.amount,
        nothing,
        nothing,
        posted.recorded_at,
        wish.expires_at,
    )


async def capture(
    tx: Transaction,
    held: Hold,
    *,
    provider: str,
    because: str,
    at: datetime,
    amount: Money | None = None,
    key: str = "capture",
) -> Posted:
    """Let held money leave through a provider, once; a repeat gets the stored answer.

    Another amount under the same key is a conflict.

    Args:
        tx: the caller's transaction.
        held: the hold, as `hold` or `find_hold` gave it; what counts is its row now.
        provider: whose clearing account.
        because: what caused it, e.g. the payout's attempt.
        at: this instant.
        amount: whole (None: all that is left) or part; the rest stays held until it is released.
        key: tells steps on one hold apart; only who takes it in several parts needs another.

    Raises:
        HoldNotPlaced: placing it failed; a failed hold can never be captured.
        HoldExpired: too late.
        HoldAmountExceeded: more than is left.
    """
    now = await _locked_hold(tx, held.site_id, held.transfer_id)
    known = await _stored_amount(tx, now, key)
    if known is None:
        if now.is_expired(at):
            raise HoldExpired(expires_at=now.expires_at)
        _check_left(now, amount)
    request = PostRequest(
        source=_HOLD_SOURCE,
        key=f"{now.transfer_id}:{key}",
        movement=chart.HOLD_CAPTURE,
        amount=amount or known or now.remaining,
        source_owner=now.player_id,
        target_owner=provider,
        because=because,
    )
    return await _resolve(tx, now, request, at=at)


async def release(
    tx: Transaction,
    held: Hold,
    *,
    because: str,
    at: datetime,
    amount: Money | None = None,
    key: str = "release",
) -> Posted:
    """Give held money back to the player's cash, once; expired or not.

    A part can be released and the rest captured, or the other way round. Arguments and errors as for
    `capture`.
    """
    now = await _locked_hold(tx, held.site_id, held.transfer_id)
    known = await _stored_amount(tx, now, key)
    if known is None:
        _check_left(now, amount)
    request = _giving_back(now, amount or known or now.remaining, key=key, because=because)
    return await _resolve(tx, now, request, at=at)


async def expire_holds(tx: Transaction, site_id: int, *, at: datetime, limit: int = 100) -> list[Posted]:
    """Give back what is left of expired holds, at most `limit` of them."""
    rows = await tx.all(
        select(holds)
        .where(
            holds.c.site_id == site_id,
            holds.c.captured_minor + holds.c.released_minor < holds.c.amount_minor,
            holds.c.expires_at <= at,
        )
        .order_by(holds.c.expires_at, holds.c.transfer_id)
        .limit(limit)
        .with_for_update(key_share=True, skip_locked=True)
    )
    found = [hold_of(row) for row in rows]
    return [
        await _resolve(tx, now, _giving_back(now, now.remaining, key="expire", because="hold.expired"), at=at)
        for now in found
    ]


def _giving_back(now: Hold, amount: Money, *, key: str, because: str) -> PostRequest:
    return PostRequest(
        source=_HOLD_SOURCE,
        key=f"{now.transfer_id}:{key}",
        movement=chart.HOLD_RELEASE,
        amount=amount,
        source_owner=now.player_id,
        target_owner=now.player_id,
        because=because,
    )


async def _resolve(tx: Transaction, now: Hold, request: PostRequest, *, at: datetime) -> Posted:
    (posted,) = await post(tx, now.site_id, [request], at=at)
    if posted.is_posted and not posted.duplicate:
        captured = request.movement == chart.HOLD_CAPTURE
        column = holds.c.captured_minor if captured else holds.c.released_minor
        await tx.execute(
            update(holds)
            .where(holds.c.site_id == now.site_id, holds.c.transfer_id == now.transfer_id)
            .values({column: column + request.amount.minor})
        )
    return posted


def _check_left(now: Hold, amount: Money | None) -> None:
    if now.remaining.minor == 0 or (amount is not None and amount > now.remaining):
        raise HoldAmountExceeded(remaining=now.remaining)


async def _stored_amount(tx: Transaction, now: Hold, key: str) -> Money | None:
    row = await tx.first(
        select(transfers.c.amount_minor, transfers.c.currency).where(
            transfers.c.site_id == now.site_id,
            transfers.c.source == _HOLD_SOURCE,
            transfers.c.key == f"{now.transfer_id}:{key}",
        )
    )
    return Money(row.amount_minor, row.currency) if row else None


async def _locked_hold(tx: Transaction, site_id: int, transfer_id: TransferNumber) -> Hold:
    row = await tx.first(
        select(holds)
        .where(holds.c.site_id == site_id, holds.c.transfer_id == transfer_id)
        .with_for_update(key_share=True)
    )
    if row is None:
        raise HoldNotPlaced(transfer_id)
    return hold_of(row)


async def locked(
    raw: Any,  # noqa: ANN401  asyncpg has no types
    site_id: int,
    requests: Sequence[PostRequest],
    at: datetime,
) -> dict[AccountName, AccountState]:
    """Open and lock the accounts of requests; those of known keys are neither opened nor missed."""
    return _states(await raw.fetch(_LOCK, *_wanted(site_id, requests, at)))


def _wanted(site_id: int, requests: Sequence[PostRequest], at: datetime) -> list[Any]:
    """What `ledger_lock_accounts` takes: each account that is named, under each key that names it."""
    wanted = {
        (name, request.identity): None
        for request in requests
        for name in (request.source_account, request.target_account)
    }
    names = [name for name, _ in wanted]
    return [
        site_id,
        [key.source for _, key in wanted],
        [key.key for _, key in wanted],
        [name.owner for name in names],
        [name.purpose.value for name in names],
        [name.currency for name in names],
        [name.purpose.floor_minor for name in names],
        at,
    ]


def _states(rows: Iterable[Any]) -> dict[AccountName, AccountState]:
    return {
        AccountName(row["owner"], Purpose(row["purpose"]), row["currency"]): AccountState(
            row["account_id"], row["balance_minor"], row["version"], row["floor_minor"], row["moved_at"]
        )
        for row in rows
    }


def _stored(rows: Iterable[Any]) -> dict[Key, Stored]:
    return {
        Key(row["source"], row["key"]): Stored(
            TransferNumber(row["transfer_id"]),
            row["fingerprint"],
            Outcome(row["outcome"]),
            Side(row["source_account_id"], row["source_version"], row["source_balance_minor"]),
            Side(row["target_account_id"], row["target_version"], row["target_balance_minor"]),
            row["recorded_at"],
        )
        for row in rows
    }


def _columns(book: Book) -> list[list[Any]]:
    """The rows of a book as the arrays that `ledger_write` takes, in its order."""
    rows = [
        (
            item.source,
            item.actor,
            stored.outcome.value,
            stored.fingerprint,
            item.amount.currency,
            item.key,
            item.movement.kind,
            item.amount.minor,
            stored.source.account_id,
            stored.target.account_id,
            item.because,
        )
        for item, stored in book.transfers
    ]
    return [list(column) for column in zip(*rows, strict=True)]
