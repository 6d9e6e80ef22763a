"""The games that a site has listed, by platform and code. Reads only; each names its site."""

from dataclasses import dataclass

from app.plumbing.database import Reader
from app.wallet.tables import games

__all__ = ["Game", "find_games", "listed_games"]


@dataclass(frozen=True, slots=True)
class Game:
    """A game of a site's catalogue; `launch_url` empty: our demo table."""

    provider: str
    code: str
    name: str
    launch_url: str
    is_enabled: bool


async def find_games(reader: Reader, site_id: int, *, code: str, provider: str = "") -> list[Game]:
    """The games of this code in a site's catalogue, of one platform or of all."""
    asked = games.select().where(games.c.site_id == site_id, games.c.game_code == code)
    rows = await reader.all(asked.where(games.c.provider_id == provider) if provider else asked)
    return [Game(row.provider_id, row.game_code, row.name, row.launch_url, row.is_enabled) for row in rows]


async def listed_games(reader: Reader, site_id: int) -> frozenset[tuple[str, str]]:
    """Platform and code of every enabled game in a site's catalogue."""
    rows = await reader.all(games.select().where(games.c.site_id == site_id, games.c.is_enabled))
    return frozenset((row.provider_id, row.game_code) for row in rows)
