"""Reading what a provider told us: the stored notice becomes evidence, or an orphan for people to match."""

from datetime import datetime
from types import SimpleNamespace
from typing import Final

from sqlalchemy import bindparam, select, true

from app import providers
from app.payments.asking import apply, carry_on
from app.payments.casebook import open_orphan
from app.payments.disputes import apply_dispute
from app.payments.model import Source
from app.payments.queries import Attempt, Payment, attempt_of, payment_of
from app.payments.tables import attempts, payments
from app.plumbing.database import Built, Transaction
from app.plumbing.pipes import Pipes

__all__ = ["read_notice"]

# Beside a payment, which has some columns of the same names; not the whole answer, which nobody reads here.
_OF_TRY: Final = {one.name: f"try_{one.name}" for one in attempts.c if one.name != "answer"}
_locked = (
    payments.select()
    .where(payments.c.site_id == attempts.c.site_id, payments.c.payment_id == attempts.c.payment_id)
    .with_for_update(key_share=True)
    .lateral("locked")
)
# The try first, by its id alone, then its payment: whatever is known of young tables (decision 0009).
_LOCKED = Built(
    select(_locked, *(attempts.c[name].label(label) for name, label in _OF_TRY.items()))
    .select_from(attempts.join(_locked, true()))
    .where(attempts.c.site_id == bindparam("of_site"), attempts.c.attempt_id == bindparam("of_attempt"))
)


class _ReadMeanwhile(Exception):
    """Another has read the same notice at the same time: what was done for this reading must not stay."""


async def read_notice(pipes: Pipes, site_id: int, notice_id: str) -> None:
    """Let each fact of a stored notice count, once; reading it again finds it read.

    The payment's change and the notice's mark commit together. Where the model asks for the provider's own
    word, it is asked after the commit.

    The notice itself is not locked meanwhile: who sends the same again would wait with us for the payment,
    and with it every notice that arrived in the same moment.
    """
    now = pipes.clock.now()

    async def read(tx: Transaction) -> list[str]:
        return await _read(tx, site_id, notice_id, now)

    try:
        to_ask = await pipes.database.retried(read)
    except _ReadMeanwhile:
        return
    for payment_id in to_ask:
        await carry_on(pipes, site_id, payment_id)  # the row says so too: a crash here loses only time


async def _read(tx: Transaction, site_id: int, notice_id: str, now: datetime) -> list[str]:
    """Read one notice; returns the payments whose provider should be asked.

    Raises:
        _ReadMeanwhile: it was new, and is not any more; the transaction must not commit.
    """
    unread = await providers.unread_notice(tx, site_id, notice_id)
    if unread is None:
        return []
    notice, account = unread
    reports = sorted(providers.reports_of(account, notice), key=lambda report: report.reference)
    to_ask: list[str] = []
    state, reason = providers.NoticeState.READ, ""
    if not reports:
        state, reason = providers.NoticeState.UNREADABLE, "no fact could be read from it"
    for report in reports:  # in one order, so that two notices never wait for each other
        its = await payment_of_reference(tx, site_id, account.account, report.reference)
        if its is None:
            state, reason = providers.NoticeState.ORPHAN, f"reference {report.reference[:64]} is not ours"
            await open_orphan(tx, site_id, notice_id, _told(report), at=now)
            continue
        found, attempt = its
        if report.dispute is not None:
            await apply_dispute(tx, found, attempt, report.dispute, at=now)
            continue
        step = await apply(tx, found, attempt, report.result, Source.NOTICE, at=now)
        if step.ask_again:
            to_ask.append(attempt.payment_id)
    if not await providers.close_notice(tx, site_id, notice_id, state, at=now, reason=reason):
        raise _ReadMeanwhile
    return to_ask


async def payment_of_reference(
    tx: Transaction, site_id: int, account: str, reference: str
) -> tuple[Payment, Attempt] | None:
    """The payment whose try at this account has the id that its provider quotes, locked, and that try."""
    row = await tx.first(_LOCKED, {"of_site": site_id, "of_attempt": reference})
    if row is None or row.try_account != account:
        return None
    its_try = SimpleNamespace(**{name: getattr(row, label) for name, label in _OF_TRY.items()})
    return payment_of(row), attempt_of(its_try)


def _told(report: providers.Report) -> dict[str, object]:
    """What a notice says, as a case shows it."""
    return {
        "reference": report.reference[:64],
        "state": report.result.state.value,
        "amount": str(report.result.amount) if report.result.amount else "",
        "provider_reference": report.result.provider_reference or "",
        "dispute": report.dispute.dispute_reference if report.dispute else "",
    }
