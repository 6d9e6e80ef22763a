"""Wins over a cap: set aside by the journal, let go or taken back by a person, with a line in the diary."""

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text
from typing_extensions import override

from app import ledger, staff
from app.plumbing.database import Reader, Transaction
from app.wallet.contract import Refused, instant
from app.wallet.terms import Code

__all__ = ["HeldWin", "held_wins", "let_go", "take_back"]

_HELD: Final = """
SELECT h.transfer_id, h.player_id, p.site_login, h.currency, h.placed_at, o.reference AS win,
       h.amount_minor - h.captured_minor - h.released_minor AS minor
  FROM hold h
  JOIN transfer t ON t.site_id = h.site_id AND t.transfer_id = h.transfer_id AND t.source = 'wallet'
  JOIN wallet_operation o ON o.site_id = t.site_id AND o.operation_id = t.because
  JOIN player p ON p.site_id = h.site_id AND p.player_id = h.player_id
 WHERE h.site_id = :site AND h.captured_minor + h.released_minor < h.amount_minor
 ORDER BY h.transfer_id
"""
_SOURCE: Final = "wallet.held"


class HeldWin(NamedTuple):
    """A win that waits for a person.

    Args:
        number: the ledger's, of the hold.
        minor: minor units that are held.
        win: the platform's id of it.
    """

    number: int
    player_id: str
    player: str
    currency: str
    minor: int
    win: str
    held_at: datetime

    @override
    def __str__(self) -> str:
        """Write it for people."""
        since = instant(self.held_at)
        return f"{self.number}  {self.player}  {self.currency}  {self.minor}  win {self.win}  since {since}"


async def held_wins(reader: Reader, site_id: int) -> list[HeldWin]:
    """Every win at a site that is held, the oldest first."""
    return [
        HeldWin(
            row.transfer_id, row.player_id, row.site_login, row.currency, row.minor, row.win, row.placed_at
        )
        for row in await reader.all(text(_HELD), {"site": site_id})
    ]


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
    """Give a held win back to the house. Arguments and errors as for `let_go`."""
    staff.check_text("because", because)
    found = await _released(tx, site_id, number, because, at)
    hold = await ledger.find_hold(tx, site_id, number)
    taken = ledger.PostRequest(
        _SOURCE, f"{number}:take", ledger.REVERSE_CASH, hold.amount, found.player_id, "site", because
    )
    [posted] = await ledger.post(tx, site_id, [taken], at=at)
    assert posted.is_posted, "what was let go just now is there"
    await _noted(tx, site_id, found, "held_win.taken", because, at, by)
    return found


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


async def _found(tx: Transaction, site_id: int, number: int) -> HeldWin:
    found = next((one for one in await held_wins(tx, site_id) if one.number == number), None)
    if found is None:
        raise Refused(Code.VALIDATION, "No such win is held.", field="number")
    return found
