"""Wins over a cap: set aside by the journal, let go or taken back by a person, with a line in the diary."""

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text
from typing_extensions import override

from app import ledger, staff
from app.plumbing.database import Reader, Transaction
from app.wallet.contract import Refused, instant
from app.wallet.queries import policies_of
from app.wallet.terms import Code

__all__ = ["HeldWin", "held_wins", "let_go", "take_back"]

_HELD: Final = """
SELECT h.transfer_id, h.player_id, p.site_login, h.currency, h.placed_at, w.key AS win, w.provider_id,
       h.amount_minor - h.captured_minor - h.released_minor AS minor,
       EXISTS (SELECT FROM wallet_operation r
                WHERE r.site_id = w.site_id AND r.source = w.source AND r.within = w.within
                  AND r.reference = w.key AND r.applied AND r.type = 'reverse_win') AS is_reversed
  FROM hold h
  JOIN transfer t ON t.site_id = h.site_id AND t.transfer_id = h.transfer_id AND t.source = 'wallet'
  JOIN wallet_operation o ON o.site_id = t.site_id AND o.operation_id = t.because
  -- The win is the operation before the one that has set it aside.
  JOIN wallet_operation w
    ON w.site_id = o.site_id AND w.wallet_id = o.wallet_id AND w.sequence = o.sequence - 1
  JOIN player p ON p.site_id = h.site_id AND p.player_id = h.player_id
 WHERE h.site_id = :site AND h.captured_minor + h.released_minor < h.amount_minor
 ORDER BY h.transfer_id
"""
# Of two who decide at once the second waits, and finds nothing held.
_HELD_LOCKED: Final = f"{_HELD} FOR NO KEY UPDATE OF h"
_SOURCE: Final = "wallet.held"


class HeldWin(NamedTuple):
    """A win that waits for a person.

    Args:
        number: the ledger's, of the hold.
        minor: minor units that are held.
        win: the platform's id of it.
        platform: whose win it is.
        is_reversed: the platform has taken it back itself, from what else the player had.
    """

    number: int
    player_id: str
    player: str
    currency: str
    minor: int
    win: str
    held_at: datetime
    platform: str
    is_reversed: bool

    @override
    def __str__(self) -> str:
        """Write it for people."""
        since = instant(self.held_at)
        told = f"{self.number}  {self.player}  {self.currency}  {self.minor}  win {self.win}  since {since}"
        return f"{told}  taken back by its platform: release it" if self.is_reversed else told


async def held_wins(reader: Reader, site_id: int) -> list[HeldWin]:
    """Every win at a site that is held, the oldest first."""
    return await _all(reader, site_id, _HELD)


async def let_go(
    tx: Transaction, site_id: int, number: int, because: str, *, at: datetime, by: str = staff.SYSTEM
) -> HeldWin:
    """Give a held win to its player; the wallet takes it into its sequence with its next operation.

    Args:
        tx: the caller's transaction.
        site_id: whose player.
        number: of `held_wins`.
        because: why, 1 to 128 characters; kept with the money and in the diary.
        at: this instant.
        by: the actor who decides it, for the site's diary.

    Raises:
        Refused: VALIDATION: no such win is held.
        BadReason: the reason is not text, or has a card number in it.
    """
    staff.check_text("because", because)
    found = await _released(tx, site_id, number, because, at)
    await _noted(tx, site_id, found, "held_win.released", because, at, by)
    return found


async def take_back(
    tx: Transaction, site_id: int, number: int, because: str, *, at: datetime, by: str = staff.SYSTEM
) -> HeldWin:
    """Give a held win back to the house, where its platform cannot. Arguments and errors as for `let_go`.

    Raises:
        Refused: VALIDATION: also where the platform has taken it back, or may still: it would be taken twice.
    """
    staff.check_text("because", because)
    await _check_taking(tx, site_id, await _found(tx, site_id, number))
    found = await _released(tx, site_id, number, because, at)
    hold = await ledger.find_hold(tx, site_id, number)
    taken = ledger.PostRequest(
        _SOURCE, f"{number}:take", ledger.REVERSE_CASH, hold.amount, found.player_id, "site", because
    )
    [posted] = await ledger.post(tx, site_id, [taken], at=at)
    assert posted.is_posted, "what was let go just now is there"
    await _noted(tx, site_id, found, "held_win.taken", because, at, by)
    return found


async def _check_taking(reader: Reader, site_id: int, found: HeldWin) -> None:
    policies = await policies_of(reader, site_id)
    why = ""
    if found.is_reversed:
        why = "Its platform has taken this win back already: release it, so that it pays what is owed."
    elif policies.get(found.platform, policies[""]).reverse_wins:
        why = "Its platform may take this win back (reverse_wins): let it do so, then release the win."
    if why:
        raise Refused(Code.VALIDATION, why, field="number")


async def _released(tx: Transaction, site_id: int, number: int, because: str, at: datetime) -> HeldWin:
    found = await _found(tx, site_id, number)
    hold = await ledger.find_hold(tx, site_id, number)
    await ledger.release(tx, hold, because=because, at=at)
    return found


async def _noted(
    tx: Transaction, site_id: int, found: HeldWin, deed: str, because: str, at: datetime, by: str
) -> None:
    amount = {"currency": found.currency, "minor": found.minor}
    detail = {"reason": because, "player": found.player_id, "win": found.win, "amount": amount}
    await staff.note(tx, site_id, actor=by, deed=deed, subject=str(found.number), detail=detail, at=at)


async def _all(reader: Reader, site_id: int, asked: str) -> list[HeldWin]:
    return [
        HeldWin(
            row.transfer_id,
            row.player_id,
            row.site_login,
            row.currency,
            row.minor,
            row.win,
            row.placed_at,
            row.provider_id,
            row.is_reversed,
        )
        for row in await reader.all(text(asked), {"site": site_id})
    ]


async def _found(tx: Transaction, site_id: int, number: int) -> HeldWin:
    held = await _all(tx, site_id, _HELD_LOCKED)
    found = next((one for one in held if one.number == number), None)
    if found is None:
        raise Refused(Code.VALIDATION, "No such win is held.", field="number")
    return found
