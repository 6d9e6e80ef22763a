"""What of a deposit went back, by refunds and to its player's bank: the figures, and where it stands then.

A dispute may take what a refund takes as well. It counts as far as there is room beside the refunds, and anew
whenever one of them comes or ends: so no more ever goes back than came, and what a bank has taken is not
taken a second time.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from app.payments.changes import Cause
from app.payments.dispute_queries import UNDECIDED, Dispute, disputes_of
from app.payments.legs import attempts_of
from app.payments.model import Step
from app.payments.queries import payment
from app.payments.states import Kind, Status, SubStatus
from app.payments.steps import carry_out, remember
from app.payments.unresolved import is_unbooked
from app.plumbing.database import Transaction

__all__ = ["REFUND", "settle_deposit", "why_not_refunded"]

REFUND: Final = "refund"  # what says so in a deposit's history, beside `DISPUTE`
_GONE: Final = frozenset({SubStatus.REFUNDED, SubStatus.CHARGED_BACK})


async def settle_deposit(
    tx: Transaction, site_id: int, deposit_id: str, cause: Cause, *, at: datetime
) -> None:
    """Count what went back of a deposit, and say where it stands.

    Of which nothing is left is refunded or charged back, whichever came last; not by what is undecided still.
    Once something is left again it is completed.

    Args:
        tx: the transaction of the refund's or dispute's change, which is written already.
        site_id, deposit_id: which deposit; it is locked here, after the refund.
        cause: the refund or dispute, should the deposit move.
        at: this instant.
    """
    found = await payment(tx, site_id, deposit_id, lock=True, kind=Kind.DEPOSIT)
    known = await disputes_of(tx, site_id, deposit_id)
    room = found.captured - found.refunded - found.refund_pending
    charged_back = min(room.minor, sum(one.posted.minor for one in known))
    if charged_back != found.charged_back.minor:
        found = await remember(tx, found, {"charged_back_minor": charged_back})
    is_undecided = _is_undecided(known)
    is_left = found.refunded.minor + charged_back < found.captured.minor
    is_back = found.sub_status in _GONE and is_undecided and charged_back > 0
    if found.status is Status.COMPLETED and not is_left and not is_undecided:
        is_refunded = found.refunded.minor and (cause.source == REFUND or not charged_back)
        end = SubStatus.REFUNDED if is_refunded else SubStatus.CHARGED_BACK
        await carry_out(tx, found, Step((end,)), cause, at=at)
    elif is_back or (found.sub_status in _GONE and is_left):
        # Its provider may have denied it meanwhile, which is heard of what is completed alone.
        is_denied = any(one.contradicts for one in await attempts_of(tx, found))
        cause = replace(cause, changes={"ask_at": at, "asked": 0}) if is_denied else cause
        await carry_out(tx, found, Step((SubStatus.COMPLETED,)), cause, at=at)


async def why_not_refunded(tx: Transaction, site_id: int, deposit_id: str) -> str:
    """Why no refund of a deposit is sent at present, in words for staff; empty where none of it is disputed.

    While its player's bank has the money, or where what it took was to be refunded, we would give it back a
    second time.

    Args:
        tx: holds the refund's lock; the deposit is locked here, as whoever writes a dispute holds it.
        site_id, deposit_id: which deposit.
    """
    found = await payment(tx, site_id, deposit_id, lock=True, kind=Kind.DEPOSIT)
    known = await disputes_of(tx, site_id, deposit_id)
    gone = found.refunded.minor + found.refund_pending.minor + sum(one.posted.minor for one in known)
    if await is_unbooked(tx, found):
        return "the deposit is disputed by a word that waits for people"
    if _is_undecided(known) or gone > found.captured.minor:
        return "the deposit is disputed, and its money is gone"
    return ""


def _is_undecided(known: Sequence[Dispute]) -> bool:
    return any(one.posted.minor and one.state in UNDECIDED for one in known)
