"""Players and their money: let them play or not, and what games may do with it."""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from app import ledger, players, staff, wallet
from app.cli.asking import done, group, out, told_of, with_pipes
from app.cli.staff import OperatorToken, actor
from app.kernel.money import MAX_MINOR, Money
from app.plumbing.database import Reader, Transaction
from app.plumbing.pipes import Pipes

__all__ = ["player", "purse"]

player = group("Players of a site.")
purse = group("Players' money and how it is played with.")
game = group("Games of a site's catalogue.")
free = group("Free rounds that the house grants and counts.")
purse.add_typer(game, name="game")
held = group("Wins over a cap, which wait for a person.")
purse.add_typer(free, name="free-rounds")
prepaid = group("What an operator has prepaid.")
purse.add_typer(held, name="held")
purse.add_typer(prepaid, name="float")

_Why = Annotated[str, typer.Option(help="Why, for the diary.")]


@player.command("block")
def player_block(site_id: int, external_id: str, reason: _Why = "", by: OperatorToken = "") -> None:
    """Let a player neither play nor pay in nor be paid; wins, and what was begun, still come."""
    _become(site_id, external_id, players.PlayerStatus.BLOCKED, reason, by)


@player.command("unblock")
def player_unblock(site_id: int, external_id: str, reason: _Why = "", by: OperatorToken = "") -> None:
    """Let a player who was blocked or closed play and move money again."""
    _become(site_id, external_id, players.PlayerStatus.ACTIVE, reason, by)


@player.command("close")
def player_close(site_id: int, external_id: str, reason: _Why = "", by: OperatorToken = "") -> None:
    """Do as `block` does, of a player who has left: it is kept as `closed`."""
    _become(site_id, external_id, players.PlayerStatus.CLOSED, reason, by)


@purse.command("policy")
def wallet_policy(
    site_id: int,
    decisions: Annotated[list[str] | None, typer.Argument(help="KEY=VALUE; none: show.")] = None,
    platform: Annotated[str, typer.Option(help="A game platform; none: the site itself.")] = "",
    by: OperatorToken = "",
) -> None:
    """Decide something for a site or one platform there, and show what is decided."""

    async def work(tx: Transaction, at: datetime) -> wallet.Policy:
        who = await actor(tx, by) if decisions else staff.SYSTEM
        return await wallet.decide(tx, site_id, platform, decisions or [], at=at, by=who)

    out.print_json(data=asdict(done(work)))


@purse.command("stuck")
def wallet_stuck(site_id: int) -> None:
    """List rounds that are open longer than the site allows."""
    for one in told_of(site_id, lambda reader, now: wallet.stuck_rounds(reader, site_id, now=now)):
        typer.echo(one)


@purse.command("balances")
def wallet_balances(site_id: int) -> None:
    """List the players who have money or owe some, in minor units."""
    for one in told_of(site_id, lambda reader, _: wallet.players_with_balance(reader, site_id)):
        typer.echo(one)


@purse.command("debts")
def wallet_debts(site_id: int) -> None:
    """List what players owe, in minor units, and the wins taken back whose money was gone."""
    for one in told_of(site_id, lambda reader, _: wallet.debts(reader, site_id)):
        typer.echo(one)


@purse.command("refused-wins")
def wallet_refused_wins(site_id: int) -> None:
    """List wins that were refused because the house had ended their stuck round, in minor units."""
    for one in told_of(site_id, lambda reader, _: wallet.refused_wins(reader, site_id)):
        typer.echo(one)


@purse.command("closing")
def wallet_closing(site_id: int, day: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"])]) -> None:
    """Print a day's closing (UTC) by currency, as JSON in minor units; status 1 if it does not add up."""
    closings = told_of(site_id, lambda reader, _: wallet.closing(reader, site_id, day.date()))
    sys.stdout.write(json.dumps([one.told() for one in closings]) + "\n")
    raise typer.Exit(0 if all(one.is_balanced for one in closings) else 1)


@purse.command("grant-bonus")
def wallet_grant_bonus(
    site_id: int,
    external_id: str,
    currency: str,
    amount: Annotated[int, typer.Argument(min=1, max=MAX_MINOR, help="Minor units.")],
    key: Annotated[str, typer.Option("--id", help="Yours; the same id grants once.")],
    by: OperatorToken = "",
) -> None:
    """Give a player bonus money."""
    bonus = Money(amount, currency)

    async def work(pipes: Pipes) -> tuple[wallet.Code, bool]:
        async with pipes.database.reading() as reader:
            who = await _giver(reader, by, site_id)
        return await wallet.grant_bonus(pipes, site_id, external_id, bonus, key, by=who)

    code, is_repeated = with_pipes(work)
    out.print(f"{code.value} (answered before)" if is_repeated else code.value)
    raise typer.Exit(0 if code is wallet.Code.OK else 1)


@free.command("grant")
def free_rounds_grant(
    site_id: int,
    campaign: Annotated[str, typer.Argument(help="The freeRoundId that the platform names.")],
    external_id: str,
    currency: str,
    spins: Annotated[int, typer.Argument(min=1)],
    platform: Annotated[str, typer.Option(help="Where they are played.")],
    game_code: Annotated[str, typer.Option("--game", help="None: any of the platform's.")] = "",
    hours: Annotated[int, typer.Option(min=1, max=8760, help="How long they may be played.")] = 168,
    until: Annotated[datetime | None, typer.Option(help="UTC; instead of --hours.")] = None,
    max_win: Annotated[int, typer.Option(min=0, max=MAX_MINOR, help="Minor units in all; 0: no limit.")] = 0,
    by: OperatorToken = "",
) -> None:
    """Grant a player free rounds, once in each campaign."""

    async def work(tx: Transaction, at: datetime) -> bool:
        ends_at = at + timedelta(hours=hours) if until is None else until.replace(tzinfo=UTC)
        wish = wallet.FreeRoundsWish(
            campaign, external_id, currency, platform, game_code, spins, ends_at, max_win
        )
        who = await _giver(tx, by, site_id)
        return await wallet.grant_free_rounds(tx, site_id, wish, at=at, by=who)

    out.print("granted" if done(work) else "granted before")


@free.command("cancel")
def free_rounds_cancel(
    site_id: int,
    campaign: str,
    player_id: Annotated[str, typer.Option("--player", help="One player; none: all.")] = "",
    by: OperatorToken = "",
) -> None:
    """Cancel a campaign; spins in sessions that are open still count."""

    async def work(tx: Transaction, at: datetime) -> int:
        who = await _giver(tx, by, site_id)
        return await wallet.cancel_free_rounds(tx, site_id, campaign, player_id, at=at, by=who)

    out.print(f"cancelled for {done(work)} player(s)")


@free.command("list")
def free_rounds_list(
    site_id: int, campaign: Annotated[str, typer.Option(help="One campaign; none: all.")] = ""
) -> None:
    """List who was granted what, what was taken of it, and what was won, in minor units."""
    for one in told_of(site_id, lambda reader, _: wallet.free_rounds_of(reader, site_id, campaign)):
        typer.echo(one)


@held.command("list")
def held_list(site_id: int) -> None:
    """List the wins that are held, in minor units, by number."""
    for one in told_of(site_id, lambda reader, _: wallet.held_wins(reader, site_id)):
        typer.echo(one)


@held.command("release")
@held.command("take")
def held_decide(
    called: typer.Context,
    site_id: int,
    number: Annotated[int, typer.Argument(help="As listed.")],
    because: Annotated[str, typer.Option(help="Why; kept with the money and in the diary.")],
    by: OperatorToken = "",
) -> None:
    """Give a held win to its player (release), or back to the house (take)."""
    decided = wallet.take_back if called.info_name == "take" else wallet.let_go

    async def work(tx: Transaction, at: datetime) -> wallet.HeldWin:
        who = await _giver(tx, by, site_id)
        return await decided(tx, site_id, number, because, at=at, by=who)

    found = done(work)
    out.print(f"{called.info_name}: {found}")


@prepaid.command("show")
def float_show(site_id: int, currency: str) -> None:
    """Print what is left, in minor units; below nothing where nothing need be prepaid."""
    out.print(told_of(site_id, lambda reader, _: wallet.float_of(reader, site_id, currency)).minor)


@prepaid.command("fund")
@prepaid.command("return")
def float_move(
    called: typer.Context,
    site_id: int,
    currency: str,
    amount: Annotated[int, typer.Argument(min=1, max=MAX_MINOR, help="Minor units.")],
    key: Annotated[str, typer.Option("--id", help="Yours; the same id counts once.")],
    by: OperatorToken = "",
) -> None:
    """Note that an operator's money has come (fund), or was given back (return)."""
    money = Money(amount, currency)
    deed = wallet.return_float if called.info_name == "return" else wallet.fund_float

    async def work(tx: Transaction, at: datetime) -> ledger.Posted:
        return await deed(tx, site_id, money, key, at=at, by=await _giver(tx, by, site_id))

    out.print("noted before" if done(work).duplicate else "noted")


@game.command("add")
def game_add(
    site_id: int,
    platform: str,
    code: str,
    name: Annotated[str, typer.Option(help="What players see.")],
    url: Annotated[str, typer.Option(help="Where the platform serves it; none: our demo table.")] = "",
    *,
    off: Annotated[bool, typer.Option("--off", help="It cannot be launched.")] = False,
    by: OperatorToken = "",
) -> None:
    """List a game, or change how it is listed."""
    made = wallet.Game(platform, code, name, url, not off)
    detail = {"platform": platform, "name": name, "url": url, "is_enabled": not off}

    async def work(tx: Transaction, at: datetime) -> None:
        who = await actor(tx, by)
        await wallet.add_game(tx, site_id, made, at=at)
        await staff.note(tx, site_id, actor=who, deed="game.listed", subject=code, detail=detail, at=at)

    done(work)
    out.print("listed")


def _become(site_id: int, external_id: str, status: players.PlayerStatus, reason: str, by: str) -> None:
    staff.check_text("reason", reason)

    async def work(tx: Transaction, at: datetime) -> players.PlayerStatus:
        # Who may say no to a player's withdrawal may also stop the player.
        who = await actor(tx, by, right=staff.Right.PAYOUT_REJECT, site_id=site_id)
        before = await players.set_status(tx, site_id, external_id, status)
        if before is not status:
            found, _ = await players.player_of_login(tx, site_id, external_id)
            deed, its = f"player.{status.value}", found.player_id
            detail = {"before": before.value} | ({"reason": reason} if reason else {})
            await staff.note(tx, site_id, actor=who, deed=deed, subject=its, detail=detail, at=at)
        return before

    before = done(work)
    out.print(f"{status.value}; was {before.value}")


async def _giver(reader: Reader, token: str, site_id: int) -> str:
    """Whose deed it is, of those who may let the house's money go."""
    return await actor(reader, token, right=staff.Right.PAYOUT_APPROVE, site_id=site_id)
