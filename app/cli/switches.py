"""Stop switches: what a person stops at once when something is wrong, and releases again."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from app import merchants, payments, staff
from app.cli.asking import done, group, out, told
from app.cli.staff import OperatorToken, actor
from app.plumbing import switches
from app.plumbing.database import Transaction

__all__ = ["switch"]

switch = group("Stop new deposits, withdrawals or refunds at a site, or everywhere.")
_Site = Annotated[int, typer.Argument(help="0: every site.")]
_Reason = Annotated[str, typer.Option(help="Why, for the diary.")]


class Switch(StrEnum):
    """What can be stopped; what is at a provider goes on."""

    DEPOSITS = payments.DEPOSITS
    PAYOUTS = payments.PAYOUTS
    REFUNDS = payments.REFUNDS


@switch.command("stop")
def stop(site_id: _Site, name: Switch, reason: _Reason, by: OperatorToken = "") -> None:
    """Stop something; what waits then waits until it is released."""
    _set(site_id, name, reason, by, stopped=True)
    out.print(f"{name} are stopped")


@switch.command("release")
def release(site_id: _Site, name: Switch, reason: _Reason, by: OperatorToken = "") -> None:
    """Let it go on; a stop for every site holds the site all the same."""
    _set(site_id, name, reason, by, stopped=False)
    out.print(f"{name} are released")


@switch.command("list")
def listed() -> None:
    """List every switch that was ever used."""
    for one in told(lambda reader, _: switches.all_switches(reader)):
        where = f"site {one.site_id}" if one.site_id else "every site"
        state = "stopped" if one.stopped else "released"
        typer.echo(
            f"{one.name}  {where}  {state}  {one.changed_at:%Y-%m-%d %H:%M}  {one.changed_by}  {one.reason}"
        )


def _set(site_id: int, name: Switch, reason: str, by: str, *, stopped: bool) -> None:
    staff.check_text("reason", reason)

    async def work(tx: Transaction, at: datetime) -> None:
        if site_id != switches.EVERY_SITE:
            await merchants.site(tx, site_id)
        who = await actor(tx, by)
        await switches.set_switch(tx, site_id, name, stopped=stopped, reason=reason, by=who, at=at)
        deed = "switch.stopped" if stopped else "switch.released"
        house = site_id or staff.HOUSE
        await staff.note(tx, house, actor=who, deed=deed, subject=name, detail={"reason": reason}, at=at)

    done(work)
