"""Accounts at payment providers: open one, look at them, give one another secret."""

import sys
from datetime import datetime
from typing import Annotated

import typer

from app import providers
from app.cli.asking import done, group, out, private_peers, told_of
from app.cli.staff import OperatorToken, actor
from app.plumbing.database import Transaction
from app.settings import Settings

__all__ = ["provider"]

provider = group("Accounts at payment providers; a secret is asked for, or read from standard input.")
_Name = Annotated[str, typer.Argument(help="How orders of accounts and the diary call it.")]


@provider.command("open")
def provider_open(
    site_id: int,
    name: _Name,
    gateway: Annotated[str, typer.Option(help="Which kind of provider.")],
    url: Annotated[str, typer.Option(help="Where the provider's interface is.")],
    merchant_id: Annotated[str, typer.Option(help="Our number at the provider.")],
    page_origin: Annotated[
        str, typer.Option(help="The only https://host to which it may send players. None: any.")
    ] = "",
    token: OperatorToken = "",
) -> None:
    """Open a provider account for a site; `site offer` lets players use it.

    The secret is no argument, which a shell would remember: it is asked for, or read from standard input.
    """
    peers = private_peers(Settings.read())
    new = providers.NewAccount(name, gateway, url, merchant_id, _secret(), page_origin)

    async def work(tx: Transaction, at: datetime) -> None:
        by = await actor(tx, token)
        await providers.open_account(tx, site_id, new, by=by, at=at, allowed_private_peers=peers)

    done(work)
    out.print(f"opened; notices of it come to /notices/{site_id}/{name}")


@provider.command("list")
def provider_list(site_id: int) -> None:
    """List a site's provider accounts, without their secrets."""
    for one, is_on in told_of(site_id, lambda reader, _: providers.accounts_of_site(reader, site_id)):
        pages = f"pages at {one.page_origin}" if one.page_origin else "pages anywhere"
        state = "on" if is_on else "off"
        typer.echo(f"{one.account}  {one.gateway}  {one.base_url}  {pages}  {state}")


@provider.command("rotate-secret")
def provider_rotate_secret(site_id: int, name: _Name, token: OperatorToken = "") -> None:
    """Use another secret at an account from now on; the one before ends at once."""
    secret = _secret()

    async def work(tx: Transaction, at: datetime) -> None:
        by = await actor(tx, token)
        await providers.rotate_secret(tx, site_id, name, secret, by=by, at=at)

    done(work)
    out.print("rotated")


def _secret() -> str:
    """The secret as it is typed, unseen, or as it is piped in; blanks around it are none of it."""
    if _is_typed():
        return str(typer.prompt("Secret", hide_input=True, default="", show_default=False, err=True)).strip()
    return sys.stdin.buffer.read().decode(errors="surrogateescape").strip()


def _is_typed() -> bool:
    return sys.stdin.isatty()
