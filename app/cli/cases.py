"""What people must look at: cases, both stories, and how two people end them."""

import json
from typing import Annotated

import typer

from app import merchants, payments, staff
from app.cli.asking import err, group, told
from app.cli.refunds import as_operator
from app.cli.staff import OperatorToken
from app.kernel.money import Money
from app.plumbing.database import Reader
from app.plumbing.pipes import Pipes

__all__ = ["case"]

case = group("Cases: one person proposes with a note and a proof, another decides.")


@case.command("list")
def case_list(
    site_id: int, *, resolved: Annotated[bool, typer.Option(help="Those that are resolved.")] = False
) -> None:
    """List cases, the oldest first."""
    state = payments.CaseState.RESOLVED if resolved else payments.CaseState.OPEN

    async def work(reader: Reader, _: object) -> list[payments.Case]:
        await merchants.site(reader, site_id)
        return await payments.cases_of_site(reader, site_id, state=state)

    for one in told(work):
        typer.echo(_line(one))


@case.command("show")
def case_show(site_id: int, case_id: str) -> None:
    """Show both stories of a case."""

    async def work(reader: Reader, _: object) -> tuple[payments.Case, staff.Approval | None]:
        found = await payments.case(reader, site_id, case_id)
        return found, await payments.proposal_waiting(reader, found)

    one, waiting = told(work)
    typer.echo(_line(one))
    if one.attempt_id is not None:
        typer.echo(f"attempt    {one.attempt_id}")
    typer.echo(f"we knew    {json.dumps(one.ours, sort_keys=True)}")
    typer.echo(f"they said  {json.dumps(one.theirs, sort_keys=True)}")
    if waiting is not None:
        typer.echo(f"proposed   by {waiting.maker}: {json.dumps(waiting.content, sort_keys=True)}")
    if one.attachment_hash is not None:
        typer.echo(f"resolved   {one.resolution}: {one.note}; proof {one.attachment_hash.hex()}")


@case.command("open")
def case_open(
    site_id: int, payment_id: str, reason: Annotated[str, typer.Option()], token: OperatorToken = ""
) -> None:
    """Open a case by hand about a payment that goes on for too long."""
    typer.echo(
        _line(
            as_operator(
                token, lambda pipes, who: payments.raise_case(pipes, site_id, payment_id, who, reason=reason)
            )
        )
    )


@case.command("resolve")
def case_resolve(
    site_id: int,
    case_id: str,
    resolution: payments.Resolution,
    note: Annotated[str, typer.Option(help="Why, for colleagues and auditors.")],
    attachment: Annotated[str, typer.Option(help="SHA-256 of the proof, 64 hexadecimal digits.")],
    amount: Annotated[str, typer.Option(help="What was really paid, as 12.34; for accepted.")] = "",
    reference: Annotated[str, typer.Option(help="The provider's number in the proof.")] = "",
    leg: Annotated[int | None, typer.Option(help="Which part of a withdrawal.")] = None,
    payment: Annotated[str, typer.Option(help="Whose an orphan notice is; for matched.")] = "",
    token: OperatorToken = "",
) -> None:
    """Propose how a case ends; somebody else decides."""
    if amount and resolution is not payments.Resolution.ACCEPTED:
        raise _wrong_amount(f"only `accepted` takes an amount, and this is `{resolution.value}`.")
    if not amount and resolution is payments.Resolution.ACCEPTED:
        raise _wrong_amount("`accepted` needs what was really paid, for example --amount 12.34.")

    async def work(pipes: Pipes, who: staff.Operator) -> staff.Approval:
        money = await _amount(pipes, site_id, case_id, amount) if amount else None
        proposal = payments.Proposal(resolution, note, attachment, money, reference, leg, payment)
        return await payments.propose_resolution(pipes, site_id, case_id, who, proposal)

    waiting = as_operator(token, work)
    typer.echo(
        f"{case_id}  {waiting.approval_id}  waits for another person until {waiting.expires_at:%F %H:%M}"
    )


@case.command("decide")
def case_decide(
    site_id: int,
    case_id: str,
    verdict: staff.Verdict,
    reason: Annotated[str, typer.Option(help="A rejection needs one.")] = "",
    token: OperatorToken = "",
) -> None:
    """Decide about what somebody else proposed; approved, it is carried out at once."""

    async def work(pipes: Pipes, who: staff.Operator) -> payments.Case:
        return await payments.decide_case(pipes, site_id, case_id, who, verdict, reason=reason)

    try:
        decided = as_operator(token, work)
    except staff.ApprovalNotFound:
        first = f"cashier case resolve {site_id} {case_id} RESOLUTION --note ... --attachment ..."
        err.print("[bold red]error:[/] Nothing was proposed for this case; propose first with:")
        err.print(f"  {first}", markup=False)
        raise typer.Exit(1) from None
    typer.echo(_line(decided))


async def _amount(pipes: Pipes, site_id: int, case_id: str, typed: str) -> Money:
    """The amount of a proposal, which is in its payment's currency, named or not.

    Raises:
        CaseNotFound: no such case at this site.
        AmountMalformed, AmountOutOfRange: it cannot be read.
        BadParameter: the case is about no payment, or the amount is in another currency.
    """
    async with pipes.database.reading() as reader:
        its = await payments.case(reader, site_id, case_id)
        if its.payment_id is None:
            raise _wrong_amount("this case is about no payment, so nothing can be credited by it.")
        currency = (await payments.payment(reader, site_id, its.payment_id)).amount.currency
    figure, _, named = typed.strip().rpartition(" ")
    if not (figure and named.isalpha()):
        return Money.parse(typed.strip(), currency)
    if named.upper() != currency:
        raise _wrong_amount(f"the payment is in {currency}, so the amount must be too, not in {named}.")
    return Money.parse(figure.strip(), currency)


def _wrong_amount(why: str) -> typer.BadParameter:
    return typer.BadParameter(why, param_hint="--amount")


def _line(one: payments.Case) -> str:
    subject = one.payment_id or one.notice_id
    return (
        f"{one.case_id}  {one.kind.value}  {one.state.value}  {subject}  "
        f"at stake {one.exposure or 'unknown'}  {one.opened_at:%Y-%m-%d %H:%M}  {one.resolution}"
    )
