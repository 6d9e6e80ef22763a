"""What is true in the ledger: balances now and then, statements, holds. Reads only; each names its site."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, text, tuple_

from app.kernel.money import Money
from app.ledger.model import AccountName, Hold, Outcome, Purpose, Seal, TransferNumber
from app.ledger.rules import NO_SEAL
from app.ledger.tables import accounts, entries, holds, seals, transfers
from app.plumbing.database import Reader

__all__ = [
    "HoldNotPlaced",
    "SealLag",
    "StatementLine",
    "account_statement",
    "balance",
    "balance_at",
    "balances",
    "find_hold",
    "hold_of",
    "last_seal",
    "open_holds",
    "posted_kinds",
    "recorded",
    "seal_lag",
    "seal_of",
    "sites",
]


class HoldNotPlaced(LookupError):
    """There is no such hold at this site: placing it was refused, or it was never asked for."""


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One entry of an account; `version` counts without a gap, `balance_after` chains from line to line."""

    version: int
    transfer_id: TransferNumber
    kind: str
    because: str
    amount: Money
    balance_after: Money
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class SealLag:
    """How far the sealed chain is behind: transfers not yet sealed, and the instant of the oldest of them."""

    site_id: int
    rows: int
    oldest_at: datetime | None


def _is(site_id: int, name: AccountName) -> Any:  # noqa: ANN401  SQLAlchemy's own type of an AND depends on its parts
    return (
        (accounts.c.site_id == site_id)
        & (accounts.c.owner == name.owner)
        & (accounts.c.purpose == name.purpose)
        & (accounts.c.currency == name.currency)
    )


async def balance(reader: Reader, site_id: int, name: AccountName) -> Money:
    """The balance of an account now; zero for one that was never opened."""
    found = await reader.scalar(select(accounts.c.balance_minor).where(_is(site_id, name)))
    return Money(found or 0, name.currency)


async def balances(reader: Reader, site_id: int, owner: str) -> dict[AccountName, Money]:
    """Every account of one owner and its balance now."""
    columns = (accounts.c.purpose, accounts.c.currency, accounts.c.balance_minor)
    rows = await reader.all(
        select(*columns)
        .where(accounts.c.site_id == site_id, accounts.c.owner == owner)
        .order_by(*columns[:2])
    )
    return {
        AccountName(owner, Purpose(row.purpose), row.currency): Money(row.balance_minor, row.currency)
        for row in rows
    }


async def balance_at(reader: Reader, site_id: int, name: AccountName, at: datetime) -> Money:
    """The balance as it was at an instant, entries of that very instant included.

    Found by halving over the account's entries: some twenty probes of their primary key for a million.
    """
    asked = select(func.ledger_balance_at(accounts.c.site_id, accounts.c.account_id, at))
    found = await reader.scalar(asked.where(_is(site_id, name)))
    return Money(found or 0, name.currency)


async def account_statement(
    reader: Reader, site_id: int, name: AccountName, *, after_version: int = 0, limit: int = 100
) -> list[StatementLine]:
    """The entries of an account, oldest first.

    Args:
        reader: where to read.
        site_id: the site.
        name: the account.
        after_version: the version of the last line already seen. Versions are given out under the account's
            lock, so a page never misses a line that was still being written.
        limit: lines at most.
    """
    rows = await reader.all(
        select(entries, transfers.c.kind, transfers.c.because)
        .join(
            accounts,
            (accounts.c.site_id == entries.c.site_id) & (accounts.c.account_id == entries.c.account_id),
        )
        .join(
            transfers,
            (transfers.c.site_id == entries.c.site_id) & (transfers.c.transfer_id == entries.c.transfer_id),
        )
        .where(_is(site_id, name), entries.c.site_id == site_id, entries.c.account_version > after_version)
        .order_by(entries.c.account_version)
        .limit(limit)
    )
    return [
        StatementLine(
            row.account_version,
            TransferNumber(row.transfer_id),
            row.kind,
            row.because,
            Money(row.amount_minor, row.currency),
            Money(row.balance_after_minor, row.currency),
            row.recorded_at,
        )
        for row in rows
    ]


async def find_hold(reader: Reader, site_id: int, transfer_id: int) -> Hold:
    """A hold by the number of the transfer that placed it.

    Raises:
        HoldNotPlaced: there is none.
    """
    row = await reader.first(
        select(holds).where(holds.c.site_id == site_id, holds.c.transfer_id == transfer_id)
    )
    if row is None:
        raise HoldNotPlaced(transfer_id)
    return hold_of(row)


async def posted_kinds(reader: Reader, site_id: int, source: str, keys: Sequence[str]) -> list[str]:
    """The kinds of those transfers with these keys that were posted, the first one first."""
    rows = await reader.all(
        select(transfers.c.kind)
        .where(
            transfers.c.site_id == site_id,
            transfers.c.source == source,
            transfers.c.key.in_(keys),
            transfers.c.outcome == Outcome.POSTED,
        )
        .order_by(transfers.c.transfer_id)
    )
    return [row.kind for row in rows]


async def open_holds(reader: Reader, site_id: int, player_id: str) -> list[Hold]:
    """What is held of a player's money now, oldest first."""
    rows = await reader.all(
        select(holds)
        .where(
            holds.c.site_id == site_id,
            holds.c.player_id == player_id,
            holds.c.captured_minor + holds.c.released_minor < holds.c.amount_minor,
        )
        .order_by(holds.c.transfer_id)
    )
    return [hold_of(row) for row in rows]


def hold_of(row: Row[Any]) -> Hold:
    """Read a row of the table `hold`."""
    return Hold(
        site_id=row.site_id,
        transfer_id=TransferNumber(row.transfer_id),
        player_id=row.player_id,
        amount=Money(row.amount_minor, row.currency),
        captured=Money(row.captured_minor, row.currency),
        released=Money(row.released_minor, row.currency),
        placed_at=row.placed_at,
        expires_at=row.expires_at,
    )


async def sites(reader: Reader) -> Sequence[int]:
    """Every site that has an account, by hopping from one to the next on the primary key."""
    rows = await reader.all(
        text("""
        WITH RECURSIVE hop AS (
          SELECT min(site_id) AS site_id FROM account
          UNION ALL SELECT (SELECT min(a.site_id) FROM account a WHERE a.site_id > hop.site_id) FROM hop
           WHERE hop.site_id IS NOT NULL)
        SELECT site_id FROM hop WHERE site_id IS NOT NULL ORDER BY site_id
        """)
    )
    return [row.site_id for row in rows]


async def last_seal(reader: Reader, site_id: int) -> Seal:
    """The newest link of a site's chain, or its beginning."""
    row = await reader.first(
        select(seals).where(seals.c.site_id == site_id).order_by(seals.c.number.desc()).limit(1)
    )
    return NO_SEAL if row is None else seal_of(row)


def seal_of(row: Row[Any]) -> Seal:
    """Read a row of the table `seal`."""
    return Seal(row.number, row.last_recorded_in, row.last_transfer_id, row.head)


async def seal_lag(reader: Reader, site_id: int) -> SealLag:
    """What of a site is not sealed yet."""
    last = await last_seal(reader, site_id)
    row = await reader.one(
        select(func.count().label("rows"), func.min(transfers.c.recorded_at).label("oldest_at")).where(
            transfers.c.site_id == site_id,
            tuple_(transfers.c.recorded_in, transfers.c.transfer_id)
            > tuple_(last.last_recorded_in, last.last_transfer_id),
        )
    )
    return SealLag(site_id, row.rows, row.oldest_at)


_RECORDED = """
SELECT t.recorded_in, t.transfer_id, t.site_id, t.source, t.key, t.kind, t.outcome, t.fingerprint,
       t.amount_minor, t.currency, t.because, t.actor, (extract(epoch FROM t.recorded_at) * 1000000)::bigint,
       t.source_account_id, t.source_version, t.source_balance_minor, sa.owner, sa.purpose, sa.currency,
       se.amount_minor, se.currency, se.balance_after_minor,
       (extract(epoch FROM se.recorded_at) * 1000000)::bigint,
       t.target_account_id, t.target_version, t.target_balance_minor, ta.owner, ta.purpose, ta.currency,
       te.amount_minor, te.currency, te.balance_after_minor,
       (extract(epoch FROM te.recorded_at) * 1000000)::bigint
  FROM transfer t
  LEFT JOIN account sa ON sa.site_id = t.site_id AND sa.account_id = t.source_account_id
  LEFT JOIN account ta ON ta.site_id = t.site_id AND ta.account_id = t.target_account_id
  LEFT JOIN entry se ON se.site_id = t.site_id AND se.account_id = t.source_account_id
    AND se.account_version = t.source_version AND se.transfer_id = t.transfer_id
  LEFT JOIN entry te ON te.site_id = t.site_id AND te.account_id = t.target_account_id
    AND te.account_version = t.target_version AND te.transfer_id = t.transfer_id
 WHERE t.site_id = :site AND (t.recorded_in, t.transfer_id) > (:after_in, :after_id)
   AND (t.recorded_in, t.transfer_id) <= (:until_in, :until_id)
 ORDER BY t.recorded_in, t.transfer_id LIMIT :limit
"""


async def recorded(
    reader: Reader, site_id: int, after: Seal, until: tuple[int, int], *, limit: int
) -> Sequence[Row[Any]]:
    """Transfers as they are sealed, refused ones too, with whose accounts they joined and their entries.

    Args:
        reader: where to read.
        site_id: the site.
        after: the seal before.
        until: the last position, (recorded_in, transfer_id), included.
        limit: rows at most.

    Returns:
        rows in the order of the chain; the first two fields of each are its position.
    """
    return await reader.all(
        text(_RECORDED),
        {
            "site": site_id,
            "after_in": after.last_recorded_in,
            "after_id": after.last_transfer_id,
            "until_in": until[0],
            "until_id": until[1],
            "limit": limit,
        },
    )
