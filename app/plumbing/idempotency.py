"""One key, one effect: the claim of a caller's idempotency key, written in the deed's own transaction.

Same key and same content: the stored receipt, marked replayed. Same key, other content: refused. A claim
whose transaction rolled back never existed, so the caller may try again with the same key.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, DateTime, Integer, LargeBinary, Table, Text, delete, func, update
from sqlalchemy.dialects.postgresql import JSONB, insert

from app.kernel.errors import Refusal
from app.plumbing.database import Transaction, metadata

__all__ = ["Claim", "IdempotencyKeyReused", "claim", "fingerprint", "forget", "settle"]

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


async def claim(tx: Transaction, site_id: int, scope: str, key: str, content: Mapping[str, Any]) -> Claim:
    """Claim a key; the primary key makes two callers take turns, and the second sees the first's receipt.

    Raises:
        IdempotencyKeyReused: the key was used with other content.
    """
    mark = fingerprint(content)
    row = {"site_id": site_id, "scope": scope, "key": key, "fingerprint": mark}
    written = await tx.first(insert(claims).values(row).on_conflict_do_nothing().returning(claims.c.key))
    if written is not None:
        return Claim(site_id, scope, key, replayed=False, receipt=None)
    found = await tx.one(
        claims.select().where(claims.c.site_id == site_id, claims.c.scope == scope, claims.c.key == key)
    )
    if found.fingerprint != mark:
        raise IdempotencyKeyReused
    return Claim(site_id, scope, key, replayed=True, receipt=found.receipt)


async def forget(tx: Transaction, *, now: datetime) -> int:
    """Drop claims older than anybody retries; what moved money has its own key in the ledger for ever."""
    done = await tx.execute(delete(claims).where(claims.c.claimed_at < now - _KEPT))
    return done.rowcount


async def settle(tx: Transaction, claimed: Claim, receipt: Mapping[str, Any]) -> None:
    """Store what the deed answered beside its key, in the same transaction as the deed."""
    await tx.execute(
        update(claims)
        .where(
            claims.c.site_id == claimed.site_id, claims.c.scope == claimed.scope, claims.c.key == claimed.key
        )
        .values(receipt=dict(receipt))
    )
