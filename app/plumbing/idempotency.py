"""One key, one effect: the claim of a caller's idempotency key, written in the deed's own transaction.

Same key and same content: the stored receipt, marked replayed. Same key, other content: refused. A claim
whose transaction rolled back never existed, so the caller may try again with the same key.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import (
    Column,
    ColumnElement,
    DateTime,
    Integer,
    LargeBinary,
    Table,
    Text,
    and_,
    delete,
    func,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from app.kernel.errors import Refusal
from app.plumbing.database import Built, Database, Reader, Transaction, is_busy, metadata

__all__ = [
    "Claim",
    "IdempotencyInProgress",
    "IdempotencyKeyMissing",
    "IdempotencyKeyReused",
    "checked_key",
    "claim",
    "earlier",
    "fingerprint",
    "forget",
    "once",
    "settle",
]

_log = structlog.get_logger("idempotency")
_LONGEST_KEY: Final = 255  # payments.md section 3.2
_ABANDONED: Final = timedelta(minutes=1)  # longer than any deadline of ours together
_KEPT: Final = timedelta(days=60)  # payments.md section 3.2 asks for 30 at least, where money is concerned

claims = Table(
    "claim",
    metadata,
    Column("site_id", Integer, primary_key=True),
    Column(
        "scope", Text, primary_key=True, comment="who uses the key for what, e.g. cashier.deposit:ply_..."
    ),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False, comment="SHA-256 of the canonical content"),
    Column("receipt", JSONB, comment="what the deed answered, once it has"),
    Column("claimed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)


class IdempotencyKeyReused(Refusal):
    """This idempotency key was used before for another request."""


class IdempotencyKeyMissing(Refusal):
    """Give an Idempotency-Key of 1 to 255 printable characters, so that a retry is safe."""

    param = "Idempotency-Key"


class IdempotencyInProgress(Refusal):
    """A request with this idempotency key is still running; ask again in {retry_after_seconds} s."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that is ours now, or was before: then `receipt` is what was answered."""

    site_id: int
    scope: str
    key: str
    replayed: bool
    receipt: dict[str, Any] | None


def fingerprint(content: Mapping[str, Any]) -> bytes:
    """SHA-256 over the content in one canonical form."""
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, separators=(",", ":"), default=str).encode()
    ).digest()


_CLAIM = Built(insert(claims).on_conflict_do_nothing().returning(claims.c.key))


async def claim(
    tx: Transaction,
    site_id: int,
    scope: str,
    key: str,
    content: Mapping[str, Any],
    *,
    receipt: Mapping[str, Any] | None = None,
) -> Claim:
    """Claim a key; the primary key makes two callers take turns, and the second sees the first's receipt.

    Args:
        tx: the deed's own transaction.
        site_id: whose key it is.
        scope: who uses the key for what.
        key: the key.
        content: what is asked for.
        receipt: what the deed will answer, where that is known beforehand; else `settle` stores it.

    Raises:
        IdempotencyKeyReused: the key was used with other content.
    """
    mark = fingerprint(content)
    row = {"site_id": site_id, "scope": scope, "key": key, "fingerprint": mark}
    written = await tx.first(_CLAIM, row | ({"receipt": dict(receipt)} if receipt else {}))
    if written is not None:
        return Claim(site_id, scope, key, replayed=False, receipt=None)
    found = await tx.one(
        claims.select().where(claims.c.site_id == site_id, claims.c.scope == scope, claims.c.key == key)
    )
    if found.fingerprint != mark:
        raise IdempotencyKeyReused
    return Claim(site_id, scope, key, replayed=True, receipt=found.receipt)


async def earlier(
    reader: Reader, site_id: int, scope: str, key: str, content: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What was answered under a key, without claiming it; None: nothing yet.

    For a deed that must ask others before it can claim: a repeat then asks nobody.

    Raises:
        IdempotencyKeyReused: the key was used with other content.
    """
    found = await reader.first(
        claims.select().where(claims.c.site_id == site_id, claims.c.scope == scope, claims.c.key == key)
    )
    if found is None:
        return None
    if found.fingerprint != fingerprint(content):
        raise IdempotencyKeyReused
    receipt: dict[str, Any] | None = found.receipt
    return receipt


async def forget(tx: Transaction, *, now: datetime) -> int:
    """Drop claims older than anybody retries; what moved money has its own key in the ledger for ever."""
    done = await tx.execute(delete(claims).where(claims.c.claimed_at < now - _KEPT))
    return done.rowcount


async def settle(tx: Transaction, claimed: Claim, receipt: Mapping[str, Any]) -> None:
    """Store what the deed answered beside its key, in the same transaction as the deed."""
    await tx.execute(update(claims).where(_is(claimed)).values(receipt=dict(receipt)))


def checked_key(header: str | None) -> str:
    """The key of a request that may move money.

    Raises:
        IdempotencyKeyMissing: none, or one that cannot be kept.
    """
    if header is None or not 0 < len(header) <= _LONGEST_KEY or not header.isprintable():
        raise IdempotencyKeyMissing
    return header


async def once(
    database: Database,
    site_id: int,
    scope: str,
    key: str,
    content: Mapping[str, Any],
    work: Callable[[], Awaitable[Mapping[str, Any]]],
) -> tuple[Mapping[str, Any], bool]:
    """Do something that has transactions and calls of its own, once for each key; what it answered is kept.

    A refusal frees the key, for nothing was done. Where the database was too busy, the same request may come
    again at once. Where nobody knows (the process died), the key stays taken for a minute. Then, as after a
    busy database, the same request is carried out again, by deeds that know their own repeats.

    Args:
        work: what is to be done; returns plain JSON.

    Returns:
        the answer, and whether it was given before.

    Raises:
        IdempotencyKeyReused: the key was used with other content.
        IdempotencyInProgress: it is running just now.
    """
    async with database.transaction() as tx:
        claimed = await claim(tx, site_id, scope, key, content)
        if claimed.receipt is not None:
            return claimed.receipt, True
        if claimed.replayed and not await _taken_over(tx, claimed):
            raise IdempotencyInProgress(retry_after_seconds=1)
    try:
        receipt = await work()
    except Refusal:
        async with database.transaction() as tx:
            await tx.execute(delete(claims).where(_is(claimed)))
        raise
    except Exception as error:
        if is_busy(error):
            await _let_go(database, claimed)
        raise
    async with database.transaction() as tx:
        await settle(tx, claimed, receipt)
    return receipt, False


async def _let_go(database: Database, claimed: Claim) -> None:
    """Let the same request take a key over at once; another content is refused still."""
    try:
        async with database.transaction() as tx:
            its = update(claims).where(_is(claimed), claims.c.receipt.is_(None))
            await tx.execute(its.values(claimed_at=claims.c.claimed_at - _ABANDONED))
    except Exception as error:
        if not is_busy(error):
            raise
        _log.warning("idempotency.kept", scope=claimed.scope)  # for a minute


async def _taken_over(tx: Transaction, claimed: Claim) -> bool:
    """Whether the key of a request that was never answered is ours now."""
    done = await tx.execute(
        update(claims)
        .where(_is(claimed), claims.c.receipt.is_(None), claims.c.claimed_at < func.now() - _ABANDONED)
        .values(claimed_at=func.now())
    )
    return bool(done.rowcount)


def _is(claimed: Claim) -> ColumnElement[bool]:
    return and_(
        claims.c.site_id == claimed.site_id, claims.c.scope == claimed.scope, claims.c.key == claimed.key
    )
