"""Who pays: a player of one site, and the key that lets the player's browser in. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from app.kernel.ids import PlayerId

__all__ = [
    "KEY_IDLE",
    "KEY_LIFETIME",
    "PERSONAL_FIELDS",
    "Player",
    "PlayerStatus",
    "Session",
]

KEY_IDLE = timedelta(minutes=60)  # protocol.md section 15
KEY_LIFETIME = timedelta(hours=12)

# Accepted with a key and stored under the player; none is required (protocol.md sections 2.1 and 15).
PERSONAL_FIELDS = frozenset(
    {
        "user_email",
        "birthdate",
        "user_name",
        "first_name",
        "last_name",
        "user_country",
        "user_city",
        "user_address",
        "user_postal",
        "user_phone",
        "document_id",
        "timezone",
    }
)


class PlayerStatus(StrEnum):
    """Whether a player may play and move money; wins and refunds reach everybody."""

    ACTIVE = "active"
    BLOCKED = "blocked"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Player:
    """One person at one site, by the site's own login."""

    site_id: int
    player_id: PlayerId
    site_login: str
    personal: Mapping[str, str] = field(repr=False)
    last_method: str


@dataclass(frozen=True, slots=True)
class Session:
    """What a key is bound to: site, player, currency; and how the merchant wants the cashier shown."""

    session_id: str
    player: Player
    currency: str
    language: str
    customer_ip: str
    wishes: Mapping[str, str]
