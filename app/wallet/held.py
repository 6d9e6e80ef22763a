"""Wins over a cap: set aside by the journal, let go or taken back by a person, with a line in the diary.

What a person takes is a win that is taken back like any other: an operation in the platform's namespace,
where a rollback of the platform finds it. So nobody loses a win twice, whatever a site decides later.
"""

from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text
from typing_extensions import override

from app import ledger, staff
from app.plumbing.database import Reader, Transaction
from app.wallet import further, statements
from app.wallet.contract import Refused, instant
from app.wallet.queries import operation_by_id, policies_of
from app.wallet.rules import Page
from app.wallet.terms import SWEEPERS, Ask, Code, Operation, Policy, Type, Wallet

__all__ = ["HeldWin", "held_wins", "let_go", "take_back"]

_HELD: Final = """
SELECT h.transfer_id, h.player_id, p.site_login, h.currency, h.placed_at, w.key AS win, w.operation_id,
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
# A bet and its win in one are reversed together or not at all, so what is taken of the win must not say there
# that they are: it stands where the platform's rollbacks do not look.
_OWN_SOURCE: Final = "desk"


class HeldWin(NamedTuple):
    """A win that waits for a person.

    Args:
        number: the ledger's, of the hold.
        minor: minor units that are held.
        win: the platform's id of it.
        operation_id: ours of it.
        is_reversed: the platform has taken it back itself, from what else the player had.
    """

    number: int
    player_id: str
    player: str
    currency: str
    minor: int
    win: str
    held_at: datetime
    operation_id: str
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
    """Give a held win back to the house: its platform cannot take it any more, as far as it was held.

    Two operations tell it in the wallet's history: what was held comes back (`cashier`), and goes as a win
    that is taken back (`reverse_win`, which names the win). The win is less by it in its round and its
    campaign. What of the win was bonus was never held: it stays, and may still be rolled back. Arguments as
    for `let_go`.

    Raises:
        Refused: VALIDATION: no such win is held, or its platform has taken it back already.
        BadReason: the reason is not text, or has a card number in it.
    """
    staff.check_text("because", because)
    found = await _found(tx, site_id, number)
    won = await operation_by_id(tx, site_id, found.operation_id)
    assert won is not None, "operations are never deleted"
    policies = await policies_of(tx, site_id)
    ask = _asked(found, won, policies.get(won.provider, policies[""]))
    page, wallet = await _locked(tx, site_id, ask, won, at)
    hold = await ledger.find_hold(tx, site_id, number)
    await ledger.release(tx, hold, because=because, at=page.at)
    page.take(ask, wallet, page.operations[won.key])
    await _write(tx, site_id, page)
    await _noted(tx, site_id, found, "held_win.taken", because, at, by)
    return found


def _asked(found: HeldWin, won: Operation, policy: Policy) -> Ask:
    """What is held of a win, to be taken back as its platform would ask for it, under an id of ours."""
    return Ask(
        Type.REVERSE_WIN,
        won.key.source,
        f"{SWEEPERS}{won.operation_id}",
        found.player,
        policy,
        b"held",
        f"held-{found.number}",
        within=won.key.within,
        currency=found.currency,
        amount=found.minor,
        reference=won.key.key,
        round_id=won.round_id,
        provider=won.provider,
    )


async def _locked(
    tx: Transaction, site_id: int, ask: Ask, won: Operation, at: datetime
) -> tuple[Page, Wallet]:
    """The player's wallets locked as batches lock them, and what is known about the win since then."""
    page = Page(at)
    rows = await statements.load(tx.raw, site_id, [ask], [ask.player], at=at)
    seats = statements.seats_of(page, [ask], rows)
    for one in further.lookups(tx.raw, site_id, page, [ask], seats):
        await one
    # Its platform may have been taking it back until the locks were ours.
    if page.operations[won.key].is_reversed:
        why = "Its platform has taken this win back already: release it, so that it pays what is owed."
        raise Refused(Code.VALIDATION, why, field="number")
    wallet = seats[0].wallet
    assert wallet is not None, "what is held was won in it"
    if won.type is Type.BETWIN:
        ask.source, ask.within = _OWN_SOURCE, ""
    return page, wallet


async def _write(tx: Transaction, site_id: int, page: Page) -> None:
    sheet, houses = page.torn_off(is_last=True), statements.Houses()
    assert sheet is not None, "something was taken"
    await statements.find_houses(tx.raw, site_id, houses)
    await statements.write(site_id, sheet, houses).sent(tx.raw)
    if sheet.grants:
        await statements.count(tx.raw, site_id, sheet.grants)


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
            row.operation_id,
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
