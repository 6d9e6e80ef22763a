"""What is true of a player."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, select

from app.kernel.errors import Refusal
from app.kernel.ids import PlayerId
from app.players.model import Player, PlayerStatus
from app.players.tables import players
from app.plumbing.database import Built, Reader

__all__ = ["PlayerNotFound", "login_of", "logins", "player", "player_of_login", "standing_of"]


class PlayerNotFound(Refusal):
    """There is no such player at this site."""


_ONE = Built(
    players.select().where(  # built once: every notification names its player
        players.c.site_id == bindparam("of_site"), players.c.player_id == bindparam("of_player")
    )
)


def login_of(site_id: ColumnElement[int], player_id: ColumnElement[str]) -> ScalarSelect[str]:
    """The site's own id of the player of another statement's row."""
    its = (players.c.site_id == site_id) & (players.c.player_id == player_id)
    return select(players.c.site_login).where(its).scalar_subquery()


def standing_of(site_id: ColumnElement[int], player_id: ColumnElement[str]) -> ScalarSelect[str]:
    """Whether the player of another statement may play: a `PlayerStatus`."""
    its = (players.c.site_id == site_id) & (players.c.player_id == player_id)
    return select(players.c.status).where(its).scalar_subquery()


async def player(reader: Reader, site_id: int, player_id: str) -> Player:
    """One player by our id.

    Raises:
        PlayerNotFound: no such player at this site.
    """
    row = await reader.first(_ONE, {"of_site": site_id, "of_player": player_id})
    if row is None:
        raise PlayerNotFound
    return Player(site_id, PlayerId(row.player_id), row.site_login, row.personal, row.last_method)


async def player_of_login(reader: Reader, site_id: int, site_login: str) -> tuple[Player, PlayerStatus]:
    """One player by the site's own id, and whether the player may play.

    Raises:
        PlayerNotFound: no such player at this site.
    """
    row = await reader.first(
        players.select().where(players.c.site_id == site_id, players.c.site_login == site_login)
    )
    if row is None:
        raise PlayerNotFound
    found = Player(site_id, PlayerId(row.player_id), row.site_login, row.personal, row.last_method)
    return found, PlayerStatus(row.status)


async def logins(reader: Reader, site_id: int, player_ids: Collection[str]) -> dict[str, str]:
    """The site's own ids of players, by ours; whom the site does not have is left out."""
    if not player_ids:
        return {}
    rows = await reader.all(
        select(players.c.player_id, players.c.site_login).where(
            players.c.site_id == site_id, players.c.player_id.in_(player_ids)
        )
    )
    return {row.player_id: row.site_login for row in rows}
