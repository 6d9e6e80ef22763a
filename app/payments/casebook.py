"""Cases as they are opened and read: what we knew, what was said, and what may be lost."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row

from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.payments.case_tables import payment_cases
from app.payments.model import DISPUTE, Attention, CaseKind, CaseState
from app.payments.queries import Payment
from app.payments.states import Kind, LegState, SubStatus
from app.payments.tables import payment_events
from app.plumbing.database import Reader, Transaction

__all__ = [
    "Case",
    "CaseNotFound",
    "CasePage",
    "called_since",
    "case",
    "case_of",
    "case_page",
    "cases_of_site",
    "is_noted",
    "open_about_notice",
    "open_case",
    "open_orphan",
    "other_cases",
]


class CaseNotFound(Refusal):
    """There is no such case."""


@dataclass(frozen=True, slots=True)
class Case:
    """What people must look at, with both stories.

    `attempt_id`: which attempt the evidence was about; None where it was about none: people opened it, the
    clock did about more than one, or it is about a notice of nobody.
    """

    site_id: int
    case_id: str
    kind: CaseKind
    state: CaseState
    payment_id: str | None
    notice_id: str | None
    attempt_id: str | None
    about: str
    ours: Mapping[str, Any]
    theirs: Mapping[str, Any]
    exposure: Money | None
    resolution: str
    note: str
    attachment_hash: bytes | None
    approval_id: str | None
    opened_at: datetime
    resolved_at: datetime | None


async def open_case(
    tx: Transaction,
    found: Payment,
    kind: CaseKind,
    theirs: Mapping[str, object],
    *,
    about: str,
    exposure: Money,
    at: datetime,
    attempt_id: str | None = None,
) -> None:
    """Open a case about a payment, unless one of this kind about the same is open: number, attempt, word.

    Args:
        tx: where to write.
        found: the payment, as it was before.
        kind: why people must look.
        theirs: what was said, and by whom.
        about: the provider's number of it; empty where there is none.
        exposure: what may be lost.
        at: this instant.
        attempt_id: which of its attempts it was said of; None where of none.
    """
    ours = {
        "kind": found.kind.value,
        "status": found.status.value,
        "sub_status": found.sub_status.value,
        "amount": str(found.amount),
        "captured": str(found.captured),
        "refunded": str(found.refunded),
        "provider_reference": found.provider_reference,
        "account": found.account,
        "sequence": found.sequence,
        "is_approved": found.approved_at is not None,
    }
    await _write(
        tx,
        found.site_id,
        kind,
        {
            "payment_id": found.payment_id,
            "attempt_id": attempt_id,
            "about": about,
            "word": f"{theirs['code']} {theirs['amount']}" if theirs.get("source") == DISPUTE else "",
            "ours": ours,
            "theirs": dict(theirs),
        },
        exposure,
        at,
    )


async def open_orphan(
    tx: Transaction, site_id: int, notice_id: str, theirs: Mapping[str, object], *, at: datetime
) -> None:
    """Open a case about a notice that belongs to no payment of ours."""
    ours = {"known": "no order of ours has this reference at this account"}
    about = str(theirs.get("reference", ""))
    row = {"notice_id": notice_id, "about": about, "ours": ours, "theirs": dict(theirs)}
    await _write(tx, site_id, CaseKind.ORPHAN_NOTICE, row, None, at)


async def case(reader: Reader, site_id: int, case_id: str, *, lock: bool = False) -> Case:
    """One case; with `lock`, nobody else decides it until the transaction ends.

    Raises:
        CaseNotFound: no such case at this site.
    """
    asked = payment_cases.select().where(
        payment_cases.c.site_id == site_id, payment_cases.c.case_id == case_id
    )
    row = await reader.first(asked.with_for_update(key_share=True) if lock else asked)
    if row is None:
        raise CaseNotFound
    return _case(row)


async def cases_of_site(
    reader: Reader, site_id: int, *, state: CaseState = CaseState.OPEN, limit: int = 100
) -> list[Case]:
    """Cases of a site, the oldest first."""
    rows = await reader.all(
        payment_cases.select()
        .where(payment_cases.c.site_id == site_id, payment_cases.c.state == state)
        .order_by(payment_cases.c.opened_at, payment_cases.c.case_id)
        .limit(limit)
    )
    return [_case(row) for row in rows]


@dataclass(frozen=True, slots=True)
class CasePage:
    """Some cases, the newest first, and whether there are more beyond them."""

    cases: list[Case]
    has_more: bool


async def case_page(
    reader: Reader,
    site_id: int,
    *,
    state: CaseState,
    limit: int,
    kinds: Collection[CaseKind] = (),
    payment_id: str | None = None,
    starting_after: str | None = None,
    ending_before: str | None = None,
) -> CasePage:
    """Cases as pages of a list, stable while new ones come.

    Args:
        reader: where to read.
        site_id: whose.
        state: open ones, or resolved ones.
        limit: at most so many.
        kinds: only these; none = all.
        payment_id: only those about this payment.
        starting_after: the id of a case; the page begins with the next older one.
        ending_before: the id of a case; the page ends with the next newer one.

    Raises:
        CaseNotFound: no such case to continue from.
    """
    its = payment_cases.c
    asked = payment_cases.select().where(its.site_id == site_id, its.state == state)
    if kinds:
        asked = asked.where(its.kind.in_(sorted(kinds)))
    if payment_id is not None:
        asked = asked.where(its.payment_id == payment_id)
    place, order = tuple_(its.opened_at, its.case_id), (its.opened_at.desc(), its.case_id.desc())
    if ending_before is not None:
        edge = await case(reader, site_id, ending_before)
        asked = asked.where(place > (edge.opened_at, edge.case_id))
        order = (its.opened_at.asc(), its.case_id.asc())
    elif starting_after is not None:
        edge = await case(reader, site_id, starting_after)
        asked = asked.where(place < (edge.opened_at, edge.case_id))
    rows = await reader.all(asked.order_by(*order).limit(limit + 1))
    found = [_case(row) for row in rows[:limit]]
    return CasePage(found[::-1] if ending_before is not None else found, len(rows) > limit)


async def case_of(reader: Reader, site_id: int, payment_id: str, kind: CaseKind) -> Case | None:
    """The open case of this kind about a payment; the oldest, should there be several."""
    row = await reader.first(
        payment_cases.select()
        .where(
            payment_cases.c.site_id == site_id,
            payment_cases.c.payment_id == payment_id,
            payment_cases.c.kind == kind,
            payment_cases.c.state == CaseState.OPEN,
        )
        .order_by(payment_cases.c.opened_at)
        .limit(1)
    )
    return _case(row) if row else None


async def is_noted(
    reader: Reader,
    found: Payment,
    why: Attention,
    attempt_id: str | None,
    provider_reference: str | None,
    amount: Money | None,
    code: str,
) -> bool:
    """Whether an event already tells this reason for attention about this try and number of the provider.

    Each stage of a dispute, its `code`, is news; a denial is, once people have decided since the one before.
    Where it is the amount that differs, each other amount is; and that a deposit is paid which was reversed,
    or a withdrawal which came back, each time, as money is missing.
    """
    its = payment_events.c
    own = (its.site_id == found.site_id) & (its.payment_id == found.payment_id)
    told = select(its.sequence).where(
        own,
        its.detail["attention"].astext == why.value,
        _of_try(attempt_id),
        its.provider_reference.is_not_distinct_from(provider_reference),
        (its.source != DISPUTE) | (its.detail["reason"]["code"].astext == code),
    )
    if why is Attention.AMOUNT_DIFFERS:
        told = told.where(
            its.amount_minor.is_not_distinct_from(amount.minor if amount else None),
            its.currency.is_not_distinct_from(amount.currency if amount else None),
        )
    if found.sub_status is SubStatus.REVERSED or (found.kind is Kind.PAYOUT and found.refunded.minor):
        # Of a part of a withdrawal the event is the withdrawal's, and names the part.
        undone = its.type.in_(["transaction.reversed", "withdrawal.returned"])
        undone |= its.detail["leg_state"].astext == LegState.RETURNED
        # Where nothing was, only a part of it came back.
        undone_at = select(func.coalesce(func.max(its.sequence), 0)).where(own, undone)
        told = told.where(its.sequence > undone_at.scalar_subquery())
    if why is Attention.DENIED_AFTER_SUCCESS:
        by_people = its.source.in_(["people", "settlement"])  # what they had read by then was another story
        decided_at = select(func.coalesce(func.max(its.sequence), 0)).where(own, by_people)
        told = told.where(its.sequence > decided_at.scalar_subquery())
    return await reader.first(told) is not None


async def called_since(
    reader: Reader,
    found: Payment,
    why: Attention,
    since: datetime,
    *,
    by: str = "clock",
    provider_reference: str | None = None,
    attempt_id: str | None = None,
    word: tuple[str, Money] | None = None,
) -> bool:
    """Whether we have called people for this reason since then; what they raised is no call.

    Args:
        reader: where to read.
        found: the payment.
        why: the reason.
        since: calls before do not count.
        by: what has called them.
        provider_reference: about which number of the provider.
        attempt_id: about which try; None: about any, or about none.
        word: about a dispute, its stage and sum.
    """
    its = payment_events.c
    called = select(its.sequence).where(
        its.site_id == found.site_id,
        its.payment_id == found.payment_id,
        its.source == by,
        its.detail["attention"].astext == why.value,
        its.provider_reference.is_not_distinct_from(provider_reference),
        its.recorded_at > since,
    )
    if attempt_id is not None:
        called = called.where(_of_try(attempt_id))
    if word is not None:
        stage, amount = word
        called = called.where(its.detail["reason"]["code"].astext == stage, its.amount_minor == amount.minor)
    return await reader.first(called) is not None


def _of_try(attempt_id: str | None) -> ColumnElement[bool]:
    """Whether an event is about this try: events of a release that kept none of it may be about any."""
    told = payment_events.c.detail["attempt_id"].astext
    is_of_try: ColumnElement[bool] = told.is_(None) | (told == attempt_id)
    return is_of_try


async def other_cases(reader: Reader, its: Case) -> list[Case]:
    """What else is open about the same payment, the oldest first."""
    rows = await reader.all(
        payment_cases.select()
        .where(
            payment_cases.c.site_id == its.site_id,
            payment_cases.c.payment_id == its.payment_id,
            payment_cases.c.case_id != its.case_id,
            payment_cases.c.state == CaseState.OPEN,
        )
        .order_by(payment_cases.c.opened_at, payment_cases.c.case_id)
    )
    return [_case(row) for row in rows]


async def open_about_notice(reader: Reader, its: Case) -> bool:
    """Whether the same notice has other facts that nobody has found the payment of."""
    row = await reader.first(
        select(payment_cases.c.case_id).where(
            payment_cases.c.site_id == its.site_id,
            payment_cases.c.notice_id == its.notice_id,
            payment_cases.c.case_id != its.case_id,
            payment_cases.c.state == CaseState.OPEN,
        )
    )
    return row is not None


async def _write(
    tx: Transaction,
    site_id: int,
    kind: CaseKind,
    row: Mapping[str, object],
    exposure: Money | None,
    at: datetime,
) -> None:
    adding = insert(payment_cases).values(
        site_id=site_id,
        case_id=ids.new("cas", at=at),
        kind=kind,
        exposure_minor=exposure.minor if exposure else 0,
        currency=exposure.currency if exposure else "",
        opened_at=at,
        **row,
    )
    await tx.execute(adding.on_conflict_do_nothing())


def _case(row: Row[Any]) -> Case:
    return Case(
        site_id=row.site_id,
        case_id=row.case_id,
        kind=CaseKind(row.kind),
        state=CaseState(row.state),
        payment_id=row.payment_id,
        notice_id=row.notice_id,
        attempt_id=row.attempt_id,
        about=row.about,
        ours=row.ours,
        theirs=row.theirs,
        exposure=Money(row.exposure_minor, row.currency) if row.currency else None,
        resolution=row.resolution,
        note=row.note,
        attachment_hash=row.attachment_hash,
        approval_id=row.approval_id,
        opened_at=row.opened_at,
        resolved_at=row.resolved_at,
    )
