"""Who lets a withdrawal go: the policy, one person, or two; one deed for every way there is to approve.

What is approved is an exact content, amount and destinations, and sending compares it. The room of `staff`
holds that nobody approves what they asked for, and that two approvals are two people's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from app import staff
from app.kernel.money import Money
from app.payments.changes import Cause
from app.payments.leg_money import give_back
from app.payments.legs import (
    Leg,
    content_of,
    legs_of,
    lock_player,
    payout,
    policy,
    taken_within_a_day,
    why_people,
)
from app.payments.model import PayoutPolicy, Step
from app.payments.queries import Payment
from app.payments.states import Kind, SubStatus
from app.payments.steps import carry_on_soon, carry_out
from app.plumbing import idempotency
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes

__all__ = [
    "CHANGED",
    "LOOK_AGAIN",
    "Refusing",
    "approve",
    "is_ready",
    "reject",
    "renew_expired",
    "review",
    "why_unapproved",
]

LOOK_AGAIN = timedelta(hours=1)  # at what waits for the merchant: the policy may want its word no more
CHANGED = "it is not what people have approved: cancel it"
_BY_POLICY: Final = "payout.approved_by_policy"
_REVIEWED = frozenset({SubStatus.UNDER_REVIEW, SubStatus.AWAITING_KYC, SubStatus.AWAITING_SECOND_APPROVAL})


@dataclass(frozen=True, slots=True)
class Refusing:
    """Why somebody rejects: for colleagues, and for the player, unless the player must not be tipped off."""

    reason_staff: str
    reason_player: str = ""
    do_not_tip_off: bool = False


async def review(
    tx: Transaction, found: Payment, *, maker: str, at: datetime, changes: dict[str, object] | None = None
) -> None:
    """Let the policy approve a withdrawal, or ask people; its row is locked.

    Both limits of the policy are of a player's day, not of one withdrawal: split, it is still the same money.

    Args:
        found: requested, or cooled, or back from an approval that expired.
        maker: who asked for it, and may therefore not vote.
        changes: columns that change with it.
    """
    parts = await legs_of(tx, found)
    rules = await policy(tx, found.site_id, found.amount.currency)
    path = () if found.sub_status is SubStatus.UNDER_REVIEW else (SubStatus.UNDER_REVIEW,)
    await lock_player(tx, found.player_id)
    taken, doubts = await taken_within_a_day(tx, found), await why_people(tx, found)
    if rules.auto_below is not None and taken < rules.auto_below and not doubts:
        own = {**(changes or {}), **_approved(found, parts, rules, at)}
        cause = Cause("policy", reason="below the amount that is approved without a person", changes=own)
        await carry_out(tx, found, Step((*path, SubStatus.APPROVED)), cause, at=at)
        await staff.note(
            tx,
            found.site_id,
            actor=staff.SYSTEM,
            deed=_BY_POLICY,
            subject=found.payment_id,
            detail=content_of(found, parts),
            at=at,
        )
        await _let_go(tx, found, rules)
        return
    until = at + timedelta(hours=rules.approval_hours)
    wish = staff.ApprovalWish(
        staff.ApprovalKind.PAYOUT,
        found.payment_id,
        content_of(found, parts),
        maker,
        _people_needed(taken, rules),
        until,
    )
    await staff.open_approval(tx, found.site_id, wish, at=at)
    own = {**(changes or {}), "expires_at": until, "ask_at": None}
    detail = {"people": wish.people_needed, "within_a_day_minor": taken.minor, "doubts": doubts}
    await carry_out(tx, found, Step(path), Cause("policy", changes=own, detail=detail), at=at)


async def approve(
    pipes: Pipes,
    site_id: int,
    payment_id: str,
    operator: staff.Operator,
    *,
    reason: str = "",
    approval_id: str = "",
) -> Payment:
    """Take one person's approval of a withdrawal; the last one that is needed lets it go.

    Args:
        operator: who approves, as authenticated.
        reason: for colleagues.
        approval_id: the approval that was looked at; none: whichever is open.

    Returns:
        the withdrawal as it is then.

    Raises:
        PaymentNotFound: no such withdrawal at this site.
        NotPermitted, OperatorDisabled, OwnRequest: this person may not (403).
        ApprovalClosed, ApprovalExpired, VotedAlready, ContentChanged: not any more (409).
        ApprovalNotFound: nobody was asked yet.
    """
    staff.check_text("reason", reason)
    cast = staff.Vote(staff.Verdict.APPROVE, reason_staff=reason, approval_id=approval_id)

    async def work(tx: Transaction) -> Payment:
        found = await payout(tx, site_id, payment_id, lock=True)
        at = pipes.clock.now()
        voted = await _voted(tx, found, operator, cast, at)
        if voted.state is staff.ApprovalState.OPEN:
            on = Step((SubStatus.AWAITING_SECOND_APPROVAL,))
            cause = Cause("staff", reason=reason, detail={"by": operator.actor, "still": voted.still_needed})
            if found.sub_status is SubStatus.AWAITING_SECOND_APPROVAL:
                on = Step()
            await carry_out(tx, found, on, cause, at=at)
        else:
            rules = await policy(tx, site_id, found.amount.currency)
            changes = _approved(found, await legs_of(tx, found), rules, at)
            cause = Cause("staff", reason=reason, changes=changes, detail={"by": operator.actor})
            await carry_out(tx, found, Step((SubStatus.APPROVED,)), cause, at=at)
            await _let_go(tx, found, rules)
        return await payout(tx, site_id, payment_id)

    return await pipes.database.retried(work)


async def reject(
    pipes: Pipes,
    site_id: int,
    payment_id: str,
    operator: staff.Operator,
    why: Refusing,
    *,
    approval_id: str = "",
) -> Payment:
    """Reject a withdrawal and give back what was held; one person is enough.

    Returns, and raises: as `approve`; also BadReason for a rejection without a reason.
    """
    cast = staff.Vote(
        staff.Verdict.REJECT,
        reason_staff=why.reason_staff,
        reason_player=why.reason_player,
        do_not_tip_off=why.do_not_tip_off,
        approval_id=approval_id,
    )

    async def work(tx: Transaction) -> Payment:
        found = await payout(tx, site_id, payment_id, lock=True)
        at = pipes.clock.now()
        voted = await _voted(tx, found, operator, cast, at)
        await give_back(tx, found, at=at)
        cause = Cause(
            "staff",
            reason=why.reason_staff,
            changes={"reason_player": voted.told, "ask_at": None},
            detail={"by": operator.actor},
        )
        await carry_out(tx, found, Step((SubStatus.REJECTED,)), cause, at=at)
        return await payout(tx, site_id, payment_id)

    return await pipes.database.retried(work)


async def renew_expired(pipes: Pipes) -> int:
    """Ask people anew about every withdrawal whose approval nobody gave in time; returns how many.

    The votes that were given until then are void: what two people approve, they approve within one time.
    """

    async def work(tx: Transaction) -> int:
        at = pipes.clock.now()
        renewed = 0
        for expired in await staff.expire_due(tx, at):
            if expired.kind is not staff.ApprovalKind.PAYOUT:
                continue
            found = await payout(tx, expired.site_id, expired.subject, lock=True)
            if found.kind is Kind.PAYOUT and found.sub_status in _REVIEWED:
                await review(tx, found, maker=expired.maker, at=at)
                renewed += 1
        return renewed

    return await pipes.database.retried(work)


def is_ready(found: Payment, rules: PayoutPolicy) -> bool:
    """Whether an approved withdrawal may be sent: initiated, where the policy says that it must be."""
    return found.initiated_at is not None or not rules.needs_initiation


async def why_unapproved(tx: Transaction, found: Payment, content: Mapping[str, Any]) -> str:
    """Why this may not be sent, for staff; empty where exactly this was let go.

    The payment must say so, and the record of who has let it go: people's votes, or the policy's line in the
    diary where people were not asked, or not in time. The payment's row alone would be one statement's word.
    """
    if idempotency.fingerprint(content) != found.approved_hash:
        return CHANGED
    its = (tx, found.site_id)
    kind = staff.ApprovalKind.REFUND if found.kind is Kind.REFUND else staff.ApprovalKind.PAYOUT
    asked = await staff.newest_approval(*its, kind, found.payment_id)
    if asked is not None and asked.state is not staff.ApprovalState.EXPIRED:
        is_recorded = await staff.approved(*its, kind, found.payment_id, content)
    else:
        noted = await staff.noted(*its, _BY_POLICY, found.payment_id, content)
        is_recorded = noted and found.kind is Kind.PAYOUT
    return "" if is_recorded else CHANGED


async def _let_go(tx: Transaction, found: Payment, rules: PayoutPolicy) -> None:
    if is_ready(found, rules):
        await carry_on_soon(tx, found.site_id, found.payment_id)


async def _voted(
    tx: Transaction, found: Payment, operator: staff.Operator, cast: staff.Vote, at: datetime
) -> staff.Approval:
    content = content_of(found, await legs_of(tx, found))
    kind = staff.ApprovalKind.PAYOUT
    return await staff.vote(tx, found.site_id, kind, found.payment_id, operator, cast, content=content, at=at)


def _approved(found: Payment, parts: Sequence[Leg], rules: PayoutPolicy, at: datetime) -> dict[str, object]:
    ready = is_ready(found, rules)
    # What the merchant never initiates does not hold the player's money for ever.
    until = None if ready else at + timedelta(hours=rules.approval_hours)
    return {
        "approved_at": at,
        "approved_hash": idempotency.fingerprint(content_of(found, parts)),
        "expires_at": until,
        # Should the job be lost, a sweep sends it.
        "ask_at": min(until, at + LOOK_AGAIN) if until else at,
    }


def _people_needed(taken: Money, rules: PayoutPolicy) -> int:
    return 2 if rules.second_above is not None and taken > rules.second_above else 1
