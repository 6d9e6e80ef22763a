"""Who pays: one person at one site, and the key that opens the cashier for that person.

Promises that a key is bound to site, player and currency, dies after an hour idle or twelve in all, and is
kept only as a hash.
"""

from app.players.model import KEY_IDLE, KEY_LIFETIME, Player, Session
from app.players.operations import CurrencyNotOffered, forget_habits, obtain_key, remember_method, use_key
from app.players.queries import PlayerNotFound, player

__all__ = [
    "KEY_IDLE",
    "KEY_LIFETIME",
    "CurrencyNotOffered",
    "Player",
    "PlayerNotFound",
    "Session",
    "forget_habits",
    "obtain_key",
    "player",
    "remember_method",
    "use_key",
]
