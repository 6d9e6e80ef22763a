"""One example of each call's request: a player with 1500.00 KZT, one round of a game."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

__all__ = ["BODIES", "PATHS", "QUERIES", "SESSION", "TRANSACTION"]

TRANSACTION: Final = "wop_06ex7h3n5c8g2q1r9t4v0w6y8z"
SESSION: Final = "gse_06ex7h3n5c8g2q1r9t4v0w6y8z"
_PLAYER: Final = {"playerExternalId": "player-1"}
_GAME: Final = {
    **_PLAYER,
    "currency": "KZT",
    "roundId": "round-1",
    "gameCode": "aviator",
    "providerId": "acme",
}
_DEPOSIT: Final = {**_PLAYER, "currency": "KZT", "amount": 150_000, "transferId": "transfer-1"}
_WITHDRAW: Final = {**_PLAYER, "currency": "KZT", "amount": 50_000, "transferId": "transfer-2"}
_BET: Final = {"transactionId": "bet-1", **_GAME, "amount": 10_000}
_WIN: Final = {
    "transactionId": "win-1",
    "referenceId": "bet-1",
    **_GAME,
    "amount": 25_000,
    "isRoundFinished": True,
}

# By the name of a call; what is not here has no body.
BODIES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "create": {**_PLAYER, "currency": "KZT", "country": "KZ", "language": "kk"},
        "deposit": _DEPOSIT,
        "withdraw": _WITHDRAW,
        "wallet batch": {
            "operations": [{"type": "deposit", **_DEPOSIT}, {"type": "withdraw", **_WITHDRAW}],
            "allOrNone": False,
        },
        "bet": _BET,
        "win": _WIN,
        "betwin": {
            "transactionId": "bet-2",
            **_GAME,
            "betAmount": 10_000,
            "winAmount": 25_000,
            "isRoundFinished": True,
        },
        "rollback": {
            "transactionId": "rollback-1",
            "referenceId": "bet-1",
            **_PLAYER,
            "providerId": "acme",
            "roundId": "round-1",
        },
        "game batch": {
            "operations": [{"type": "bet", **_BET}, {"type": "win", **_WIN}],
            "allOrNone": False,
        },
        "check": _DEPOSIT,
        "launch": {
            **_PLAYER,
            "gameCode": "aviator",
            "providerId": "acme",
            "currency": "KZT",
            "language": "kk",
            "returnUrl": "https://shop.example.com/lobby",
        },
        "end": {"sessionId": SESSION},
        "reconcile": {
            "items": [{"id": "transfer-1", "amount": 140_000, "currency": "KZT"}],
            "period": {"from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z"},
            "source": "operator",
        },
    }
)
QUERIES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "info": _PLAYER,
        "balance": {**_PLAYER, "currency": "KZT"},
        "list": {**_PLAYER, "currency": "KZT", "limit": "1"},
        "round": {**_PLAYER, "providerId": "acme", "roundId": "round-1"},
    }
)
PATHS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "void": {"transfer_id": "transfer-1"},
        "transfer": {"transfer_id": "transfer-1"},
        "by reference": {"reference": "bet-1"},
        "transaction": {"transaction_id": TRANSACTION},
        "check": {"name": "deposit"},
    }
)
