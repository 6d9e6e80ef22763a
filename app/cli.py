"""The `cashier` command: run the processes, open sites, look after the ledger and the webhooks."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from app import ledger, merchants, openapi, players, webhooks, wiring, worker
from app.demo.facts import Demo
from app.demo.prepare import DATABASE
from app.demo.seed import offer_everything
from app.kernel.errors import Refusal
from app.kernel.money import MAX_MINOR, Money
from app.kernel.signing import Dialect
from app.main import run as serve_web
from app.plumbing import embedded, schema
from app.plumbing.addresses import BadPeerAddress
from app.plumbing.database import CommitUnknown, DatabaseDown, NotCommitted, Reader, Transaction
from app.plumbing.pipes import Pipes
from app.settings import BadSetting, Settings
from app.wallet import audit
from app.wallet.contract import Refused
from app.wallet.operations import add_game, decide
from app.wallet.queries import Game
from app.wallet.rounds import stuck_rounds
from app.wallet.sweeps import grant_bonus
from app.wallet.terms import Code

__all__ = ["main"]

T = TypeVar("T")
R = TypeVar("R", bound=Reader)
program = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)
site = typer.Typer(help="Merchants' sites.", no_args_is_help=True)
token = typer.Typer(help="API tokens.", no_args_is_help=True)
webhook = typer.Typer(help="Notifications to merchants.", no_args_is_help=True)
player = typer.Typer(help="Players of a site.", no_args_is_help=True)
purse = typer.Typer(help="Players' money and how it is played with.", no_args_is_help=True)
game = typer.Typer(help="Games of a site's catalogue.", no_args_is_help=True)
for _name, _group in {"site": site, "token": token, "webhooks": webhook, "player": player}.items():
    program.add_typer(_group, name=_name)
program.add_typer(purse, name="wallet")
purse.add_typer(game, name="game")
_out = Console(highlight=False, soft_wrap=True)
_err = Console(stderr=True, highlight=False, soft_wrap=True)
_BECOMES = {"block": "blocked", "unblock": "active", "close": "closed"}
_NAME_IT = (
    "In a demo an address of your own machine is named, as host:port, in CASHIER_ALLOWED_PRIVATE_PEERS "
    "when `cashier up` starts."
)


def main() -> None:
    """Run a command; what goes wrong is one sentence, and status 1."""
    try:
        program()
    except BadPeerAddress as error:
        _err.print(f"[bold red]error:[/] {error} {_NAME_IT}")
        sys.exit(1)
    except CommitUnknown as error:
        _err.print(f"[bold red]error:[/] {error}; it may have happened. Look before you run it again.")
        sys.exit(1)
    except NotCommitted as error:
        _err.print(f"[bold red]error:[/] {error}; nothing was changed.")
        sys.exit(1)
    except (BadSetting, Refusal, Refused, DatabaseDown) as error:
        _err.print(f"[bold red]error:[/] {error}")
        sys.exit(1)


@program.command("up")
def everything() -> None:
    """Start everything on this machine: PostgreSQL, cashier, worker, demo shop and sandbox provider."""
    # This process has imported every room; the supervisor, which runs for days, needs none of them.
    os.execv(sys.executable, [sys.executable, "-m", "app.demo.up"])  # noqa: S606  our own module


@program.command()
def web(
    processes: Annotated[int, typer.Option(min=1, help="Web processes sharing the port.")] = 1,
) -> None:
    """Run the web process."""
    settings = Settings.read()
    _require_database(settings)
    serve_web(settings, processes=processes)


@program.command("worker")
def work() -> None:
    """Run the job process."""
    settings = Settings.read()
    _require_database(settings)
    asyncio.run(worker.serve(settings))


@program.command()
def migrate() -> None:
    """Bring the database to the newest revision."""
    settings = _reachable(Settings.read())
    schema.upgrade(settings.database_url)
    _out.print(f"at {schema.newest_revision()}")


@program.command()
def verify(
    *,
    full: Annotated[
        bool, typer.Option("--full", help="From the first row, not from the last verified one.")
    ] = False,
) -> None:
    """Re-derive the ledger's invariants; status 1 at the first violation."""

    async def verified(tx: Transaction) -> ledger.Report:
        return await ledger.checkpoint(tx, full=full)

    async def work(pipes: Pipes) -> ledger.Report:
        return await pipes.database.retried(verified)

    report = _with_pipes(work)
    for invariant, rows in report.checked.items():
        _out.print(f"{invariant}  {rows:>10} rows")
    for violation in report.violations:
        _err.print(
            f"[bold red]{violation.invariant} violated[/] at site {violation.site_id}: {violation.what}"
        )
    for site_id, head in report.heads.items():
        _out.print(f"site {site_id} sealed up to {head.number}: {head.head.hex()}")
    raise typer.Exit(0 if report.ok else 1)


@program.command("openapi")
def golden(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Compare, write nothing; status 1 on a difference.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where the documents are.")] = Path("openapi"),
) -> None:
    """Write the API's documents, or compare them byte for byte."""
    different = openapi.differences(folder)
    if check:
        for name in different:
            _err.print(f"{folder / name} is not what the code says; run `cashier openapi`")
        raise typer.Exit(1 if different else 0)
    openapi.write(folder)


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
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Open a site and print its secrets, once.

    On a running demo it offers every method by the sandbox provider.
    """
    settings = Settings.read()
    demo = None if settings.production else Demo.read(settings.data_dir / "demo.json")
    peers = settings.allowed_private_peers | (demo.peers if demo else frozenset())
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
        is_test=demo is not None,
    )

    async def work(tx: Transaction, at: datetime) -> merchants.CreatedSite:
        created = await merchants.create_site(tx, new, at=at, allowed_private_peers=peers)
        if demo is not None:
            url, secret = demo.sandbox_url, demo.sandbox_secret
            for code in new.currencies:
                await offer_everything(tx, created.site_id, code, sandbox_url=url, secret=secret, peers=peers)
        return created

    made = _done(work)
    if demo is not None and settings.allowed_private_peers - demo.peers:
        _err.print(f"[bold yellow]note:[/] the demo that runs may not call every address here. {_NAME_IT}")
    _show_once(made, as_json=as_json)


def _show_once(made: merchants.CreatedSite, *, as_json: bool) -> None:
    """Print the secrets of a new site."""
    if as_json:
        secrets = {"site_id": made.site_id, "salt": made.salt, "tokens": made.tokens}
        sys.stdout.write(json.dumps(secrets | {"webhook_secret": made.webhook_secret}) + "\n")
        return
    _out.print(f"site {made.site_id}: these are shown once")
    _out.print(f"  salt            {made.salt}\n  webhook secret  {made.webhook_secret}")
    for scope, value in made.tokens.items():
        _out.print(f"  token {scope:<9} {value}")


@site.command("show")
def site_show(site_id: int) -> None:
    """Print a site's settings, without its secrets."""
    _out.print_json(data=merchants.shown(_told(lambda reader, _: merchants.site(reader, site_id))))


@site.command("rotate-salt")
def site_rotate_salt(site_id: int) -> None:
    """Sign with a new salt; the one before is accepted for 48 hours more."""
    _out.print(_done(lambda tx, at: merchants.rotate_salt(tx, site_id, at=at)))


@token.command("create")
def token_create(site_id: int, scope: merchants.Scope, label: str = "") -> None:
    """Print a new API token, once."""

    async def work(tx: Transaction, at: datetime) -> str:
        await merchants.site(tx, site_id)
        return await merchants.create_token(tx, site_id, scope, at=at, label=label)

    _out.print(_done(work))


@webhook.command("replay")
def webhooks_replay(site_id: int, webhook_id: str) -> None:
    """Send a notification again from the start of its schedule, with the same id."""
    _done(lambda tx, at: webhooks.replay(tx, site_id, webhook_id, at=at))
    _out.print("queued")


@site.command("wallet-mode")
def site_wallet_mode(
    site_id: int,
    callback_url: Annotated[str, typer.Option(help="None: balance transfer mode.")] = "",
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what stands in the way.")] = False,
) -> None:
    """Change who keeps the players' balances; refused while there is money or an open round."""
    peers = Settings.read().allowed_private_peers

    async def work(tx: Transaction, at: datetime) -> list[str]:
        blockers = await audit.mode_blockers(tx, site_id)
        if not blockers and not dry_run:
            await merchants.set_callback_url(tx, site_id, callback_url, at=at, allowed_private_peers=peers)
        return blockers

    blockers = _done(work)
    for blocker in blockers:
        _err.print(f"in the way: {blocker}")
    _out.print("nothing was changed" if blockers or dry_run else "changed")
    raise typer.Exit(1 if blockers else 0)


@player.command("block")
@player.command("unblock")
@player.command("close")
def player_status(called: typer.Context, site_id: int, external_id: str) -> None:
    """Let a player play or not; wins and refunds reach everybody."""
    status = players.PlayerStatus(_BECOMES[called.info_name or ""])
    before = _done(lambda tx, _: players.set_status(tx, site_id, external_id, status))
    _out.print(f"{status.value}; was {before.value}")


@purse.command("policy")
def wallet_policy(
    site_id: int,
    decisions: Annotated[list[str] | None, typer.Argument(help="KEY=VALUE; none: show.")] = None,
    platform: Annotated[str, typer.Option(help="A game platform; none: the site itself.")] = "",
) -> None:
    """Decide something for a site or one platform there, and show what is decided."""
    _out.print_json(data=asdict(_done(lambda tx, at: decide(tx, site_id, platform, decisions or [], at=at))))


@purse.command("stuck")
def wallet_stuck(site_id: int) -> None:
    """List rounds that are open longer than the site allows."""
    for one in _told(lambda reader, now: stuck_rounds(reader, site_id, now=now)):
        typer.echo(one)


@purse.command("balances")
def wallet_balances(site_id: int) -> None:
    """List the players who have money, in minor units."""
    for one in _told(lambda reader, _: audit.players_with_balance(reader, site_id)):
        typer.echo(one)


@purse.command("closing")
def wallet_closing(site_id: int, day: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"])]) -> None:
    """Print a day's closing (UTC) by currency, as JSON in minor units; status 1 if it does not add up."""
    closings = _told(lambda reader, _: audit.closing(reader, site_id, day.date()))
    sys.stdout.write(json.dumps([one.told() for one in closings]) + "\n")
    raise typer.Exit(0 if all(one.is_balanced for one in closings) else 1)


@purse.command("grant-bonus")
def wallet_grant_bonus(
    site_id: int,
    external_id: str,
    currency: str,
    amount: Annotated[int, typer.Argument(min=1, max=MAX_MINOR, help="Minor units.")],
    key: Annotated[str, typer.Option("--id", help="Yours; the same id grants once.")],
) -> None:
    """Give a player bonus money."""
    bonus = Money(amount, currency)
    code, is_new = _with_pipes(lambda pipes: grant_bonus(pipes, site_id, external_id, bonus, key))
    _out.print(code.value if is_new else f"{code.value} (granted before)")
    raise typer.Exit(0 if code is Code.OK else 1)


@game.command("add")
def game_add(
    site_id: int,
    platform: str,
    code: str,
    name: Annotated[str, typer.Option(help="What players see.")],
    url: Annotated[str, typer.Option(help="Where the platform serves it; none: our demo table.")] = "",
    *,
    off: Annotated[bool, typer.Option("--off", help="It cannot be launched.")] = False,
) -> None:
    """List a game, or change how it is listed."""
    made = Game(platform, code, name, url, not off)
    _done(lambda tx, at: add_game(tx, site_id, made, at=at))
    _out.print("listed")


def _told(work: Callable[[Reader, datetime], Awaitable[T]]) -> T:
    """Ask one snapshot of the database."""
    return _with_pipes(lambda pipes: _inside(pipes.database.reading(), work, pipes))


def _done(work: Callable[[Transaction, datetime], Awaitable[T]]) -> T:
    """Do something in one transaction."""
    return _with_pipes(lambda pipes: _inside(pipes.database.transaction(), work, pipes))


async def _inside(
    opened: AbstractAsyncContextManager[R], work: Callable[[R, datetime], Awaitable[T]], pipes: Pipes
) -> T:
    async with opened as reader:
        return await work(reader, pipes.clock.now())


def _with_pipes(work: Callable[[Pipes], Awaitable[T]]) -> T:
    settings = _reachable(Settings.read())

    async def run() -> T:
        async with wiring.opened(settings, name="cashier cli") as pipes:
            return await work(pipes)

    return asyncio.run(run())


def _reachable(settings: Settings) -> Settings:
    """The settings with the database's address: as set, or the embedded one of a running `cashier up`."""
    if settings.database_url:
        return settings
    url = embedded.running_url(settings.data_dir.resolve() / "postgres", DATABASE)
    if url is None:
        raise BadSetting("no database: set CASHIER_DATABASE_URL, or start `cashier up` first")
    return replace(settings, database_url=url)


def _require_database(settings: Settings) -> None:
    if not settings.database_url:
        raise BadSetting("CASHIER_DATABASE_URL is not set; `cashier up` starts everything, a database too")


if __name__ == "__main__":
    main()
