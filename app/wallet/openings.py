"""Opening wallets: when a player is created, or when one is needed for money that another room has moved.

Who pays at the cashier's own page before anybody has called `player/create` has money and no wallet.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import asyncpg

from app import ledger
from app.plumbing.database import Transaction
from app.wallet.contract import Refused
from app.wallet.decisions import HEARD_AFTER, is_scope_settled
from app.wallet.queries import Purse, purses
from app.wallet.terms import Code

__all__ = ["are_due", "open_due", "open_wallet", "purse_opened"]

# Who is blocked just now is so in this wallet too.
_LOCK_PLAYER: Final = "SELECT FROM player WHERE site_id = $1 AND player_id = $2 FOR NO KEY UPDATE"
# migrations/sql/ledger_journal.sql; in the order in which batches lock them.
_LOCK: Final = """
SELECT FROM ledger_lock($1, ARRAY(
  SELECT unnest(ARRAY[cash_account_id, bonus_account_id]) FROM wallet WHERE site_id = $1 AND player_id = $2))
"""
_OPEN: Final = """
INSERT INTO wallet (site_id, player_id, currency, cash_account_id, bonus_account_id, opened_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
"""
_PAID: Final = """
SELECT q.player_id, a.currency, EXISTS (
         SELECT FROM wallet w
          WHERE w.site_id = q.site_id AND w.player_id = q.player_id AND w.currency = a.currency) AS is_open
  FROM player q
  JOIN account a ON a.site_id = q.site_id AND a.owner = q.player_id AND a.purpose = 'player_cash'
 WHERE q.site_id = $1 AND q.site_login = ANY ($2::text[])
 ORDER BY q.player_id, a.currency
"""


async def open_wallet(
    raw: asyncpg.Connection, site_id: int, player_id: str, currency: str, *, at: datetime
) -> None:
    """Open a wallet at zero, unless it is open.

    What the cashier has credited to the player before is taken into its sequence by the first operation, like
    everything that another room moves: so a wallet's history always begins with nothing.

    Args:
        raw: a connection inside the caller's transaction.
        site_id: whose player.
        player_id: ours; the player's row stays locked.
        currency: of the wallet.
        at: this instant.

    Raises:
        Refused: IN_PROGRESS: the scope of the site's ids was decided a moment ago; this would be its first.
    """
    if not await is_scope_settled(raw, site_id, at=at):
        raise Refused(Code.IN_PROGRESS, retryAfter=HEARD_AFTER.seconds)
    await raw.execute(_LOCK_PLAYER, site_id, player_id)
    names = [
        ledger.AccountName(player_id, ledger.Purpose.PLAYER_CASH, currency),
        ledger.AccountName(player_id, ledger.Purpose.PLAYER_BONUS, currency),
        ledger.AccountName("site", ledger.Purpose.HOUSE_GAMING, currency),
        ledger.AccountName("site", ledger.Purpose.OPERATOR_FLOAT, currency),
    ]
    accounts = await ledger.open_accounts(raw, site_id, names, at=at)
    await raw.execute(_LOCK, site_id, player_id)
    await raw.execute(_OPEN, site_id, player_id, currency, accounts[names[0]], accounts[names[1]], at)


async def are_due(raw: asyncpg.Connection, site_id: int, logins: Collection[str]) -> bool:
    """Whether any of these players, by the site's ids, may have a wallet that was not seen: there is money.

    Whether there is a wallet says nothing: somebody may have opened it since it was looked for.
    """
    return await raw.fetchrow(_PAID, site_id, list(logins)) is not None


async def open_due(raw: asyncpg.Connection, site_id: int, logins: Collection[str], *, at: datetime) -> bool:
    """Open the wallets that are due; whether to look again, for these or others that somebody has opened.

    Arguments as for `open_wallet`.
    """
    paid = await raw.fetch(_PAID, site_id, list(logins))
    due = [(player_id, currency) for player_id, currency, is_open in paid if not is_open]
    if due and await is_scope_settled(raw, site_id, at=at):
        for player_id, currency in due:
            await open_wallet(raw, site_id, player_id, currency, at=at)
    return bool(paid)


async def purse_opened(
    tx: Transaction, site_id: int, player_id: str, currency: str, *, at: datetime
) -> Purse | None:
    """What a player has in a currency, in a wallet that is open from here on; None: nothing ever was."""
    found = (await purses(tx, site_id, player_id)).get(currency)
    if found is None or found.is_open:
        return found
    await open_wallet(tx.raw, site_id, player_id, currency, at=at)
    return (await purses(tx, site_id, player_id))[currency]
