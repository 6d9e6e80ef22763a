"""One key, one effect: the claim of a caller's idempotency key, written in the deed's own transaction.

Same key and same content: the stored receipt, marked replayed. Same key, other content: refused. A claim
whose transaction rolled back never existed, so the caller may try again with the same key.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import (
    Column,
    ColumnElement,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Select,
    Table,
    Text,
    and_,
    delete,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from app.kernel.errors import Refusal
from app.plumbing import metrics
from app.plumbing.database import Built, Database, Reader, Transaction, Write, is_busy, metadata

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
_LOOKS: Final = 5  # a key that was given back between two statements each time: others are busy with it
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
    Index(None, "claimed_at"),
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
    """A key that is ours now, or was before: then `receipt` is what was answered.

    Who takes a key over claims it at a later time, so that `claimed_at` tells one holder from the next.
    """

    site_id: int
    scope: str
    key: str
    fingerprint: bytes
    claimed_at: datetime
    replayed: bool
    receipt: dict[str, Any] | None


def fingerprint(content: Mapping[str, Any]) -> bytes:
    """SHA-256 over the content in one canonical form."""
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, separators=(",", ":"), default=str).encode()
    ).digest()


_CLAIM = Built(insert(claims).on_conflict_do_nothing().returning(claims.c.claimed_at))


async def claim(
    tx: Transaction,
    site_id: int,
    scope: str,
    key: str,
    content: Mapping[str, Any],
    *,
    receipt: Mapping[str, Any] | None = None,
    beside: Sequence[Write] = (),
) -> Claim:
    """Claim a key; the primary key makes two callers take turns, and the second sees the first's receipt.

    Args:
        tx: the deed's own transaction.
        site_id: whose key it is.
        scope: who uses the key for what.
        key: the key.
        content: what is asked for.
        receipt: what the deed will answer, where that is known beforehand; else `settle` stores it.
        beside: what is written in the same trip, also where the key is known already; being written again
            does it no harm.

    Raises:
        IdempotencyKeyReused: the key was used with other content.
        IdempotencyInProgress: others claim it and give it back all the time.
    """
    mark = fingerprint(content)
    row = {"site_id": site_id, "scope": scope, "key": key, "fingerprint": mark}
    its_own = row | ({"receipt": dict(receipt)} if receipt else {})
    for _ in range(_LOOKS):
        written = await tx.write((_CLAIM, its_own), *beside)
        if written is not None:
            return Claim(
                site_id, scope, key, mark, claimed_at=written.claimed_at, replayed=False, receipt=None
            )
        found = await tx.first(_claim_of(site_id, scope, key))
        if found is None:
            continue  # who had it has just given it back
        if found.fingerprint != mark:
            raise IdempotencyKeyReused
        return Claim(
            site_id, scope, key, mark, claimed_at=found.claimed_at, replayed=True, receipt=found.receipt
        )
    raise IdempotencyInProgress(retry_after_seconds=1)


async def earlier(
    reader: Reader, site_id: int, scope: str, key: str, content: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What was answered under a key, without claiming it; None: nothing yet.

    For a deed that must ask others before it can claim: a repeat then asks nobody.

    Raises:
        IdempotencyKeyReused: the key was used with other content.
    """
    found = await reader.first(_claim_of(site_id, scope, key))
    if found is None:
        return None
    if found.fingerprint != fingerprint(content):
        raise IdempotencyKeyReused
    receipt: dict[str, Any] | None = found.receipt
    return receipt


async def forget(tx: Transaction, *, now: datetime, most: int) -> int:
    """Drop claims older than anybody retries; what moved money has its own key in the ledger for ever.

    At most so many; returns how many.
    """
    its_key = tuple_(claims.c.site_id, claims.c.scope, claims.c.key)
    old = select(*its_key.clauses).where(claims.c.claimed_at < now - _KEPT).limit(most)
    done = await tx.execute(delete(claims).where(its_key.in_(old)))
    return done.rowcount


async def settle(tx: Transaction, claimed: Claim, receipt: Mapping[str, Any]) -> None:
    """Store what the deed answered beside its key, in the same transaction as the deed."""
    await tx.execute(update(claims).where(_is_ours(claimed)).values(receipt=dict(receipt)))


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

    Of two that carry out the same request, as one took the key over from another that was slow and not dead,
    the first to have done it is the answer of both. A refusal frees a key that nobody has taken over since.

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
        if claimed.replayed:
            claimed = await _taken_over(tx, claimed)
    try:
        receipt = await work()
    except Refusal:
        done = await _given_back(database, claimed)
        if done is not None:
            return done, True
        raise
    except Exception as error:
        if is_busy(error):
            await _let_go(database, claimed)
        raise
    return await _kept(database, claimed, receipt)


async def _kept(
    database: Database, claimed: Claim, receipt: Mapping[str, Any]
) -> tuple[Mapping[str, Any], bool]:
    """Keep what was done, whoever has the key by now, and return what is the answer under it.

    Also where the key was freed meanwhile by the refusal of somebody who had taken it over: what is done must
    not be done again by the next who asks.
    """
    row = {"site_id": claimed.site_id, "scope": claimed.scope, "key": claimed.key}
    new = insert(claims).values(**row, fingerprint=claimed.fingerprint, receipt=dict(receipt))
    async with database.transaction() as tx:
        written = await tx.first(
            new.on_conflict_do_update(
                index_elements=[*row],
                set_={"receipt": new.excluded.receipt},
                where=and_(claims.c.receipt.is_(None), claims.c.fingerprint == new.excluded.fingerprint),
            ).returning(claims.c.key)
        )
        if written is not None:
            return receipt, False
        told = await _answered(tx, claimed)
    if told != receipt:
        # Done by two, and differently: the other's answer, or another request that has the key by now.
        metrics.ALARMS.labels("idempotency_done_twice").inc()
        _log.error("idempotency.done_twice", scope=claimed.scope, key=claimed.key)
    return (receipt, False) if told is None else (told, True)


async def _given_back(database: Database, claimed: Claim) -> dict[str, Any] | None:
    """Free the key of what was refused, if it is ours still; else what another one did under it, if any."""
    async with database.transaction() as tx:
        done = await tx.execute(delete(claims).where(_is_ours(claimed), claims.c.receipt.is_(None)))
        return None if done.rowcount else await _answered(tx, claimed)


async def _answered(tx: Transaction, claimed: Claim) -> dict[str, Any] | None:
    """What was answered to the same request, by whoever had its key."""
    found = await tx.first(_claim_of(claimed.site_id, claimed.scope, claimed.key))
    if found is None or found.fingerprint != claimed.fingerprint:
        return None
    receipt: dict[str, Any] | None = found.receipt
    return receipt


async def _let_go(database: Database, claimed: Claim) -> None:
    """Let the same request take a key over at once; another content is refused still."""
    try:
        async with database.transaction() as tx:
            its = update(claims).where(_is_ours(claimed), claims.c.receipt.is_(None))
            await tx.execute(its.values(claimed_at=claims.c.claimed_at - _ABANDONED))
    except Exception as error:
        if not is_busy(error):
            raise
        _log.warning("idempotency.kept", scope=claimed.scope)  # for a minute


async def _taken_over(tx: Transaction, claimed: Claim) -> Claim:
    """Make the key of a request that was never answered ours.

    Raises:
        IdempotencyInProgress: it was asked for a moment ago, or is somebody else's by now.
    """
    taken = await tx.first(
        update(claims)
        .where(_is_ours(claimed), claims.c.receipt.is_(None), claims.c.claimed_at < func.now() - _ABANDONED)
        .values(claimed_at=func.now())
        .returning(claims.c.claimed_at)
    )
    if taken is None:
        raise IdempotencyInProgress(retry_after_seconds=1)
    return replace(claimed, claimed_at=taken.claimed_at, replayed=False)


def _claim_of(site_id: int, scope: str, key: str) -> Select[*tuple[Any, ...]]:
    return claims.select().where(claims.c.site_id == site_id, claims.c.scope == scope, claims.c.key == key)


def _is_ours(claimed: Claim) -> ColumnElement[bool]:
    """The row of a key, while nobody else has claimed it."""
    return and_(
        claims.c.site_id == claimed.site_id,
        claims.c.scope == claimed.scope,
        claims.c.key == claimed.key,
        claims.c.claimed_at == claimed.claimed_at,
    )
