"""What can be done at the desk: let people in, ask them, take their votes, note what was done."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import and_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app import merchants
from app.kernel import ids
from app.kernel.errors import Refusal
from app.plumbing.database import Transaction
from app.staff.model import (
    HOUSE,
    SYSTEM,
    Approval,
    ApprovalId,
    ApprovalKind,
    ApprovalState,
    ApprovalWish,
    NewOperator,
    Operator,
    Verdict,
    Vote,
)
from app.staff.queries import (
    PAGE,
    ApprovalNotFound,
    OperatorNotFound,
    approval,
    is_one_hand,
    newest_approval,
    operator,
    token_hash,
)
from app.staff.rules import (
    NotAnotherPerson,
    OperatorDisabled,
    admit,
    check_new,
    check_reasons,
    content_hash,
    without_cards,
)
from app.staff.tables import approval_votes, approvals, diary_entries, operators

__all__ = [
    "ApprovalOpenAlready",
    "LoginTaken",
    "create_operator",
    "disable_operator",
    "expire_due",
    "new_token",
    "note",
    "open_approval",
    "vote",
    "withdraw_approval",
]

_TOKEN_BYTES = 32


class LoginTaken(Refusal):
    """There is an operator {login} already; logins are not used twice, not even of disabled operators."""

    param = "login"


class ApprovalOpenAlready(Refusal):
    """Something else about {subject} waits for approval already."""


async def create_operator(
    tx: Transaction, new: NewOperator, *, at: datetime, by: str = SYSTEM
) -> tuple[Operator, str]:
    """Let somebody sit at the desk.

    Args:
        new: who, in which roles, for which sites.
        at: the instant.
        by: the actor who lets them in, for the diary of the house.

    Returns:
        the operator, and the bearer token: shown once, kept only as a hash.

    Raises:
        BadOperator: a login, name, roles or sites that cannot be.
        LoginTaken: somebody has or had this login.
        merchants.SiteNotFound: one of the sites.
    """
    check_new(new)
    for site_id in sorted(new.sites or ()):
        await merchants.site(tx, site_id)
    token = _new_secret()
    roles, sites = sorted(role.value for role in new.roles), sorted(new.sites) if new.sites else None
    adding = insert(operators).values(
        operator_id=ids.new("opr", at=at),
        login=new.login,
        name=new.name,
        roles=roles,
        sites=sites,
        token_hash=token_hash(token),
        created_at=at,
    )
    written = await tx.scalar(
        adding.on_conflict_do_nothing(index_elements=["login"]).returning(operators.c.operator_id)
    )
    if written is None:
        raise LoginTaken(login=new.login)
    detail = {"login": new.login, "roles": roles, "sites": sites}
    await note(tx, HOUSE, actor=by, deed="operator.created", subject=written, detail=detail, at=at)
    return await operator(tx, written), token


async def new_token(tx: Transaction, operator_id: str, *, at: datetime, by: str = SYSTEM) -> str:
    """Replace an operator's token; the one before ends at once.

    Returns:
        The token, shown once.

    Raises:
        OperatorDisabled: it would open nothing.
        OperatorNotFound: no such operator.
    """
    token = _new_secret()
    is_in = and_(operators.c.operator_id == operator_id, operators.c.disabled_at.is_(None))
    done = await tx.execute(update(operators).where(is_in).values(token_hash=token_hash(token)))
    if not done.rowcount:
        raise OperatorDisabled(login=(await operator(tx, operator_id)).login)
    await note(tx, HOUSE, actor=by, deed="operator.token_replaced", subject=operator_id, detail={}, at=at)
    return token


async def disable_operator(tx: Transaction, operator_id: str, *, at: datetime, by: str = SYSTEM) -> bool:
    """Send somebody away from the desk for good; what they voted stays. Waits for a vote that is under way.

    Returns:
        whether the operator was enabled until now.

    Raises:
        OperatorNotFound: no such operator.
    """
    before = await tx.first(
        select(operators.c.disabled_at).where(operators.c.operator_id == operator_id).with_for_update()
    )
    if before is None:
        raise OperatorNotFound
    if before.disabled_at is not None:
        return False
    await tx.execute(update(operators).where(operators.c.operator_id == operator_id).values(disabled_at=at))
    await note(tx, HOUSE, actor=by, deed="operator.disabled", subject=operator_id, detail={}, at=at)
    return True


async def open_approval(tx: Transaction, site_id: int, wish: ApprovalWish, *, at: datetime) -> Approval:
    """Ask people; the same wish again, while it is open, is the approval that waits already.

    One that has expired and was not swept yet is ended, and people are asked anew.

    Raises:
        ApprovalOpenAlready: another content, maker or number of people waits under this kind and subject.
    """
    mark = content_hash(wish.content)
    adding = insert(approvals).values(
        site_id=site_id,
        approval_id=ids.new("apr", at=at),
        kind=wish.kind,
        subject=wish.subject,
        content=dict(wish.content),
        content_hash=mark,
        maker=wish.maker,
        people_needed=wish.people_needed,
        state=ApprovalState.OPEN,
        made_at=at,
        expires_at=wish.expires_at,
    )
    written = await tx.scalar(
        adding.on_conflict_do_nothing(
            index_elements=["site_id", "kind", "subject"],
            # A parameter would name no index once the plan is kept.
            index_where=text("state = 'open'"),
        ).returning(approvals.c.approval_id)
    )
    if written is not None:
        made = await approval(tx, site_id, written)
        more = {"content": made.content, "people_needed": made.people_needed}
        await _noted(tx, made, "opened", actor=wish.maker, at=at, **more)
        return made
    found = await _open_locked(tx, site_id, wish.kind, wish.subject)
    if found is None or at >= found.expires_at:  # None: it was decided between the two statements
        if found is not None:
            await _expire(tx, found, at)
        return await open_approval(tx, site_id, wish, at=at)
    if (found.content_hash, found.maker, found.people_needed) != (mark, wish.maker, wish.people_needed):
        raise ApprovalOpenAlready(subject=wish.subject)
    return found


async def vote(
    tx: Transaction,
    site_id: int,
    kind: ApprovalKind,
    subject: str,
    operator_: Operator,
    cast: Vote,
    *,
    content: Mapping[str, Any],
    at: datetime,
) -> Approval:
    """Take one person's vote: the one deed through which anything is approved or rejected.

    The approval's row is locked, and the operator is read again, until the caller's transaction ends.

    Args:
        site_id: whose approval it is.
        kind: of the approval.
        subject: what it is about.
        operator_: who votes; what the database says of this person now is what counts.
        cast: the verdict and its reasons; it may name the approval that was looked at.
        content: the subject's content as it is now; an approval counts only for what was asked.
        at: the instant.

    Returns:
        The approval with this vote; its state says whether that decided it.

    Raises:
        BadReason: a reason that is missing, too long, not text, or has a card number in it.
        ApprovalNotFound: nobody was ever asked.
        OperatorDisabled, NotPermitted, OwnRequest, NotAnotherPerson: this person may not (403).
        ApprovalClosed, ApprovalExpired, VotedAlready, ContentChanged: not any more (409).
    """
    check_reasons(cast)
    voter = await operator(tx, operator_.operator_id, lock=True)
    found = await _to_vote_on(tx, site_id, kind, subject, cast.approval_id)
    after = admit(found, voter, cast, content, at=at)
    if cast.verdict is Verdict.APPROVE and await is_one_hand(tx, found, voter):
        raise NotAnotherPerson(subject=subject)
    said = {
        "reason_staff": cast.reason_staff,
        "reason_player": cast.reason_player,
        "do_not_tip_off": cast.do_not_tip_off,
    }
    await tx.execute(
        approval_votes.insert().values(
            site_id=site_id,
            approval_id=found.approval_id,
            operator_id=voter.operator_id,
            maker=found.maker,
            verdict=cast.verdict,
            voted_at=at,
            **said,
        )
    )
    if after is not ApprovalState.OPEN:
        await _close(tx, site_id, found.approval_id, after, at)
    await _noted(tx, found, cast.verdict.value, actor=voter.actor, at=at, **said, state=after.value)
    return await approval(tx, site_id, found.approval_id)


async def withdraw_approval(
    tx: Transaction, site_id: int, kind: ApprovalKind, subject: str, *, at: datetime, by: str = SYSTEM
) -> Approval | None:
    """Stop asking, because what was to be approved is gone: cancelled, or changed and asked for anew.

    Returns:
        the approval that was open; None when nothing was, and nothing happened.
    """
    found = await _open_locked(tx, site_id, kind, subject)
    if found is None:
        return None
    await _close(tx, site_id, found.approval_id, ApprovalState.WITHDRAWN, at)
    await _noted(tx, found, "withdrawn", actor=by, at=at)
    return await approval(tx, site_id, found.approval_id)


async def expire_due(tx: Transaction, now: datetime, *, limit: int = PAGE) -> list[Approval]:
    """End what waited too long, at every site; the caller goes on with what each was about.

    Rows that somebody is just voting on are left for the next time. The approvals stay locked until the
    transaction ends: who then locks the subjects runs all of it by `database.retried`.

    Returns:
        the approvals that have expired now.
    """
    due = (
        select(approvals.c.site_id, approvals.c.approval_id)
        .where(approvals.c.state == ApprovalState.OPEN, approvals.c.expires_at <= now)
        .order_by(approvals.c.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    expired = []
    for row in await tx.all(due):
        ended = await approval(tx, row.site_id, row.approval_id)
        expired.append(await _expire(tx, ended, now))
    return expired


async def note(
    tx: Transaction,
    site_id: int,
    *,
    actor: str,
    deed: str,
    subject: str,
    detail: Mapping[str, Any],
    at: datetime,
) -> str:
    """Write a line of the site's diary, in the transaction of the deed itself: both happen or neither.

    The database numbers and chains the line at COMMIT. It is never changed and never leaves.

    Args:
        site_id: whose diary; `HOUSE` for what belongs to no site.
        actor: `operator:...`, `player:...`, `merchant:<site>`, `machine:<login>` or `system`.
        deed: what was done, as `payout.rejected`.
        subject: the id of what it was done to.
        detail: before, after, reasons, in plain JSON; no secret and no full account number. Card numbers
            that got here all the same are masked.
        at: the instant.

    Returns:
        the line's id.
    """
    entry_id = ids.new("dia", at=at)
    await tx.execute(
        diary_entries.insert().values(
            site_id=site_id,
            entry_id=entry_id,
            actor=actor,
            deed=deed,
            subject=subject,
            detail=without_cards(detail),
            recorded_at=at,
        )
    )
    return entry_id


async def _noted(
    tx: Transaction, about: Approval, deed: str, *, actor: str, at: datetime, **more: object
) -> None:
    detail = {"approval_id": about.approval_id, "kind": about.kind.value, **more}
    await note(
        tx, about.site_id, actor=actor, deed=f"approval.{deed}", subject=about.subject, detail=detail, at=at
    )


async def _to_vote_on(
    tx: Transaction, site_id: int, kind: ApprovalKind, subject: str, approval_id: str
) -> Approval:
    """The approval that was named, or the open one, or what became of the last; its row locked."""
    if not approval_id:
        newest = await newest_approval(tx, site_id, kind, subject)
        if newest is None:
            raise ApprovalNotFound(subject=subject)
        approval_id = newest.approval_id
    its = (approvals.c.site_id == site_id) & (approvals.c.approval_id == approval_id)
    await tx.execute(select(approvals.c.approval_id).where(its).with_for_update())
    found = await approval(tx, site_id, approval_id)
    if (found.kind, found.subject) != (kind, subject):
        raise ApprovalNotFound(subject=subject)
    return found


async def _open_locked(tx: Transaction, site_id: int, kind: ApprovalKind, subject: str) -> Approval | None:
    found = await tx.scalar(
        select(approvals.c.approval_id)
        .where(
            approvals.c.site_id == site_id,
            approvals.c.kind == kind,
            approvals.c.subject == subject,
            approvals.c.state == ApprovalState.OPEN,
        )
        .with_for_update()
    )
    return None if found is None else await approval(tx, site_id, found)


async def _expire(tx: Transaction, found: Approval, at: datetime) -> Approval:
    await _close(tx, found.site_id, found.approval_id, ApprovalState.EXPIRED, at)
    await _noted(tx, found, "expired", actor=SYSTEM, at=at)
    return await approval(tx, found.site_id, found.approval_id)


async def _close(
    tx: Transaction, site_id: int, approval_id: ApprovalId, state: ApprovalState, at: datetime
) -> None:
    await tx.execute(
        update(approvals)
        .where(approvals.c.site_id == site_id, approvals.c.approval_id == approval_id)
        .values(state=state, decided_at=at)
    )


def _new_secret() -> str:
    return f"ck_staff_{ids.secret(_TOKEN_BYTES)}"
