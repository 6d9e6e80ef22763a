"""Is it all true? The invariants of the ledger, each a named function, and the sealing of what was recorded.

`verify` re-derives the invariants from the rows: of everything (`full`), or of what came since the last
verified point. Each looks at one snapshot; `checkpoint` looks at all of them in one, and remembers how far it
came.
Sealing chains what is certainly complete: rows of transactions older than every one still running. Paging by
"id greater than the last" alone would miss the rows that were in flight.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import text

from app.ledger.model import MAX_BALANCE, Posted, Seal
from app.ledger.queries import last_seal, recorded, seal_of, sites
from app.ledger.rules import NO_SEAL, next_head
from app.ledger.tables import seals
from app.plumbing.database import Database, Reader, Transaction

__all__ = [
    "INVARIANTS",
    "CounterWentBack",
    "Report",
    "Violation",
    "acknowledged_exist",
    "balances_are_sums",
    "chain_verifies",
    "checkpoint",
    "entries_sum_to_zero",
    "floors_hold",
    "keys_have_effect_once",
    "seal",
    "verify",
    "versions_chain",
]

SEAL_ROWS: Final = 1000  # of one seal; small enough to be digested between two statements


class CounterWentBack(RuntimeError):
    """The database counts transactions from a lower number than the ledger has seen: restored from a dump.

    Raise the counter above it (`pg_resetwal -x`, with its epoch) before serving: what is written now would
    stand before what was sealed. Physical backups keep the counter.
    """


@dataclass(frozen=True, slots=True)
class Violation:
    """The first trespass found of one invariant at one site."""

    invariant: str
    site_id: int
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, and what was found.

    Args:
        checked: rows looked at, by invariant.
        violations: at most one for each invariant and site, in the order of the invariants.
        heads: the last seal of each site; kept elsewhere, they prove later that nothing was cut off.
    """

    checked: Mapping[str, int]
    violations: Sequence[Violation]
    heads: Mapping[int, Seal]

    @property
    def ok(self) -> bool:
        """Say whether everything holds."""
        return not self.violations


@dataclass(frozen=True, slots=True)
class _Scope:
    site_id: int
    full: bool
    recorded_in: int = 0
    seal: Seal = NO_SEAL
    known_seals: Sequence[Seal] = ()

    def parameters(self) -> dict[str, object]:
        return {"site": self.site_id, "full": self.full, "since": 0 if self.full else self.recorded_in}


_Found = tuple[int, str | None]  # rows looked at; the first trespass

_RECENT = "SELECT count(*) FROM transfer WHERE site_id = :site AND (:full OR recorded_in >= :since)"
_FRESH = "SELECT count(*) FROM ledger_fresh_entries(:site, :full) WHERE :since >= 0"
_ACCOUNTS = "SELECT count(*) FROM account WHERE site_id = :site AND (:full OR :since >= 0)"


async def keys_have_effect_once(reader: Reader, scope: _Scope) -> _Found:
    """I2: no key has two transfers, and no transfer moves an account twice or, refused, at all."""
    return await _first(reader, scope, "ledger_i2", _RECENT)


async def entries_sum_to_zero(reader: Reader, scope: _Scope) -> _Found:
    """I3: the entries of each transfer sum to zero per currency, and are what the transfer says."""
    return await _first(reader, scope, "ledger_i3", _RECENT)


async def balances_are_sums(reader: Reader, scope: _Scope) -> _Found:
    """I4: the stored balance of every account is the sum of its entries."""
    return await _first(reader, scope, "ledger_i4", _ACCOUNTS)


async def floors_hold(reader: Reader, scope: _Scope) -> _Found:
    """I5: no account is or was under its floor, and what is held is held for somebody."""
    return await _first(reader, scope, "ledger_i5", _ACCOUNTS)


async def versions_chain(reader: Reader, scope: _Scope) -> _Found:
    """I6: per account, versions count without a gap and each balance follows from the one before."""
    return await _first(reader, scope, "ledger_i6", _FRESH)


async def chain_verifies(reader: Reader, scope: _Scope) -> _Found:
    """I9: each head follows from the one before and the rows as they are now; no known seal is gone."""
    before = NO_SEAL if scope.full else scope.seal
    for known in scope.known_seals:
        kept = await reader.scalar(
            text("SELECT head FROM seal WHERE site_id = :site AND number = :number"),
            {"site": scope.site_id, "number": known.number},
        )
        if kept != known.head:
            return 0, f"seal {known.number} is known, and is gone or another one now"
    checked = 0
    while True:
        found = await reader.all(
            text("SELECT * FROM seal WHERE site_id = :site AND number > :number ORDER BY number LIMIT 100"),
            {"site": scope.site_id, "number": before.number},
        )
        for row in found:
            link = seal_of(row)
            until = (link.last_recorded_in, link.last_transfer_id)
            rows = await recorded(reader, scope.site_id, before, until, limit=row.row_count + 1)
            checked += len(rows)
            if link.number != before.number + 1:
                return checked, f"seal {before.number + 1} is missing"
            if len(rows) != row.row_count or next_head(before.head, rows) != link.head:
                span = f"{rows[0].transfer_id} to {rows[-1].transfer_id}" if rows else "none"
                return (
                    checked,
                    f"seal {link.number} over transfers {span} ({len(rows)}, sealed {row.row_count}) differs",
                )
            before = link
        if not found:
            return checked, None


_PATIENCE_SECONDS: Final = 30 * 60  # a full look at a large ledger takes its time
INVARIANTS: Final[Mapping[str, Callable[[Reader, _Scope], Awaitable[_Found]]]] = {
    "I2": keys_have_effect_once,
    "I3": entries_sum_to_zero,
    "I4": balances_are_sums,
    "I5": floors_hold,
    "I6": versions_chain,
    "I9": chain_verifies,
}


async def verify(
    reader: Reader,
    *,
    full: bool = False,
    only: Sequence[int] | None = None,
    anchors: Mapping[int, Seal] | None = None,
) -> Report:
    """Re-derive every invariant; reads only.

    Args:
        reader: where to read.
        full: everything, not only what came since the last verified point. Reads the whole ledger.
        only: these sites; None: all.
        anchors: seals of earlier reports, kept elsewhere; a chain cut off before them is a violation.
    """
    checked = dict.fromkeys(INVARIANTS, 0)
    found: list[Violation] = []
    heads: dict[int, Seal] = {}
    for site_id in await sites(reader) if only is None else only:
        scope = await _scope(reader, site_id, full=full, anchor=(anchors or {}).get(site_id))
        for name, invariant in INVARIANTS.items():
            rows, what = await invariant(reader, scope)
            checked[name] += rows
            if what is not None:
                found.append(Violation(name, site_id, what))
        heads[site_id] = await last_seal(reader, site_id)
    found.sort(key=lambda violation: (violation.invariant, violation.site_id))
    return Report(checked, found, heads)


async def checkpoint(
    tx: Transaction, *, full: bool = False, anchors: Mapping[int, Seal] | None = None
) -> Report:
    """Verify one snapshot of everything, and remember how far each faultless site is verified.

    Must be the first thing in its transaction. On 40001 another one was remembering: run it again.
    """
    await tx.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    await tx.execute(text(f"SET LOCAL statement_timeout = '{_PATIENCE_SECONDS}s'"))
    await tx.execute(text("SET LOCAL idle_in_transaction_session_timeout = '1min'"))
    report = await verify(tx, full=full, anchors=anchors)
    faulty = {violation.site_id for violation in report.violations}
    for site_id, head in report.heads.items():
        if site_id not in faulty:
            await _remember(tx, site_id, head)
    return report


async def verified(database: Database, *, full: bool = False) -> Report:
    """The same as a transaction of its own, on a connection that waits as long as the server may take.

    Args:
        database: whose address and settings it takes; no transaction is open.
        full: as of `verify`.
    """
    patient = replace(database.settings, answers_within=_PATIENCE_SECONDS)
    url = database.url.render_as_string(hide_password=False)

    async def work(tx: Transaction) -> Report:
        return await checkpoint(tx, full=full)

    async with Database(url, patient, pool_size=1) as slow:
        return await slow.retried(work)


async def seal(tx: Transaction, site_id: int, *, at: datetime, limit: int = SEAL_ROWS) -> Seal | None:
    """Chain the next transfers of a site that are certainly complete; None when there are none.

    A row counts as complete when its transaction is older than every transaction still running: then no row
    can appear before it any more.

    Raises:
        CounterWentBack: see there; nothing is sealed.
    """
    await tx.execute(
        text("SELECT pg_advisory_xact_lock(7266343, :site)"), {"site": site_id}
    )  # one sealer a site
    before = await last_seal(tx, site_id)
    # Read after the lock and before the rows: whatever is below the horizon now is visible to the next
    # statement.
    horizon, counter = await _horizon(tx)
    if before.last_recorded_in >= counter:
        raise CounterWentBack
    rows = await recorded(tx, site_id, before, (horizon - 1, MAX_BALANCE), limit=limit)
    if not rows:
        return None
    last = rows[-1]
    link = Seal(before.number + 1, last.recorded_in, last.transfer_id, next_head(before.head, rows))
    await tx.execute(
        seals.insert().values(
            site_id=site_id,
            number=link.number,
            last_recorded_in=link.last_recorded_in,
            last_transfer_id=link.last_transfer_id,
            row_count=len(rows),
            head=link.head,
            sealed_at=at,
        )
    )
    return link


async def acknowledged_exist(reader: Reader, site_id: int, acknowledged: Sequence[Posted]) -> str | None:
    """I1: every answer that was given stands in the ledger; returns the first that does not."""
    for answer in acknowledged:
        row = await reader.first(
            text("SELECT * FROM transfer WHERE site_id = :site AND source = :source AND key = :key"),
            {"site": site_id, "source": answer.request.source, "key": answer.request.key},
        )
        told = (answer.transfer_id, answer.outcome, answer.source_after.minor, answer.target_after.minor)
        kept = row and (row.transfer_id, row.outcome, row.source_balance_minor, row.target_balance_minor)
        if told != kept:
            return f"{answer.request.identity} was answered {told}, the ledger says {kept}"
    return None


async def _first(reader: Reader, scope: _Scope, question: str, looked_at: str) -> _Found:
    """Ask one of `migrations/sql/ledger_audit.sql`."""
    asked = text(f"SELECT what FROM {question}(:site, :full, :since) LIMIT 1")  # noqa: S608  our own names
    what = await reader.scalar(asked, scope.parameters())
    rows = await reader.scalar(text(looked_at), scope.parameters())
    return rows, what


async def _scope(reader: Reader, site_id: int, *, full: bool, anchor: Seal | None) -> _Scope:
    row = await reader.first(text("SELECT * FROM verified_site WHERE site_id = :site"), {"site": site_id})
    known = [] if anchor is None or not anchor.number else [anchor]
    if row is None:
        return _Scope(site_id, full, known_seals=known)
    verified = await reader.first(
        text("SELECT * FROM seal WHERE site_id = :site AND number = :number"),
        {"site": site_id, "number": row.seal_number},
    )
    if row.seal_number:
        known.append(Seal(row.seal_number, 0, 0, row.seal_head))
    return _Scope(site_id, full, row.recorded_in, seal_of(verified) if verified else NO_SEAL, known)


async def _horizon(reader: Reader) -> tuple[int, int]:
    row = await reader.one(
        text(
            "SELECT (pg_snapshot_xmin(s)::text)::bigint AS horizon, "
            "(pg_snapshot_xmax(s)::text)::bigint AS counter FROM pg_current_snapshot() AS s"
        )
    )
    return row.horizon, row.counter


async def _remember(tx: Transaction, site_id: int, head: Seal) -> None:
    horizon, _ = await _horizon(tx)
    await tx.execute(
        text("""
        INSERT INTO verified_site (site_id, recorded_in, seal_number, seal_head)
        VALUES (:site, :recorded_in, :number, :head)
        ON CONFLICT (site_id) DO UPDATE SET recorded_in = excluded.recorded_in,
          seal_number = excluded.seal_number, seal_head = excluded.seal_head, verified_at = now()
        """),
        {"site": site_id, "recorded_in": horizon, "number": head.number, "head": head.head},
    )
    await tx.execute(
        text("""
        INSERT INTO verified_account (site_id, account_id, version, balance_minor, currency)
        SELECT a.site_id, a.account_id, a.version, a.balance_minor, a.currency FROM account a
          LEFT JOIN verified_account v ON v.site_id = a.site_id AND v.account_id = a.account_id
         WHERE a.site_id = :site AND a.version IS DISTINCT FROM v.version
        ON CONFLICT (site_id, account_id)
          DO UPDATE SET version = excluded.version, balance_minor = excluded.balance_minor
        """),
        {"site": site_id},
    )
