"""What can be done around money: wallets opened, games launched, sessions ended, policies decided.

Each function is one deed in the caller's transaction. Who opens a wallet or ends a session first locks the
accounts of all the player's wallets, in the order in which batches lock them; batches that have only looked
them up look again. So no operation in flight is passed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from app import merchants, players
from app.kernel import ids
from app.kernel.money import MAX_MINOR
from app.plumbing.database import Transaction
from app.wallet.campaigns import has_free_rounds
from app.wallet.contract import Refused, units
from app.wallet.openings import open_wallet, purse_opened, purses
from app.wallet.queries import (
    Game,
    Purse,
    Session,
    find_games,
    has_open_round,
    has_played,
    lock_wallets,
    policies_of,
    session_of,
    told_policies,
)
from app.wallet.tables import games, policies, sessions
from app.wallet.terms import Code, Policy

__all__ = [
    "LAUNCH_LIFE",
    "SESSION_LIFE",
    "Launch",
    "Launched",
    "add_game",
    "create_player",
    "decide",
    "end_session",
    "launch",
    "open_launch",
    "read_decisions",
    "set_policy",
]

LAUNCH_LIFE: Final = timedelta(seconds=60)  # rule 65
# An evening and a night; a platform that wants more launches again.
SESSION_LIFE: Final = timedelta(hours=12)
_LAUNCH_BYTES: Final = 24
_MOST_HOURS: Final = 8760  # a year
_FLAGS: Final = {"true": True, "false": False}
_UNITS: Final = ("minor", "major")


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
        Refused: CURRENCY_MISMATCH: the site does not offer the currency.
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
    tx: Transaction, site: merchants.Site, wish: Launch, policy: Policy, *, at: datetime
) -> Launched:
    """Open a session of a game, reached by a URL that works once within `LAUNCH_LIFE`.

    Args:
        tx: the caller's transaction.
        site: whose player.
        wish: what is wanted.
        policy: of the site.
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
    provider = await _platform_of(tx, site.site_id, wish, policy)
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


async def _platform_of(tx: Transaction, site_id: int, wish: Launch, policy: Policy) -> str:
    """Whose game it is: as named, or the only one of this code in the catalogue."""
    found = await find_games(tx, site_id, code=wish.game, provider=wish.provider)
    if any(not game.is_enabled for game in found) or (policy.listed_games_only and not found):
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


async def set_policy(
    tx: Transaction, site_id: int, provider: str, decisions: Mapping[str, str], *, at: datetime
) -> dict[str, object]:
    """Decide something for a site, or for one platform there; what is not named stays as it was.

    Processes that serve calls hear of it within two seconds.

    Args:
        tx: the caller's transaction.
        site_id: whose decision.
        provider: the platform; empty: the site itself.
        decisions: as people write them: `max_bet` = "5000", `reverse_wins` = "true".
        at: this instant.

    Returns:
        all that differs from the defaults now.

    Raises:
        Refused: VALIDATION naming the decision that is none, or cannot be made any more.
    """
    decided = {**(await told_policies(tx, site_id)).get(provider, {}), **read_decisions(decisions)}
    if "id_scope" in decisions and await has_played(tx, site_id):
        # Every id that was used would be a new one, and every retry another bet.
        raise Refused(Code.VALIDATION, "id_scope cannot change once a game was played.", field="id_scope")
    row = {"policy": decided, "changed_at": at}
    await tx.execute(
        insert(policies)
        .values(site_id=site_id, provider_id=provider, **row)
        .on_conflict_do_update(index_elements=["site_id", "provider_id"], set_=row)
    )
    return decided


async def decide(
    tx: Transaction, site_id: int, provider: str, written: Sequence[str], *, at: datetime
) -> Policy:
    """Decide what is written as `name=value`, if anything; what holds then for the site or the platform.

    Arguments and errors as for `set_policy`, and:

    Raises:
        SiteNotFound: no such number.
    """
    await merchants.site(tx, site_id)
    if written:
        pairs = (one.partition("=") for one in written)
        await set_policy(tx, site_id, provider, {name: value for name, _, value in pairs}, at=at)
    decided = await policies_of(tx, site_id)
    return decided.get(provider, decided[""])


def read_decisions(decisions: Mapping[str, str]) -> dict[str, object]:
    """Decisions as people write them, strictly.

    Raises:
        Refused: VALIDATION naming the first that is none.
    """
    defaults = {field.name: field.default for field in fields(Policy)}
    return {name: _decision(name, text, defaults.get(name)) for name, text in decisions.items()}


def _decision(name: str, text: str, default: object) -> object:
    match default:
        case bool():
            if text in _FLAGS:
                return _FLAGS[text]
            allowed = "true or false"
        case int():
            least, most = (1, _MOST_HOURS) if name.endswith("_hours") else (0, MAX_MINOR)
            if text.isascii() and text.isdigit() and least <= int(text) <= most:
                return int(text)
            allowed = f"a whole number from {least} to {most}"
        case StrEnum():
            if text in list(type(default)):
                return text
            allowed = " or ".join(type(default))
        case str():
            if text in _UNITS:
                return text
            allowed = " or ".join(_UNITS)
        case _:
            raise Refused(Code.VALIDATION, f"There is nothing to decide called {name}.", field=name)
    raise Refused(Code.VALIDATION, f"{name} must be {allowed}.", field=name)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
