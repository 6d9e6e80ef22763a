"""Refunds and disputes of deposits."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy.engine import Row

from app import merchants, payments, staff
from app.cli.asking import group, out, told, with_pipes
from app.cli.histories import event_line, logins_of, people_of
from app.cli.staff import OperatorToken, acting
from app.kernel.masking import mask_text
from app.kernel.money import Money
from app.payments.api_schemas import payment_object
from app.plumbing.database import Reader
from app.plumbing.pipes import Pipes

__all__ = ["as_operator", "dispute", "refund"]

T = TypeVar("T")
refund = group("Refunds of deposits: asked for by one person, approved by another.")
dispute = group("Deposits that a player's bank takes back.")


def as_operator(token: str, work: Callable[[Pipes, staff.Operator], Awaitable[T]]) -> T:
    """Do something as the operator whose token it is."""

    async def run(pipes: Pipes) -> T:
        return await work(pipes, await acting(pipes, token))

    return with_pipes(run)


@refund.command("request")
def refund_request(
    site_id: int,
    deposit_id: str,
    reason: Annotated[str, typer.Option(help="For colleagues; 1 to 255 characters.")],
    key: Annotated[str, typer.Option(help="The same wish under the same key is one refund.")],
    amount: Annotated[str, typer.Option(help="As in 12.34; none: all that can still go back.")] = "",
    token: OperatorToken = "",
) -> None:
    """Reserve a refund and ask other people to approve it."""

    async def work(pipes: Pipes, who: staff.Operator) -> payments.Payment:
        money = None
        if amount:
            async with pipes.database.reading() as reader:
                deposit = await payments.payment(reader, site_id, deposit_id)
            money = Money.parse(amount, deposit.amount.currency)
        wish = payments.RefundWish(deposit_id, money, reason, key)
        return await payments.request_refund(pipes, site_id, wish, who)

    _show(as_operator(token, work))


@refund.command("approve")
def refund_approve(site_id: int, refund_id: str, reason: str = "", token: OperatorToken = "") -> None:
    """Approve a refund that somebody else asked for."""
    _show(
        as_operator(
            token, lambda pipes, who: payments.approve_refund(pipes, site_id, refund_id, who, reason=reason)
        )
    )


@refund.command("reject")
def refund_reject(
    site_id: int, refund_id: str, reason: Annotated[str, typer.Option()], token: OperatorToken = ""
) -> None:
    """Reject a refund that somebody else asked for; what was reserved is free again."""
    _show(
        as_operator(
            token, lambda pipes, who: payments.reject_refund(pipes, site_id, refund_id, who, reason=reason)
        )
    )


@refund.command("cancel")
def refund_cancel(
    site_id: int, refund_id: str, reason: Annotated[str, typer.Option()], token: OperatorToken = ""
) -> None:
    """Call a refund off before it is sent; what was reserved is free again."""
    _show(
        as_operator(
            token, lambda pipes, who: payments.cancel_refund(pipes, site_id, refund_id, who, reason=reason)
        )
    )


@refund.command("list")
def refund_list(site_id: int, deposit_id: str) -> None:
    """List the refunds of a deposit, who wanted each, why, and why it waits; and what can still go back."""

    async def work(reader: Reader, _: object) -> tuple[payments.Payment, list[str]]:
        deposit = await payments.payment(reader, site_id, deposit_id)
        logins, lines = await logins_of(reader), []
        for one in await payments.refunds_of(reader, site_id, deposit_id):
            people = people_of(await payments.events(reader, site_id, one.payment_id), logins)
            lines.append("  ".join([_facts(one), *_why_not_sent(one), "; ".join(people)]))
        return deposit, lines

    deposit, found = told(work)
    for line in found:
        typer.echo(line)
    out.print(
        f"{deposit.payment_id}: captured {deposit.captured}, pending {deposit.refund_pending}, refunded "
        f"{deposit.refunded}, charged back {deposit.charged_back}, remaining {deposit.remaining}"
    )


@refund.command("show")
def refund_show(
    site_id: int,
    refund_id: str,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs; amounts in minor units.")] = False,
) -> None:
    """Print who asked for a refund and why, who approved it and why, and everything that happened."""

    async def work(
        reader: Reader, _: object
    ) -> tuple[payments.Payment, Sequence[Row[Any]], Mapping[str, str]]:
        found = await payments.payment(reader, site_id, refund_id, kind=payments.Kind.REFUND)
        return found, await payments.events(reader, site_id, refund_id), await logins_of(reader)

    one, history, logins = told(work)
    people = people_of(history, logins)
    if as_json:
        shown = payment_object(one, is_staff=True, events=history).model_dump(mode="json", exclude_none=True)
        typer.echo(json.dumps({**shown, "people": people}))
        return
    lines = [_facts(one), *_why_not_sent(one), *people, *(event_line(row, logins) for row in history)]
    typer.echo("\n".join(lines))


@dispute.command("list")
def dispute_list(
    site_id: int, deposit: Annotated[str, typer.Option(help="All of this deposit. None: the open ones.")] = ""
) -> None:
    """List disputes, the first to be due first."""

    async def work(reader: Reader, _: object) -> list[payments.Dispute]:
        await merchants.site(reader, site_id)
        if deposit:
            return await payments.disputes_of(reader, site_id, deposit)
        return await payments.open_disputes(reader, site_id)

    for one in told(work):
        _show_dispute(one)


@dispute.command("move")
def dispute_move(
    site_id: int,
    dispute_id: str,
    state: Annotated[
        payments.DisputeState, typer.Argument(help="needs_response, submitted, accepted or prevented.")
    ],
    note: Annotated[str, typer.Option(help="Why, for colleagues and auditors.")],
    token: OperatorToken = "",
) -> None:
    """Say what people did about a dispute; the bank's word, won or lost, stays the bank's."""
    _show_dispute(
        as_operator(
            token,
            lambda pipes, who: payments.move_dispute(pipes, site_id, dispute_id, who, state, note=note),
        )
    )


def _show_dispute(one: payments.Dispute) -> None:
    due = f"due {one.due_at:%Y-%m-%d %H:%M}" if one.due_at else "nothing due"
    typer.echo(
        f"{one.dispute_id}  {one.state.value}  {one.amount}  taken {one.posted}  of {one.payment_id}  "
        f"{due}  {one.reason}"
    )


def _show(one: payments.Payment) -> None:
    typer.echo(f"{_facts(one)}  {mask_text(one.reason)}".rstrip())


def _facts(one: payments.Payment) -> str:
    return f"{one.payment_id}  {one.status.value}/{one.sub_status.value}  {one.amount}  of {one.parent_id}"


def _why_not_sent(one: payments.Payment) -> list[str]:
    return [f"waits: {mask_text(one.waits_because)}"] if one.waits_because else []
