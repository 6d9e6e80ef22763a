"""Who pays: one person at one site, and the key that opens the cashier for that person.

Promises that a key is bound to site, player and currency, dies after an hour idle or twelve in all, and is
kept only as a hash.
"""

from app.players.model import KEY_IDLE, KEY_LIFETIME, Player, PlayerStatus, Session
from app.players.operations import (
    CurrencyNotOffered,
    forget_habits,
    known_player,
    method_remembered,
    obtain_key,
    set_status,
    use_key,
)
from app.players.queries import PlayerNotFound, login_of, logins, player, player_of_login, standing_of

__all__ = [
    "KEY_IDLE",
    "KEY_LIFETIME",
    "CurrencyNotOffered",
    "Player",
    "PlayerNotFound",
    "PlayerStatus",
    "Session",
    "forget_habits",
    "known_player",
    "login_of",
    "logins",
    "method_remembered",
    "obtain_key",
    "player",
    "player_of_login",
    "set_status",
    "standing_of",
    "use_key",
]
