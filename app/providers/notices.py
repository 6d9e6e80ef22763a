"""What can be done with notices once they are stored: find forgotten ones, close one once it is read."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, select, update

from app.plumbing import metrics
from app.plumbing.database import Built, Transaction
from app.providers.intake import read_soon
from app.providers.tables import NoticeState, notices

__all__ = ["close_notice", "recover_forgotten"]

_FORGOTTEN_AFTER: Final = timedelta(minutes=5)  # longer than all tries of one job together
# Built once.
_CLOSE = Built(
    update(notices)
    .where(
        notices.c.site_id == bindparam("of_site"),
        notices.c.notice_id == bindparam("of_notice"),
        notices.c.state == bindparam("was_state"),
    )
    .returning(notices.c.notice_id)
)


async def recover_forgotten(tx: Transaction, *, now: datetime) -> int:
    """Give every notice that nobody has read a job again: the net under a dead letter. Returns how many."""
    rows = await tx.all(
        select(notices.c.site_id, notices.c.notice_id)
        .where(notices.c.state == NoticeState.NEW, notices.c.received_at < now - _FORGOTTEN_AFTER)
        .order_by(notices.c.received_at)
        .limit(1000)
    )
    for _ in rows:
        metrics.ALARMS.labels("notice_forgotten").inc()
    await read_soon(tx, [(row.site_id, row.notice_id) for row in rows])
    return len(rows)


async def close_notice(
    tx: Transaction,
    site_id: int,
    notice_id: str,
    state: NoticeState,
    *,
    at: datetime,
    reason: str = "",
    was: NoticeState = NoticeState.NEW,
) -> bool:
    """Say how far a notice came: read, orphan (nobody's reference), or unreadable.

    The last thing that a transaction does to a notice: until it commits, the same bytes wait that come again.

    Args:
        tx: the transaction in which its facts count.
        site_id, notice_id: which notice.
        state: how far it came.
        at: this instant.
        reason: why, for people.
        was: how far it was when it was read.

    Returns:
        whether it was still there; if not, somebody else has closed it, and nothing is written.
    """
    its = {"of_site": site_id, "of_notice": notice_id, "was_state": was}
    closed = await tx.write((_CLOSE, {**its, "state": state, "reason": reason, "read_at": at}))
    if closed is not None and state is not NoticeState.READ:
        metrics.ALARMS.labels(f"notice_{state.value}").inc()
    return closed is not None
