"""Deposits at the desk: where a player's money is, and what happened on its way."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy.engine import Row

from app import merchants, payments, players
from app.cli.asking import group, told
from app.cli.histories import event_line, logins_of
from app.kernel.masking import mask_text
from app.payments.api_schemas import payment_object
from app.payments.casebook import case_page
from app.payments.listing import Wanted, page
from app.plumbing.database import Reader

__all__ = ["deposit"]

deposit = group("Deposits.")
_AT_ONCE = 100  # cases of one deposit; it seldom has two
AsJson = Annotated[bool, typer.Option("--json", help="For programs; amounts in minor units.")]


@dataclass(frozen=True, slots=True)
class _Known:
    """All that is known of a deposit."""

    found: payments.Payment
    login: str
    history: Sequence[Row[Any]]
    tries: Sequence[payments.Attempt]
    refunds: Sequence[payments.Payment]
    cases: Sequence[payments.Case]
    operators: Mapping[str, str]


@deposit.command("list")
def deposit_list(
    site_id: int,
    player: Annotated[str, typer.Option(help="Only this player's: the login at the site.")] = "",
    order: Annotated[str, typer.Option(help="Only of this order number of the merchant.")] = "",
    status: Annotated[
        list[payments.Status] | None, typer.Option(help="Only these; repeat for several. None: all.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    *,
    attention: Annotated[
        bool, typer.Option("--attention", help="Only those that somebody should look at.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the deposits of a site, newest first."""
    wanted = Wanted(
        kinds=(payments.Kind.DEPOSIT,),
        statuses=status or (),
        site_login=player or None,
        external_id=order or None,
        needs_attention=attention,
    )

    async def work(reader: Reader, _: datetime) -> tuple[list[payments.Payment], bool, dict[str, str]]:
        await merchants.site(reader, site_id)
        found = await page(reader, site_id, wanted, limit=limit)
        logins = await players.logins(reader, site_id, {one.player_id for one in found.payments})
        return found.payments, found.has_more, logins

    found, has_more, logins = told(work)
    if as_json:
        data = [_plain(one, logins[one.player_id]) for one in found]
        typer.echo(json.dumps({"data": data, "has_more": has_more}))
        return
    for one in found:
        typer.echo(_line(one, logins[one.player_id]))
    if has_more:
        typer.echo(f"There are older ones: these are the newest {limit} (--limit).", err=True)


@deposit.command("show")
def deposit_show(site_id: int, deposit_id: str, *, as_json: AsJson = False) -> None:
    """Print all that is known of a deposit: its money, its tries, its cases, all that happened."""

    async def work(reader: Reader, _: datetime) -> _Known:
        found = await payments.payment(reader, site_id, deposit_id, kind=payments.Kind.DEPOSIT)
        logins = await players.logins(reader, site_id, {found.player_id})
        cases = [
            one
            for state in payments.CaseState
            for one in (
                await case_page(reader, site_id, state=state, limit=_AT_ONCE, payment_id=deposit_id)
            ).cases
        ]
        return _Known(
            found,
            logins[found.player_id],
            await payments.events(reader, site_id, deposit_id),
            await payments.attempts_of(reader, found),
            await payments.refunds_of(reader, site_id, deposit_id),
            cases,
            await logins_of(reader),
        )

    known = told(work)
    if not as_json:
        typer.echo("\n".join(_lines(known)))
        return
    shown = _plain(known.found, known.login, events=known.history, attempts=known.tries)
    shown["refunds"] = [one.payment_id for one in known.refunds]
    for state in payments.CaseState:
        shown[f"{state.value}_cases"] = [one.case_id for one in known.cases if one.state is state]
    typer.echo(json.dumps(shown))


def _plain(found: payments.Payment, login: str, **more: Sequence[Any]) -> dict[str, Any]:
    """As our API says it to a person, with the player's login."""
    shown = payment_object(found, is_staff=True, **more)
    return {**shown.model_dump(mode="json", exclude_none=True), "site_login": login}


def _line(one: payments.Payment, login: str) -> str:
    why = f"  !{one.attention.value}" if one.attention else ""
    return (
        f"{one.payment_id}  {one.created_at:%Y-%m-%d %H:%M}  {one.amount}  {login}  {one.method}  "
        f"{_state(one)}{why}"
    )


def _lines(known: _Known) -> list[str]:
    one = known.found
    order, theirs = one.external_id or "none yet", mask_text(one.provider_reference or "none yet")
    told = {
        "numbers": f"transaction {one.number}  order {order}  provider's {theirs} at {one.account}",
        "money": (
            f"credited {one.captured}  refund pending {one.refund_pending}  refunded {one.refunded}  "
            f"charged back {one.charged_back}"
        ),
        "reason": mask_text(" ".join(filter(None, (one.reason_code, one.reason)))),
        "goes on": f"at {one.next_account}" if one.next_account else "",
        "next look": f"{one.ask_at:%Y-%m-%d %H:%M:%S}" if one.ask_at else "",
    }
    lines = [(name, text) for name, text in told.items() if text]
    lines += [("try", _tried(tried)) for tried in known.tries]  # in their order
    lines += [("refund", f"{back.payment_id}  {back.amount}  {_state(back)}") for back in known.refunds]
    lines += [("case", _case(case)) for case in known.cases]
    return [
        _line(one, known.login),
        *(f"{name:<9}  {text}" for name, text in lines),
        *(event_line(row, known.operators) for row in known.history),
    ]


def _state(one: payments.Payment) -> str:
    return f"{one.status.value}/{one.sub_status.value}"


def _tried(tried: payments.Attempt) -> str:
    return f"{tried.attempt_id}  at {tried.account}  {mask_text(tried.outcome)}"


def _case(case: payments.Case) -> str:
    ended = f", resolved as {case.resolution}" if case.resolution else ""
    return f"{case.case_id}  {case.kind.value}{ended}: cashier case show {case.site_id} {case.case_id}"
