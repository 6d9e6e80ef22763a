"""Accounts at payment providers: open one, look at them, change one, switch it, give it another secret."""

import sys
from datetime import datetime
from typing import Annotated

import typer

from app import payments, providers
from app.cli.asking import done, group, out, private_peers, told_of
from app.cli.staff import OperatorToken, actor
from app.plumbing.database import Reader, Transaction
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

    async def work(
        reader: Reader, now: datetime
    ) -> tuple[list[tuple[providers.ProviderAccount, bool]], datetime]:
        return await providers.accounts_of_site(reader, site_id), now

    found, now = told_of(site_id, work)
    for one, is_on in found:
        pages = f"pages at {one.page_origin}" if one.page_origin else "pages anywhere"
        state = "on" if is_on else "off"
        until = one.former_secret_ends_at if one.before_rotation(now) else None
        former = f"  former secret until {until:%Y-%m-%d %H:%M} UTC" if until else ""
        typer.echo(f"{one.account}  {one.gateway}  {one.base_url}  {pages}  {state}{former}")


@provider.command("change")
def provider_change(
    site_id: int,
    name: _Name,
    url: Annotated[str | None, typer.Option(help="Where its interface is now.")] = None,
    merchant_id: Annotated[str | None, typer.Option(help="Our number at the provider.")] = None,
    page_origin: Annotated[
        str | None, typer.Option(help="The only https://host to which it may send players. Empty: any.")
    ] = None,
    with_orders: Annotated[
        bool, typer.Option("--with-orders", help="The orders that are under way are known there as well.")
    ] = False,
    token: OperatorToken = "",
) -> None:
    """Change where a provider is found, or as whom we come; what is not named stays as it is.

    It counts for orders that were placed before as well. For another contract open another account.
    """
    if url is None and merchant_id is None and page_origin is None:
        why = "name at least one of them, nothing would change without."
        raise typer.BadParameter(why, param_hint="--url, --merchant-id or --page-origin")
    peers = private_peers(Settings.read())
    change = providers.AccountChange(url, merchant_id, page_origin)

    async def work(tx: Transaction, at: datetime) -> None:
        by = await actor(tx, token)
        await payments.move_account(
            tx, site_id, name, change, with_orders=with_orders, by=by, at=at, allowed_private_peers=peers
        )

    done(work)
    out.print("changed")


@provider.command("switch-off")
def provider_switch_off(site_id: int, name: _Name, token: OperatorToken = "") -> None:
    """Let an account take no new orders; what was placed there before goes on."""
    is_new = _switched(site_id, name, token, enabled=False)
    said = "switched off" if is_new else "was switched off before"
    typer.echo(
        f"{said}: no new order goes there; withdrawals go by another account or wait, refunds wait; "
        "notices and questions about earlier orders still count"
    )


@provider.command("switch-on")
def provider_switch_on(site_id: int, name: _Name, token: OperatorToken = "") -> None:
    """Let an account take new orders again; what waited for it is sent within minutes."""
    is_new = _switched(site_id, name, token, enabled=True)
    said = "switched on" if is_new else "was switched on before"
    typer.echo(f"{said}: new orders go there, and what waited for it")


def _switched(site_id: int, name: str, token: str, *, enabled: bool) -> bool:
    async def work(tx: Transaction, at: datetime) -> bool:
        by = await actor(tx, token)
        return await providers.switch_account(tx, site_id, name, enabled=enabled, by=by, at=at)

    return done(work)


@provider.command("rotate-secret")
def provider_rotate_secret(
    site_id: int,
    name: _Name,
    overlap_hours: Annotated[
        int, typer.Option(help="How long notices may still be signed with the one before. 0: it has leaked.")
    ] = providers.OVERLAP_HOURS,
    keep_former: Annotated[
        bool,
        typer.Option("--keep-former", help="The one until now was a mistake: that before it stays."),
    ] = False,
    token: OperatorToken = "",
) -> None:
    """Sign with another secret at an account from now on; notices with the one before count for a while."""
    secret = _secret()

    async def work(tx: Transaction, at: datetime) -> datetime | None:
        by = await actor(tx, token)
        return await providers.rotate_secret(
            tx, site_id, name, secret, by=by, at=at, overlap_hours=overlap_hours, keep_former=keep_former
        )

    until = done(work)
    former = f"good for notices until {until:%Y-%m-%d %H:%M} UTC" if until else "good for nothing any more"
    out.print(f"rotated; the secret before is {former}")
    if until:
        out.print(f"has it leaked? cashier provider end-former-secret {site_id} {name}")


@provider.command("end-former-secret")
def provider_end_former_secret(site_id: int, name: _Name, token: OperatorToken = "") -> None:
    """End the secret before at once: it has leaked, or the provider's side is changed."""

    async def work(tx: Transaction, at: datetime) -> bool:
        return await providers.end_former_secret(tx, site_id, name, by=await actor(tx, token), at=at)

    out.print("ended" if done(work) else "there was none that was still good")


def _secret() -> str:
    """The secret as it is typed, unseen, or as it is piped in; blanks around it are none of it."""
    if _is_typed():
        return str(typer.prompt("Secret", hide_input=True, default="", show_default=False, err=True)).strip()
    return sys.stdin.buffer.read().decode(errors="surrogateescape").strip()


def _is_typed() -> bool:
    return sys.stdin.isatty()
