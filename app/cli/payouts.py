"""Withdrawals at the desk: what waits, what each one is, and letting it go or not."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy.engine import Row

from app import merchants, payments, players, staff
from app.cli.asking import done, group, out, told, with_pipes
from app.cli.staff import OperatorToken, acting, actor
from app.kernel.masking import mask_text
from app.kernel.money import Money
from app.plumbing.database import Reader, Transaction
from app.plumbing.pipes import Pipes

__all__ = ["payout"]

payout = group("Withdrawals.")
_WAITING = (payments.Status.PENDING, payments.Status.PROCESSING)
Reason = Annotated[str, typer.Option(help="Why, for colleagues.")]
Seen = Annotated[str, typer.Option(help="The approval that you looked at; none: the open one.")]


@payout.command("list")
def payout_list(
    site_id: int,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
) -> None:
    """List the withdrawals of a site that are not over, newest first."""

    async def work(reader: Reader, _: datetime) -> list[payments.Payment]:
        await merchants.site(reader, site_id)
        statuses = () if everything else _WAITING
        return await payments.payouts_of_site(reader, site_id, statuses=statuses, limit=limit)

    for one in told(work):
        why = f"  !{one.attention.value}" if one.attention else ""
        typer.echo(
            f"{one.payment_id}  {one.created_at:%Y-%m-%d %H:%M}  {one.amount}  {one.purse}  "
            f"{one.sub_status.value}{why}"
        )


@payout.command("show")
def payout_show(site_id: int, payment_id: str) -> None:
    """Print all that is known of a withdrawal: its legs and tries, its history, its approval."""

    async def work(reader: Reader, _: datetime) -> dict[str, Any]:
        found = await payments.payout(reader, site_id, payment_id)
        parts = await payments.legs_of(reader, found)
        tries = await payments.attempts_of(reader, found)
        history = await payments.events(reader, site_id, payment_id)
        asked = await staff.newest_approval(reader, site_id, staff.ApprovalKind.PAYOUT, payment_id)
        return _shown(found, parts, tries, history, asked)

    out.print_json(data=told(work), default=str)


def _shown(
    found: payments.Payment,
    parts: Sequence[payments.Leg],
    tries: Sequence[payments.Attempt],
    history: Sequence[Row[Any]],
    asked: staff.Approval | None,
) -> dict[str, Any]:
    return {
        **payments.public_object(found),
        "reason_staff": found.reason,
        "attention": found.attention,
        "initiated_at": found.initiated_at,
        "approved_at": found.approved_at,
        "next_look_at": found.ask_at,
        "legs": [
            {
                "leg": part.leg,
                "state": part.state,
                "amount": str(part.amount),
                "method": part.method,
                "account": part.account,
                "destination": part.masked,
                "why": part.why,
                "provider_reference": part.provider_reference,
            }
            for part in parts
        ],
        "tries": [
            {
                "attempt_id": one.attempt_id,
                "leg": one.leg,
                "account": one.account,
                "is_over": one.is_over,
                "outcome": mask_text(one.outcome),
            }
            for one in tries
        ],
        "approval": asked
        and {
            "approval_id": asked.approval_id,
            "state": asked.state,
            "maker": asked.maker,
            "needs": asked.still_needed,
            "expires_at": asked.expires_at,
            "votes": [{"by": vote.operator_id, "verdict": vote.verdict} for vote in asked.votes],
        },
        "history": [
            {
                "sequence": row.sequence,
                "type": row.type,
                "by": row.source,
                "at": row.recorded_at,
                **row.detail,
            }
            for row in history
        ],
    }


@payout.command("approve")
def payout_approve(
    site_id: int, payment_id: str, token: OperatorToken, reason: Reason = "", approval: Seen = ""
) -> None:
    """Approve a withdrawal as one person; above the site's second limit another one must too."""

    async def work(pipes: Pipes) -> payments.Payment:
        who = await acting(pipes, token)
        return await payments.approve(pipes, site_id, payment_id, who, reason=reason, approval_id=approval)

    out.print(with_pipes(work).sub_status.value)


@payout.command("reject")
def payout_reject(
    site_id: int,
    payment_id: str,
    token: OperatorToken,
    reason: Reason,
    tell: Annotated[str, typer.Option(help="What the player may read.")] = "",
    approval: Seen = "",
    *,
    quietly: Annotated[
        bool, typer.Option("--do-not-tip-off", help="The player must not learn that it was about the player.")
    ] = False,
) -> None:
    """Reject a withdrawal; what was reserved is the player's again."""
    why = payments.Refusing(reason, tell, quietly)

    async def work(pipes: Pipes) -> payments.Payment:
        who = await acting(pipes, token)
        return await payments.reject(pipes, site_id, payment_id, who, why, approval_id=approval)

    out.print(with_pipes(work).sub_status.value)


@payout.command("cancel")
def payout_cancel(site_id: int, payment_id: str, token: OperatorToken, reason: Reason) -> None:
    """Take a withdrawal back for the player, before it is sent, or the parts of it that wait."""

    async def work(pipes: Pipes) -> payments.Payment:
        who = await acting(pipes, token)
        return await payments.cancel_for_staff(pipes, site_id, payment_id, who, reason=reason)

    out.print(with_pipes(work).sub_status.value)


@payout.command("policy")
def payout_policy(
    site_id: int,
    currency: str,
    auto_below: Annotated[
        str, typer.Option(help="24 h of a player below: no person. `none`: always one.")
    ] = "",
    second_above: Annotated[str, typer.Option(help="24 h of a player above: two people. `none`: one.")] = "",
    cooling_seconds: Annotated[int | None, typer.Option(min=0)] = None,
    approval_hours: Annotated[int | None, typer.Option(min=1)] = None,
    *,
    player_may_cancel: Annotated[bool | None, typer.Option("--cancel/--no-cancel")] = None,
    closed_loop: Annotated[bool | None, typer.Option("--closed-loop/--no-closed-loop")] = None,
    needs_initiation: Annotated[bool | None, typer.Option("--initiation/--no-initiation")] = None,
    allow_without_request: Annotated[bool | None, typer.Option("--unasked/--no-unasked")] = None,
    token: OperatorToken = "",
) -> None:
    """Print a site's policy in a currency; what is named is changed before. Amounts as in 1500.50."""
    code = currency.upper()
    wanted = {
        "cooling_seconds": cooling_seconds,
        "approval_hours": approval_hours,
        "player_may_cancel": player_may_cancel,
        "closed_loop": closed_loop,
        "needs_initiation": needs_initiation,
        "allow_without_request": allow_without_request,
    }
    changes: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    for name, typed in (("auto_below", auto_below), ("second_above", second_above)):
        if typed:
            changes[name] = None if typed == "none" else Money.parse(typed, code)

    async def work(tx: Transaction, at: datetime) -> payments.PayoutPolicy:
        offered = (await merchants.site(tx, site_id)).currencies
        if code not in offered:
            raise players.CurrencyNotOffered(currency=code, offered=", ".join(offered))
        return await payments.change_policy(tx, site_id, code, changes, by=await actor(tx, token), at=at)

    found = done(work)
    shown = {name: getattr(found, name) for name in found.__dataclass_fields__}
    typer.echo(json.dumps(shown, default=str))
