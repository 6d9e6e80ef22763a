"""Merchants' sites: open one, look at it, what it offers, its salt, tokens, and its wallet's mode."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from app import merchants, methods, payments, staff, wallet
from app.cli.asking import NAME_IT, done, err, group, out, private_peers, told, told_of, with_pipes
from app.cli.staff import OperatorToken, actor
from app.demo.facts import Demo
from app.demo.seed import offer_everything
from app.kernel.money import Money
from app.kernel.signing import Dialect
from app.plumbing.database import Reader, Transaction
from app.settings import Settings

__all__ = ["site", "token"]

site = group("Merchants' sites.")
token = group("API tokens.")


class _Told(StrEnum):
    EVERY_CHANGE = "every-change"
    FINAL_STATES = "final-states"


@site.command("create")
def site_create(
    name: Annotated[str, typer.Option(help="What players see.")],
    currency: Annotated[list[str], typer.Option(help="ISO 4217 code; repeat for several.")],
    callout_url: Annotated[str, typer.Option(help="Where check_deposit is sent.")],
    notify_url: Annotated[str, typer.Option(help="Where notifications are sent.")],
    notify_failure_url: Annotated[str, typer.Option(help="Another address for failures.")] = "",
    callback_url: Annotated[
        str, typer.Option(help="Seamless Callback URL; empty = balance transfer mode.")
    ] = "",
    frame_origin: Annotated[
        list[str] | None, typer.Option(help="Origin that may frame the cashier; repeat.")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="en, ru, kk; repeat, the first is the default.")
    ] = None,
    message_format: Annotated[merchants.MessageFormat, typer.Option(help="How our messages are encoded.")] = (
        merchants.MessageFormat.JSON
    ),
    dialect: Annotated[Dialect, typer.Option(help="Dialect of the signature rule.")] = Dialect.G,
    *,
    extended_info: Annotated[bool, typer.Option(help="Full set of notification fields.")] = False,
    tell_every_change: Annotated[
        bool, typer.Option("--tell-every-change", help="Notify of every change, not of final states only.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    by: OperatorToken = "",
) -> None:
    """Open a site and print its secrets, once.

    On a running demo it offers every method by the sandbox provider.
    """
    settings = Settings.read()
    demo = None if settings.production else Demo.read(settings.data_dir / "demo.json")
    peers = private_peers(settings)
    new = merchants.NewSite(
        name=name,
        currencies=tuple(code.upper() for code in currency),
        callout_url=callout_url,
        notify_url=notify_url,
        notify_failure_url=notify_failure_url,
        callback_url=callback_url,
        frame_origins=tuple(frame_origin or ()),
        languages=tuple(language or ("en", "ru", "kk")),
        message_format=message_format,
        dialect=dialect.value,
        extended_info=extended_info,
        tell_every_change=tell_every_change,
        is_test=demo is not None,
    )

    made = done(lambda tx, at: _opened(tx, new, demo, peers, by, at))
    _show_once(made, as_json=as_json)
    if demo is not None and settings.allowed_private_peers - demo.peers:
        err.print(f"[bold yellow]note:[/] the demo that runs may not call every address here. {NAME_IT}")


async def _opened(
    tx: Transaction,
    new: merchants.NewSite,
    demo: Demo | None,
    peers: frozenset[tuple[str, int]],
    by: str,
    at: datetime,
) -> merchants.CreatedSite:
    who = await actor(tx, by)
    created = await merchants.create_site(tx, new, at=at, allowed_private_peers=peers)
    detail = {"name": new.name, "currencies": list(new.currencies)}
    await _note(tx, created.site_id, who, "site.created", "site", detail, at)
    if demo is not None:
        url, secret = demo.sandbox_url, demo.sandbox_secret
        for code in new.currencies:
            await offer_everything(tx, created.site_id, code, sandbox_url=url, secret=secret, peers=peers)
    return created


def _show_once(made: merchants.CreatedSite, *, as_json: bool) -> None:
    """Print the secrets of a new site."""
    if as_json:
        secrets = {"site_id": made.site_id, "salt": made.salt, "tokens": made.tokens}
        sys.stdout.write(json.dumps(secrets | {"webhook_secret": made.webhook_secret}) + "\n")
        return
    out.print(f"site {made.site_id}: these are shown once")
    out.print(f"  salt            {made.salt}\n  webhook secret  {made.webhook_secret}")
    for scope, value in made.tokens.items():
        out.print(f"  token {scope:<9} {value}")


@site.command("show")
def site_show(site_id: int) -> None:
    """Print a site's settings, without its secrets."""
    out.print_json(data=merchants.shown(told(lambda reader, _: merchants.site(reader, site_id))))


@site.command("rotate-salt")
def site_rotate_salt(site_id: int, by: OperatorToken = "") -> None:
    """Sign with a new salt; the one before is accepted for 48 hours more."""

    async def work(tx: Transaction, at: datetime) -> str:
        who = await actor(tx, by)
        salt = await merchants.rotate_salt(tx, site_id, at=at)
        await _note(tx, site_id, who, "site.salt_rotated", "site", {}, at)
        return salt

    out.print(done(work))


@site.command("tell")
def site_tell(
    site_id: int,
    of: Annotated[_Told, typer.Argument(help="What notifications tell of.")],
    by: OperatorToken = "",
) -> None:
    """Notify a site of every change of a payment, or of its final states only."""

    async def work(tx: Transaction, at: datetime) -> None:
        who = await actor(tx, by)
        await merchants.set_tell_every_change(tx, site_id, of is _Told.EVERY_CHANGE, at=at)
        await _note(tx, site_id, who, "site.notified_of", "site", {"of": of.value}, at)

    done(work)
    out.print(f"notified of {of.value.replace('-', ' ')}")


@site.command("offer")
def site_offer(
    site_id: int,
    currency: str,
    method: Annotated[str, typer.Argument(help="A code, as card or e_wallet.")],
    account: Annotated[str, typer.Argument(help="The provider account that carries it out.")],
    minimum: Annotated[str, typer.Option(help="The smallest payment, as in 500 or 1.50.")],
    maximum: Annotated[str, typer.Option(help="The largest one.")],
    direction: Annotated[methods.Direction, typer.Option(help="To pay in, or out.")] = (
        methods.Direction.DEPOSIT
    ),
    position: Annotated[
        int | None, typer.Option(min=0, max=1000, help="Its place on the page. None: where it is.")
    ] = None,
    token: OperatorToken = "",
) -> None:
    """Offer a method to a site's players, or change the limits, account and place of one that is offered."""
    code = currency.upper()
    if method not in methods.CATALOGUE:
        raise methods.MethodUnavailable(method=method)
    low, high = Money.parse(minimum, code), Money.parse(maximum, code)
    wanted = methods.Offer(methods.CATALOGUE[method], low, high, account, 0, direction)

    async def work(tx: Transaction, at: datetime) -> methods.Offer:
        by = await actor(tx, token)
        return await payments.set_offer(tx, site_id, wanted, by=by, at=at, position=position)

    now_is = done(work)
    typer.echo(f"{method}  {direction}  {now_is.minimum} to {now_is.maximum}  {', '.join(now_is.accounts)}")


@site.command("stop-offering")
def site_stop_offering(
    site_id: int,
    currency: str,
    method: Annotated[str, typer.Argument(help="A code, as card or e_wallet.")],
    direction: Annotated[methods.Direction, typer.Option(help="To pay in, or out.")] = (
        methods.Direction.DEPOSIT
    ),
    token: OperatorToken = "",
) -> None:
    """Offer a method no more, until `site offer` offers it again.

    Payments that are under way go on at the account where they are.
    """

    async def work(tx: Transaction, at: datetime) -> methods.Offer:
        by = await actor(tx, token)
        return await payments.stop_offering(
            tx, site_id, currency.upper(), method, by=by, at=at, direction=direction
        )

    was = done(work)
    typer.echo(
        f"{method}  {direction}  {was.minimum.currency}  offered no more; "
        "payments under way go on where they are, and no next account is chosen for them"
    )


@site.command("accounts")
def site_accounts(
    site_id: int,
    currency: str,
    method: Annotated[str, typer.Argument(help="A code, as card or e_wallet.")],
    account: Annotated[
        list[str] | None, typer.Argument(help="Provider accounts, the first to be asked first. None: print.")
    ] = None,
    direction: Annotated[methods.Direction, typer.Option(help="To pay in, or out.")] = (
        methods.Direction.DEPOSIT
    ),
    token: OperatorToken = "",
) -> None:
    """Print through which provider accounts a method goes; those that are named take their place before.

    After a definite failure at one of them the next is asked, never after a doubt (docs/payments.md).
    """
    code = currency.upper()

    async def work(tx: Transaction, at: datetime) -> tuple[methods.Offer, int]:
        most = (await merchants.site(tx, site_id)).most_attempts
        if not account:
            return await methods.offer(tx, site_id, code, method, direction=direction), most
        by = await actor(tx, token)
        found = await payments.set_accounts(
            tx, site_id, code, method, account, by=by, at=at, direction=direction
        )
        return found, most

    found, most = done(work)
    for place, name in enumerate(found.accounts, 1):
        typer.echo(f"{place}  {name}" + ("  never asked: see site attempts" if place > most else ""))


@site.command("attempts")
def site_attempts(
    site_id: int,
    most: Annotated[
        int | None, typer.Argument(help="1: only the first account is asked. None: print.")
    ] = None,
    token: OperatorToken = "",
) -> None:
    """Print at how many provider accounts one payment is tried at most; a number changes it before."""

    async def work(tx: Transaction, at: datetime) -> int:
        if most is not None:
            await payments.set_most_attempts(tx, site_id, most, by=await actor(tx, token), at=at)
        return (await merchants.site(tx, site_id)).most_attempts

    typer.echo(f"at most {done(work)}")


@token.command("create")
def token_create(site_id: int, scope: merchants.Scope, label: str = "", by: OperatorToken = "") -> None:
    """Print a new API token, once."""

    async def work(tx: Transaction, at: datetime) -> str:
        who = await actor(tx, by)
        await merchants.site(tx, site_id)
        made, secret = await merchants.create_token(tx, site_id, scope, at=at, label=label)
        detail = {"scope": scope.value, "label": label}
        await _note(tx, site_id, who, "api_token.created", made.token_id, detail, at)
        return secret

    out.print(done(work))


@token.command("list")
def token_list(site_id: int) -> None:
    """List a site's tokens, the oldest first; a token itself is kept nowhere."""
    for one in told_of(site_id, lambda reader, _: merchants.tokens_of(reader, site_id)):
        ended = f"  revoked {one.revoked_at:%Y-%m-%d %H:%M}" if one.revoked_at else ""
        typer.echo(
            f"{one.token_id}  {one.scope.value:<6}  {one.created_at:%Y-%m-%d %H:%M}  {one.label}{ended}"
        )


@token.command("revoke")
def token_revoke(
    site_id: int,
    token_id: Annotated[str, typer.Argument(help="As listed: tok_...")],
    by: OperatorToken = "",
) -> None:
    """End a token, within two seconds; it cannot be taken back."""

    async def work(tx: Transaction, at: datetime) -> merchants.Token:
        who = await actor(tx, by)
        await merchants.site(tx, site_id)
        ended = await merchants.revoke_token(tx, site_id, token_id, at=at)
        detail = {"scope": ended.scope.value, "label": ended.label}
        await _note(tx, site_id, who, "api_token.revoked", token_id, detail, at)
        return ended

    out.print(f"revoked: {done(work).scope.value}")


@site.command("wallet-mode")
def site_wallet_mode(
    site_id: int,
    callback_url: Annotated[str, typer.Option(help="None: balance transfer mode.")] = "",
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what stands in the way.")] = False,
    by: OperatorToken = "",
) -> None:
    """Change who keeps the players' balances; refused while payments are under way.

    Into seamless mode also while there is money or an open round. That takes some seconds, in which whatever
    still comes sets it back.
    """
    peers = Settings.read().allowed_private_peers

    async def others(reader: Reader, of: int) -> list[str]:
        found = await payments.under_way(reader, of)
        return [f"{many} {kind}(s) of the cashier are not over" for kind, many in found.items()]

    who = told(lambda reader, _: actor(reader, by))
    found = with_pipes(
        lambda pipes: wallet.switch_mode(
            pipes, site_id, callback_url, others, is_trial=dry_run, allowed_private_peers=peers, by=who
        )
    )
    for blocker in found.blockers:
        err.print(f"in the way: {blocker}")
    if found.was_set_back:
        out.print("it came while the mode was changed: the site is in balance transfer mode, as before")
    else:
        out.print("nothing was changed" if found.blockers or dry_run else "changed")
    raise typer.Exit(1 if found.blockers else 0)


async def _note(
    tx: Transaction,
    site_id: int,
    who: str,
    deed: str,
    subject: str,
    detail: Mapping[str, object],
    at: datetime,
) -> None:
    await staff.note(tx, site_id, actor=who, deed=deed, subject=subject, detail=detail, at=at)
