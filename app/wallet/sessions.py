"""Which game each session was opened for. That never changes, so a process looks it up once (rule 18)."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from app.wallet.model import BETS
from app.wallet.rules import Page
from app.wallet.terms import Ask, SessionGames

__all__ = ["Sessions"]

_MOST: Final = 10_000  # a quarter of a kB each
_GAMES: Final = (
    "SELECT session_id, game_code FROM game_session WHERE site_id = $1 AND session_id = ANY ($2::text[])"
)


@dataclass(slots=True)
class Sessions:
    """The sessions that this process has seen, those looked up first forgotten first."""

    _games: "OrderedDict[tuple[int, str], str]" = field(default_factory=OrderedDict)

    def unknown(self, site_id: int, asks: Sequence[Ask], page: Page) -> list[str]:
        """Lay the games of the sessions that bets name onto the page; which are still to be found."""
        unknown = []
        for ask in asks:
            if (
                ask.session is None
                or ask.type not in BETS
                or ask.policy.session_games is SessionGames.PLATFORM
            ):
                continue
            game = self._games.get((site_id, ask.session))
            if game is None:
                unknown.append(ask.session)
            else:
                page.session_games[ask.session] = game
        return unknown

    async def find(self, raw: asyncpg.Connection, site_id: int, names: Sequence[str], page: Page) -> None:
        """Look sessions up, and lay their games onto the page; one that is not there lives for nobody."""
        for name, game in await raw.fetch(_GAMES, site_id, list(names)):
            page.session_games[name] = self._games[site_id, name] = game
        while len(self._games) > _MOST:
            self._games.popitem(last=False)
