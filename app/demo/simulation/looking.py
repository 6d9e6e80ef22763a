"""What a step has left in the database, asked in one question: jobs, changes, transfers, and what is due."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg

__all__ = ["DUE", "Job", "Seen", "Standing", "Transfer", "Watcher"]

# A sweep that finds nothing changes nothing; so the next one of a task that matters is the one behind this.
DUE: Final = {
    "payments.sweep_due": "(SELECT min(ask_at) FROM payment)",
    "payments.end_abandoned": "(SELECT min(changed_at) + interval '61 seconds' FROM payment"
    " WHERE sub_status = 'checking')",
    "payments.renew_expired": "(SELECT min(expires_at) + interval '1 second' FROM approval"
    " WHERE state = 'open')",
    "webhooks.recover_forgotten": "(SELECT min(next_at) + interval '121 seconds' FROM webhook"
    " WHERE state = 'pending')",
    "providers.recover_forgotten": "(SELECT min(received_at) + interval '301 seconds' FROM notice"
    " WHERE state = 'new')",
    "ledger.expire_holds": "(SELECT min(expires_at) FROM hold"
    " WHERE captured_minor + released_minor < amount_minor)",
}
# What the ledger says that a payment moved: into the house for a deposit, out of it else; disputes beside.
_ROWS: Final = """
SELECT p.site_id, p.payment_id, p.number, p.kind, p.status, p.sub_status, p.attention, p.amount_minor,
       coalesce((SELECT sum(CASE WHEN t.kind LIKE ANY ('{payout.to_%,refund.to_%,reversal.from_%}')
                                 THEN -t.amount_minor ELSE t.amount_minor END)
                   FROM transfer t
                  WHERE t.site_id = p.site_id AND t.because = p.payment_id AND t.outcome = 'posted'
                    AND (t.kind LIKE ANY ('{deposit.%,payout.%,refund.%,reversal.%}')
                         OR t.kind = 'hold.capture')), 0)::bigint AS posted,
       coalesce((SELECT sum(CASE WHEN t.kind LIKE 'chargeback.to_%'
                                 THEN -t.amount_minor ELSE t.amount_minor END)
                   FROM transfer t
                  WHERE t.site_id = p.site_id AND t.because = p.payment_id AND t.outcome = 'posted'
                    AND t.kind LIKE 'chargeback.%'), 0)::bigint AS charged_back
  FROM payment p
"""
# Of each new transfer: what I3 (its entries), I4 (the balances), I5 (the floors) and I6 (the chain) say.
_TRANSFERS: Final = """
SELECT t.transfer_id, t.because,
       CASE WHEN t.outcome = 'posted'
            THEN coalesce(s.amount_minor = -t.amount_minor AND g.amount_minor = t.amount_minor, false)
            ELSE s.account_id IS NULL AND g.account_id IS NULL END AS i3,
       (sa.version <> t.source_version OR sa.balance_minor = t.source_balance_minor)
         AND (ga.version <> t.target_version OR ga.balance_minor = t.target_balance_minor) AS i4,
       coalesce(sa.balance_minor >= sa.floor_minor, true)
         AND coalesce(ga.balance_minor >= ga.floor_minor, true)
         AND coalesce(s.balance_after_minor >= sa.floor_minor, true) AS i5,
       t.outcome <> 'posted' OR (
         s.balance_after_minor - s.amount_minor = coalesce(sp.balance_after_minor, 0)
         AND g.balance_after_minor - g.amount_minor = coalesce(gp.balance_after_minor, 0)) AS i6
  FROM transfer t
  JOIN account sa ON sa.site_id = t.site_id AND sa.account_id = t.source_account_id
  JOIN account ga ON ga.site_id = t.site_id AND ga.account_id = t.target_account_id
  LEFT JOIN entry s ON s.site_id = t.site_id AND s.account_id = t.source_account_id
        AND s.account_version = t.source_version AND s.transfer_id = t.transfer_id
  LEFT JOIN entry g ON g.site_id = t.site_id AND g.account_id = t.target_account_id
        AND g.account_version = t.target_version AND g.transfer_id = t.transfer_id
  LEFT JOIN entry sp ON sp.site_id = t.site_id AND sp.account_id = t.source_account_id
        AND sp.account_version = t.source_version - 1
  LEFT JOIN entry gp ON gp.site_id = t.site_id AND gp.account_id = t.target_account_id
        AND gp.account_version = t.target_version - 1
 WHERE t.site_id = ANY ($4::int[]) AND t.transfer_id > $3
 ORDER BY t.transfer_id
"""
_JOBS: Final = """
SELECT id, entrypoint, convert_from(payload, 'UTF8') AS payload,
       extract(epoch FROM execute_after - created)::float AS wait
  FROM queue.pgqueuer WHERE id > $1 AND status = 'queued' ORDER BY priority DESC, id
"""
_LOOK: Final = f"""
SELECT (SELECT json_agg(j) FROM ({_JOBS}) j) AS jobs,
       (SELECT json_agg(c) FROM ({_ROWS} WHERE p.changed_at >= $2 ORDER BY p.number) c) AS changed,
       (SELECT json_agg(n) FROM ({_TRANSFERS}) n) AS transfers,
       {", ".join(DUE.values())}
"""  # noqa: S608  our own words


class Standing(NamedTuple):
    """A payment as it stands, what the ledger says that it moved, and what disputes took of it."""

    site_id: int
    payment_id: str
    number: int
    kind: str
    status: str
    sub_status: str
    attention: str | None
    amount_minor: int
    posted: int
    charged_back: int


class Transfer(NamedTuple):
    """A transfer as four invariants see it."""

    transfer_id: int
    because: str
    i3: bool
    i4: bool
    i5: bool
    i6: bool


class Job(NamedTuple):
    """A job that waits, and how long it is to wait."""

    id: int
    entrypoint: str
    payload: str
    wait: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look has seen; `due` by the task."""

    due: dict[str, datetime]
    jobs: list[Job]
    changed: list[Standing]
    transfers: list[Transfer]


@dataclass(slots=True)
class Watcher:
    """Looks after every step at what has changed since the last look, on a connection of its own."""

    watch: asyncpg.Connection
    sites: Sequence[int]
    last_job: int = 0
    last_transfer: int = 0

    async def look(self, since: datetime) -> Seen:
        """Whatever is new; of payments what changed at or after `since`."""
        row = await self.watch.fetchrow(_LOOK, self.last_job, since, self.last_transfer, self.sites)
        jobs = [Job(**one) for one in _read(row[0])]
        transfers = [Transfer(**one) for one in _read(row[2])]
        self.last_job = max((self.last_job, *(job.id for job in jobs)))
        self.last_transfer = transfers[-1].transfer_id if transfers else self.last_transfer
        due = {name: at for name, at in zip(DUE, row[3:], strict=True) if at is not None}
        return Seen(due, jobs, [Standing(**one) for one in _read(row[1])], transfers)

    async def payment(self, site_id: int, payment_id: str) -> Standing:
        """One of them."""
        where = "WHERE p.site_id = $1 AND p.payment_id = $2"
        return Standing(*await self.watch.fetchrow(f"{_ROWS} {where}", site_id, payment_id))

    async def every_payment(self) -> list[Standing]:
        """All of them, in their order."""
        return [Standing(*row) for row in await self.watch.fetch(f"{_ROWS} ORDER BY p.number")]


def _read(found: str | None) -> list[dict[str, Any]]:
    return json.loads(found) if found else []
