"""What can be done around money: wallets opened, games launched, sessions ended, games listed.

Each function is one deed in the caller's transaction. Who opens a wallet or ends a session first locks the
accounts of all the player's wallets, in the order in which batches lock them; batches that have only looked
them up look again. So no operation in flight is passed.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from app import merchants, players
from app.kernel import ids
from app.plumbing.database import Transaction
from app.wallet.campaigns import has_free_rounds
from app.wallet.catalogue import Game, find_games
from app.wallet.contract import Refused, units
from app.wallet.openings import open_wallet, purse_opened
from app.wallet.queries import (
    Purse,
    Session,
    has_open_round,
    lock_wallets,
    purses,
    session_of,
)
from app.wallet.tables import games, sessions
from app.wallet.terms import Code, Policy

__all__ = [
    "LAUNCH_LIFE",
    "SESSION_LIFE",
    "Launch",
    "Launched",
    "add_game",
    "create_player",
    "end_session",
    "launch",
    "open_launch",
]

LAUNCH_LIFE: Final = timedelta(seconds=60)  # rule 65
# An evening and a night; a platform that wants more launches again.
SESSION_LIFE: Final = timedelta(hours=12)
_LAUNCH_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class Launch:
    """What a platform or operator wants to open for a player.

    Args:
        player: the site's own id of the player.
        game, provider: of the catalogue; the provider may be empty where the code is one game's only.
        return_url: where the game's way out leads; may be empty.
    """

    player: str
    currency: str
    game: str
    provider: str = ""
    language: str = ""
    return_url: str = ""


@dataclass(frozen=True, slots=True)
class Launched:
    """A session and the single-use part of its launch URL, which is told once and kept hashed."""

    session_id: str
    secret: str
    provider: str
    expires_at: datetime
    url_expires_at: datetime


async def create_player(
    tx: Transaction,
    site: merchants.Site,
    site_login: str,
    currency: str,
    personal: Mapping[str, str],
    *,
    at: datetime,
) -> tuple[str, bool, Purse]:
    """Create a player, or link to the one that the site has; the wallet of the currency included.

    Args:
        tx: the caller's transaction.
        site: whose player.
        site_login: the site's own id of the player.
        currency: of the wallet; another one later opens another wallet.
        personal: what is told about the person.
        at: this instant.

    Returns:
        our id of the player, whether the player is new, and what is in the wallet.

    Raises:
        Refused: CURRENCY_MISMATCH: the site does not offer the currency; IN_PROGRESS: it has just decided
            where ids are unique.
    """
    if currency not in site.currencies:
        raise Refused(Code.CURRENCY_MISMATCH, field="currency")
    player_id, is_new = await players.known_player(tx, site.site_id, site_login, personal, at=at)
    purse = await purse_opened(tx, site.site_id, player_id, currency, at=at)
    if purse is None:
        await open_wallet(tx.raw, site.site_id, player_id, currency, at=at)
        purse = (await purses(tx, site.site_id, player_id))[currency]
    return player_id, is_new, purse


async def launch(
    tx: Transaction, site: merchants.Site, wish: Launch, policy_of: Callable[[str], Policy], *, at: datetime
) -> Launched:
    """Open a session of a game, reached by a URL that works once within `LAUNCH_LIFE`.

    Args:
        tx: the caller's transaction.
        site: whose player.
        wish: what is wanted.
        policy_of: what the site has decided for a platform.
        at: this instant.

    Raises:
        Refused: PLAYER_NOT_FOUND, CURRENCY_MISMATCH, PLAYER_BLOCKED; VALIDATION for a game that is not
            offered; ZERO_BALANCE when there is neither money nor an open round nor a free one granted here.
    """
    try:
        player, status = await players.player_of_login(tx, site.site_id, wish.player)
    except players.PlayerNotFound as refusal:
        raise Refused(Code.PLAYER_NOT_FOUND) from refusal
    purse = await purse_opened(tx, site.site_id, player.player_id, wish.currency, at=at)
    if purse is None:
        raise Refused(Code.CURRENCY_MISMATCH, field="currency")
    if status is not players.PlayerStatus.ACTIVE:
        raise Refused(Code.PLAYER_BLOCKED)
    provider = await _platform_of(tx, site.site_id, wish, policy_of)
    policy = policy_of(provider)
    if purse.balance <= 0 and not (
        await has_open_round(tx, site.site_id, purse.wallet_id)
        or await has_free_rounds(tx, site.site_id, purse.wallet_id, provider, wish.game, at=at)
    ):
        raise Refused(Code.ZERO_BALANCE, balance=units(policy, wish.currency)(purse.balance))
    if not policy.many_sessions:
        await _end_all(tx, site.site_id, player.player_id, at)
    secret = f"{site.site_id}-{ids.secret(_LAUNCH_BYTES)}"
    made = Launched(ids.new("gse", at=at), secret, provider, at + SESSION_LIFE, at + LAUNCH_LIFE)
    await tx.execute(
        sessions.insert().values(
            site_id=site.site_id,
            session_id=made.session_id,
            wallet_id=purse.wallet_id,
            provider_id=provider,
            game_code=wish.game,
            language=wish.language,
            return_url=wish.return_url,
            launch_hash=_hash(secret),
            launched_at=at,
            expires_at=made.expires_at,
            currency=wish.currency,
        )
    )
    return made


async def _platform_of(
    tx: Transaction, site_id: int, wish: Launch, policy_of: Callable[[str], Policy]
) -> str:
    """Whose game it is: as named, or the only one of this code in the catalogue."""
    found = await find_games(tx, site_id, code=wish.game, provider=wish.provider)
    is_strange = not found and policy_of(wish.provider).listed_games_only
    if any(not game.is_enabled for game in found) or is_strange:
        raise Refused(Code.VALIDATION, "This game is not offered.", field="gameCode")
    if wish.provider:
        return wish.provider
    if len(found) != 1:
        raise Refused(
            Code.VALIDATION,
            "providerId is missing: the catalogue does not say whose game it is.",
            field="providerId",
        )
    return found[0].provider


async def open_launch(tx: Transaction, secret: str, *, at: datetime) -> tuple[Session, Game | None] | None:
    """Use a launch URL, once.

    Returns:
        its session, and the game where the catalogue has it; None when it was used, is older than
        `LAUNCH_LIFE`, or never was.
    """
    site_id, key = merchants.site_number(secret.partition("-")[0]), _hash(secret)
    used = await tx.first(
        update(sessions)
        .where(
            sessions.c.site_id == site_id,
            sessions.c.launch_hash == key,
            sessions.c.opened_at.is_(None),
            sessions.c.ended_at.is_(None),
            sessions.c.launched_at > at - LAUNCH_LIFE,
        )
        .values(opened_at=at)
        .returning(sessions.c.session_id)
    )
    session = await session_of(tx, site_id, named=used.session_id) if used else None
    if session is None:
        return None
    found = await find_games(tx, site_id, code=session.game, provider=session.provider)
    return session, next(iter(found), None)


async def end_session(
    tx: Transaction, site_id: int, session_id: str, *, at: datetime
) -> tuple[Session, bool]:
    """End a session with its final balance, once; bets in it are refused from here on.

    Returns:
        the session as it ended, and whether it had ended before.

    Raises:
        Refused: SESSION_EXPIRED: there is no such session.
    """
    found = await session_of(tx, site_id, named=session_id)
    if found is None:
        raise Refused(Code.SESSION_EXPIRED, "There is no such session.", field="sessionId")
    await lock_wallets(tx, site_id, found.player_id)
    purse = (await purses(tx, site_id, found.player_id))[found.currency]
    ended = await tx.first(
        update(sessions)
        .where(
            sessions.c.site_id == site_id,
            sessions.c.session_id == session_id,
            sessions.c.ended_at.is_(None),
        )
        .values(ended_at=at, final_balance_minor=purse.balance)
        .returning(sessions.c.session_id)
    )
    again = await session_of(tx, site_id, named=session_id)
    assert again is not None, "sessions are never deleted"
    return again, ended is None


async def _end_all(tx: Transaction, site_id: int, player_id: str, at: datetime) -> None:
    """End every session of a player, each with the balance of its wallet."""
    await lock_wallets(tx, site_id, player_id)
    for purse in (await purses(tx, site_id, player_id)).values():
        await tx.execute(
            update(sessions)
            .where(
                sessions.c.site_id == site_id,
                sessions.c.wallet_id == purse.wallet_id,
                sessions.c.ended_at.is_(None),
            )
            .values(ended_at=at, final_balance_minor=purse.balance)
        )


async def add_game(tx: Transaction, site_id: int, game: Game, *, at: datetime) -> None:
    """List a game in a site's catalogue, or change how it is listed.

    Raises:
        SiteNotFound: no such number.
    """
    await merchants.site(tx, site_id)
    row = {"name": game.name, "launch_url": game.launch_url, "is_enabled": game.is_enabled, "changed_at": at}
    await tx.execute(
        insert(games)
        .values(site_id=site_id, provider_id=game.provider, game_code=game.code, **row)
        .on_conflict_do_update(index_elements=["site_id", "provider_id", "game_code"], set_=row)
    )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
