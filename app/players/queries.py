"""What is true of a player."""

from app.kernel.errors import Refusal
from app.kernel.ids import PlayerId
from app.players.model import Player
from app.players.tables import players
from app.plumbing.database import Reader

__all__ = ["PlayerNotFound", "player"]


class PlayerNotFound(Refusal):
    """There is no such player at this site."""


async def player(reader: Reader, site_id: int, player_id: str) -> Player:
    """One player by our id.

    Raises:
        PlayerNotFound: no such player at this site.
    """
    row = await reader.first(
        players.select().where(players.c.site_id == site_id, players.c.player_id == player_id)
    )
    if row is None:
        raise PlayerNotFound
    return Player(site_id, PlayerId(row.player_id), row.site_login, row.personal, row.last_method)
