"""Free rounds that the house keeps: granted, listed, cancelled, looked up (wallet.md 2.6).

A campaign is a name; what stands here is one player's part in it. Which spin may be taken is decided in
`states`; what was taken is written by the wallet's batches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, and_, select, update
from sqlalchemy.dialects.postgresql import insert
from typing_extensions import override

from app import players, staff
from app.kernel.money import MAX_MINOR
from app.plumbing.database import Reader, Transaction
from app.wallet.contract import Refused, instant
from app.wallet.openings import purse_opened
from app.wallet.tables import free_rounds, wallets
from app.wallet.terms import ID_LENGTH, MOST_SPINS, Code, Grant, Kind

__all__ = [
    "FreeRoundsWish",
    "Granted",
    "cancel_free_rounds",
    "free_rounds_of",
    "grant_free_rounds",
    "grant_of",
    "has_free_rounds",
]


@dataclass(frozen=True, slots=True)
class FreeRoundsWish:
    """Free rounds to be granted to one player.

    Args:
        campaign: the `freeRoundId` that platforms name; once for each player.
        player: the site's own id of the player.
        provider, game: where they are played; an empty game: any of the platform's.
        spins: how many.
        ends_at: from here on none is taken.
        max_win: minor units that they may win in all, beyond which it is held; 0 = no limit.
    """

    campaign: str
    player: str
    currency: str
    provider: str
    game: str
    spins: int
    ends_at: datetime
    max_win: int = 0


class Granted(NamedTuple):
    """A player's part in a campaign, for who looks on."""

    player: str
    currency: str
    grant: Grant

    @override
    def __str__(self) -> str:
        """Write it for people."""
        one = self.grant
        until = f"until {instant(one.ends_at)}" if one.cancelled_at is None else "cancelled"
        where = f"{one.provider}/{one.game}" if one.game else one.provider
        counts = f"{one.used} of {one.spins} used  won {one.won}  paid {one.paid}"
        return f"{one.campaign}  {self.player}  {self.currency}  {where}  {counts}  {until}"


async def grant_free_rounds(
    tx: Transaction, site_id: int, wish: FreeRoundsWish, *, at: datetime, by: str = staff.SYSTEM
) -> bool:
    """Grant free rounds, once for each campaign and player; whether it is the first time.

    Args:
        tx: the caller's transaction.
        site_id: whose player.
        wish: what is granted.
        at: this instant.
        by: the actor who grants them, for the site's diary.

    Raises:
        Refused: VALIDATION; PLAYER_NOT_FOUND; CURRENCY_MISMATCH: no such wallet; ID_CONFLICT: the player was
            granted something else in this campaign.
    """
    _check(wish, at)
    try:
        player, _ = await players.player_of_login(tx, site_id, wish.player)
    except players.PlayerNotFound as refusal:
        raise Refused(Code.PLAYER_NOT_FOUND) from refusal
    purse = await purse_opened(tx, site_id, player.player_id, wish.currency, at=at)
    if purse is None:
        raise Refused(Code.CURRENCY_MISMATCH, field="currency")
    row = {
        "provider_id": wish.provider,
        "game_code": wish.game,
        "currency": wish.currency,
        "spins": wish.spins,
        "max_win_minor": wish.max_win,
        "ends_at": wish.ends_at,
    }
    key = {"site_id": site_id, "wallet_id": purse.wallet_id, "campaign_id": wish.campaign}
    made = await tx.first(
        insert(free_rounds)
        .values(**key, **row, granted_at=at)
        .on_conflict_do_nothing()
        .returning(free_rounds.c.wallet_id)
    )
    if made is None:
        known = await tx.first(
            select(free_rounds)
            .filter_by(**key)
            .where(*(free_rounds.c[name] == row[name] for name in row if name != "ends_at"))
        )
        if known is None:
            raise Refused(Code.ID_CONFLICT)
        return False
    detail = row | {"player": player.player_id, "ends_at": instant(wish.ends_at)}
    deed = "free_rounds.granted"
    await staff.note(tx, site_id, actor=by, deed=deed, subject=wish.campaign, detail=detail, at=at)
    return True


async def cancel_free_rounds(
    tx: Transaction, site_id: int, campaign: str, player: str = "", *, at: datetime, by: str = staff.SYSTEM
) -> int:
    """Cancel a campaign, for one player or for all; how many parts of it were not cancelled yet.

    Spins in sessions that were opened before still count (rule 61).

    Raises:
        Refused: VALIDATION: there is no such campaign, or the player has no part in it.
    """
    named = [one for one in await free_rounds_of(tx, site_id, campaign) if player in {"", one.player}]
    if not named:
        raise Refused(Code.VALIDATION, "There is no such campaign, or the player has no part in it.")
    cancelled = await tx.all(
        update(free_rounds)
        .where(
            free_rounds.c.site_id == site_id,
            free_rounds.c.campaign_id == campaign,
            free_rounds.c.wallet_id.in_([one.grant.wallet_id for one in named]),
            free_rounds.c.cancelled_at.is_(None),
        )
        .values(cancelled_at=at)
        .returning(free_rounds.c.wallet_id)
    )
    if cancelled:
        whose = (await players.player_of_login(tx, site_id, player))[0].player_id if player else None
        detail, deed = {"player": whose, "count": len(cancelled)}, "free_rounds.cancelled"
        await staff.note(tx, site_id, actor=by, deed=deed, subject=campaign, detail=detail, at=at)
    return len(cancelled)


async def free_rounds_of(reader: Reader, site_id: int, campaign: str = "") -> list[Granted]:
    """Who was granted what at a site, in one campaign or in all; by campaign and player."""
    asked = (
        select(free_rounds, wallets.c.player_id)
        .join(
            wallets,
            and_(
                wallets.c.site_id == free_rounds.c.site_id,
                wallets.c.wallet_id == free_rounds.c.wallet_id,
            ),
        )
        .where(free_rounds.c.site_id == site_id)
        .order_by(free_rounds.c.campaign_id, free_rounds.c.wallet_id)
    )
    if campaign:
        asked = asked.where(free_rounds.c.campaign_id == campaign)
    rows = await reader.all(asked)
    logins = await players.logins(reader, site_id, [row.player_id for row in rows])
    return [Granted(logins[row.player_id], row.currency, grant_of(row)) for row in rows]


async def has_free_rounds(
    reader: Reader, site_id: int, wallet_id: int, provider: str, game: str, *, at: datetime
) -> bool:
    """Whether a wallet has a free round to play in a game now."""
    found = await reader.first(
        select(free_rounds.c.campaign_id)
        .where(
            free_rounds.c.site_id == site_id,
            free_rounds.c.wallet_id == wallet_id,
            free_rounds.c.provider_id == provider,
            free_rounds.c.game_code.in_(["", game]),
            free_rounds.c.used < free_rounds.c.spins,
            free_rounds.c.ends_at > at,
            free_rounds.c.cancelled_at.is_(None),
        )
        .limit(1)
    )
    return found is not None


def grant_of(row: Any) -> Grant:  # noqa: ANN401  asyncpg has no types
    """Read a row of `free_round`, of either library."""
    found: Mapping[str, Any] = row._asdict() if isinstance(row, Row) else row
    return Grant(
        campaign=found["campaign_id"],
        wallet_id=found["wallet_id"],
        provider=found["provider_id"],
        game=found["game_code"],
        spins=found["spins"],
        used=found["used"],
        won=found["won_minor"],
        paid=found["paid_minor"],
        max_win=found["max_win_minor"],
        ends_at=found["ends_at"],
        cancelled_at=found["cancelled_at"],
    )


def _check(wish: FreeRoundsWish, at: datetime) -> None:
    for name in ("campaign", "provider"):
        if not _is_id(getattr(wish, name)):
            raise Refused(Code.VALIDATION, f"{name} must be 1-{ID_LENGTH} printable characters.", field=name)
    if wish.campaign in set(Kind):
        # Both stand in an operation's `detail`: its wins would be those of the kind.
        kinds = ", ".join(Kind)
        why = f"campaign must not be one of {kinds}: these name kinds of wins."
        raise Refused(Code.VALIDATION, why, field="campaign")
    if wish.game and not _is_id(wish.game):
        raise Refused(Code.VALIDATION, f"game must be 1-{ID_LENGTH} printable characters.", field="game")
    if not 0 < wish.spins <= MOST_SPINS:
        raise Refused(Code.VALIDATION, f"spins must be 1 to {MOST_SPINS}.", field="spins")
    if not 0 <= wish.max_win <= MAX_MINOR:
        raise Refused(Code.VALIDATION, f"max_win must be 0 to {MAX_MINOR} minor units.", field="max_win")
    if wish.ends_at <= at:
        raise Refused(Code.VALIDATION, "ends_at must lie ahead.", field="ends_at")


def _is_id(text: str) -> bool:
    return 0 < len(text) <= ID_LENGTH and text.isprintable()
