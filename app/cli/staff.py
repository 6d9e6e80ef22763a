"""The desk: who sits at it, what waits for people, and what was noted."""

import getpass
import json
import os
import re
from datetime import datetime
from functools import partial
from typing import Annotated

import typer

from app import merchants, staff
from app.cli.asking import done, err, group, out, told, told_of
from app.plumbing.database import Reader, Transaction
from app.plumbing.pipes import Pipes

__all__ = ["HouseRightNeeded", "OperatorToken", "acting", "actor", "operator", "register"]

operator = group("People at the desk.")
_LOGIN_LENGTH = 64

OperatorToken = Annotated[
    str,
    typer.Option(
        "--token",
        envvar="CASHIER_OPERATOR_TOKEN",
        show_envvar=True,
        help="Whose deed it is: an operator's token.",
    ),
]


class HouseRightNeeded(staff.NotPermitted):
    """The operator {login} may not do this: it needs the right {right}, at every site."""


@operator.command("create")
def operator_create(
    login: str,
    role: Annotated[list[staff.Role], typer.Option(help="Repeat for several; they never change.")],
    name: Annotated[str, typer.Option(help="What colleagues read; none: the login.")] = "",
    site: Annotated[list[int] | None, typer.Option(help="Only this site; repeat. None: all.")] = None,
    by: OperatorToken = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Let somebody sit at the desk and print the token, once."""
    sites = None if site is None else frozenset(site)
    new = staff.NewOperator(login, name or login, frozenset(role), sites)

    async def work(tx: Transaction, at: datetime) -> tuple[staff.Operator, str]:
        return await staff.create_operator(tx, new, at=at, by=await actor(tx, by))

    made, token = done(work)
    if as_json:
        typer.echo(json.dumps({"operator_id": made.operator_id, "login": made.login, "token": token}))
        return
    out.print(f"operator {made.login} ({made.operator_id}): the token is shown once\n  {token}")


@operator.command("list")
def operator_list() -> None:
    """List everybody who sits or sat at the desk."""
    for one in told(lambda reader, _: staff.operators_of(reader)):
        where = "all sites" if one.sites is None else f"sites {', '.join(map(str, sorted(one.sites)))}"
        roles = ", ".join(sorted(one.roles))
        typer.echo(f"{one.login}  {one.operator_id}  {roles}  {where}{'' if one.enabled else '  disabled'}")


@operator.command("disable")
def operator_disable(login: str, by: OperatorToken = "") -> None:
    """Send somebody away from the desk, at once and for good; what they voted stays."""

    async def work(tx: Transaction, at: datetime) -> bool:
        found = await _of_login(tx, login)
        return await staff.disable_operator(tx, found.operator_id, at=at, by=await actor(tx, by))

    out.print("disabled" if done(work) else "was disabled before")


@operator.command("token")
def operator_token(login: str, by: OperatorToken = "") -> None:
    """Print a new token, once; the one before ends at once."""

    async def work(tx: Transaction, at: datetime) -> str:
        found = await _of_login(tx, login)
        return await staff.new_token(tx, found.operator_id, at=at, by=await actor(tx, by))

    out.print(done(work))


def approvals(site_id: int) -> None:
    """List what waits for people at a site, the longest waiting first."""

    async def work(reader: Reader, now: datetime) -> tuple[list[staff.Approval], datetime]:
        await merchants.site(reader, site_id)
        return await staff.open_approvals(reader, site_id), now

    found, now = told(work)
    for one in found:
        until = "expired" if now >= one.expires_at else f"until {one.expires_at:%Y-%m-%d %H:%M}"
        typer.echo(
            f"{one.kind.value}  {one.subject}  {one.approval_id}  asked by {one.maker}  "
            f"needs {one.still_needed} of {one.people_needed}  {until}  "
            f"{json.dumps(one.content, sort_keys=True)}"
        )


def diary(
    site_id: Annotated[int, typer.Argument(help="0: the house's own, where operators come and go.")],
    subject: Annotated[str, typer.Option(help="Only what is about this id.")] = "",
    before: Annotated[int | None, typer.Option(help="Only lines older than this number.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="Derive its chain anew; status 1 if a line was changed.")
    ] = False,
) -> None:
    """Print a site's diary, newest first: who did what, and why."""
    asked = told if site_id == staff.HOUSE else partial(told_of, site_id)
    if verify:
        report = asked(lambda reader, _: staff.verify_diary(reader, site_id))
        for fault in report.faults:
            err.print(f"[bold red]violated[/] {fault}")
        out.print(f"{report.lines} lines, sealed up to {report.head.hex()}")
        raise typer.Exit(1 if report.faults else 0)
    lines = asked(
        lambda reader, _: staff.diary(reader, site_id, subject=subject or None, before=before, limit=limit)
    )
    for line in lines:
        typer.echo(
            f"{line.number}  {line.recorded_at:%Y-%m-%d %H:%M:%S}  {line.actor}  {line.deed}  "
            f"{line.subject}  {json.dumps(line.detail, sort_keys=True)}"
        )


def register(program: typer.Typer) -> None:
    """Add the desk's commands to the command line."""
    program.add_typer(operator, name="operator")
    program.command("approvals")(approvals)
    program.command("diary")(diary)


async def acting(pipes: Pipes, token: str) -> staff.Operator:
    """Whose deed it is, by the token.

    Raises:
        BadParameter: there is none.
        OperatorNotAuthentic: nobody's token.
    """
    if not token:
        why = "this is an operator's to do; `cashier operator create LOGIN --role ROLE` makes a token."
        raise typer.BadParameter(why, param_hint="--token or CASHIER_OPERATOR_TOKEN")
    async with pipes.database.reading() as reader:
        return await staff.authentic(reader, token)


async def _of_login(reader: Reader, login: str) -> staff.Operator:
    found = await staff.operators_of(reader, login=login)
    if not found:
        raise staff.OperatorNotFound
    return found[0]


async def actor(
    reader: Reader,
    token: str,
    *,
    right: staff.Right = staff.Right.STAFF_MANAGE,
    site_id: int = staff.HOUSE,
) -> str:
    """Whose deed it is: the operator whose token it is, if he may, else the login of this machine."""
    if not token:
        return f"machine:{_machine_login()}"
    found = await staff.authentic(reader, token)
    try:
        staff.require(found, right, site_id)
    except staff.NotPermitted as refusal:
        if site_id != staff.HOUSE:
            raise
        raise HouseRightNeeded(login=found.login, right=right.value) from refusal
    return found.actor


def _machine_login() -> str:
    try:
        login = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number that has no name
        login = f"uid-{os.getuid()}"
    return re.sub("[^A-Za-z0-9._-]", "_", login)[:_LOGIN_LENGTH]
