"""What a site, or one platform at a site, may decide otherwise; the defaults are those of wallet.md. Pure."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "FreeRounds",
    "FreeWins",
    "OtherAmount",
    "Policy",
    "Scope",
    "SessionGames",
    "ShortReversal",
    "StakeOrder",
    "StuckRound",
]


class Scope(StrEnum):
    """Where a platform's ids are unique (rule 9)."""

    SITE = "site"
    PLAYER = "player"
    PROVIDER = "provider"
    ROUND = "round"


class StakeOrder(StrEnum):
    """Which money a bet takes first (rule 26)."""

    CASH_FIRST = "cash_first"
    BONUS_FIRST = "bonus_first"


class ShortReversal(StrEnum):
    """What happens to a taken-back win that is not there any more (rule 45)."""

    DEBT = "debt"
    REFUSE = "refuse"


class StuckRound(StrEnum):
    """What the sweeper does with a round in which nothing happens any more (rule 56)."""

    WAIT = "wait"
    REFUND = "refund"
    CLOSE = "close"


class FreeRounds(StrEnum):
    """Who counts free rounds (rule 60)."""

    HOUSE = "house"
    PLATFORM = "platform"


class FreeWins(StrEnum):
    """How the wins of free rounds are paid (rule 59)."""

    EACH = "each"
    TOGETHER = "together"


class SessionGames(StrEnum):
    """What a bet that names a session may play (rule 18)."""

    OWN = "own"
    PLATFORM = "platform"


class OtherAmount(StrEnum):
    """What happens to a rollback that states another amount than its operation's (rule 48)."""

    IGNORE = "ignore"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a site, or one platform at a site, has decided. The defaults are those of wallet.md.

    Args:
        amount_unit: "minor" or "major": how amounts are written on the wire.
        id_scope: where ids are unique.
        legacy_transfers: a transfer may come without an id; it cannot be retried safely then.
        stake_order: which money a bet takes first.
        session_required: a bet names a living session.
        many_sessions: a player may play in several sessions at once; else a launch ends the earlier ones.
        session_games: such a bet is of the game that was launched, or of any of its platform (a lobby).
        zero_stakes: a bet may be of nothing, without being a free round.
        listed_games_only: bets and launches name a game of the catalogue.
        one_bet_per_round: a second bet of a round is refused.
        tombstoned_bet_ok: a bet that was rolled back before it came is answered OK, without money.
        reverse_wins: a rollback may name a win.
        short_reversal: what is gone of such a win is owed, or the rollback is refused.
        rollback_amount: one that a rollback states, and is not its operation's, is warned of, or refused.
        blocked_may_transfer: transfers of blocked players are carried out.
        withdraw_while_round_open: else a withdrawal waits for the round's end.
        max_transfer, max_balance, max_bet: minor units; 0 = no limit.
        max_win: a higher win is credited, and held until a person has looked; minor units; 0 = no limit.
        prepaid_float: a deposit is refused that what the operator has prepaid does not cover.
        free_rounds: the house keeps campaigns and refuses what is not granted, or the platform counts alone.
        free_wins: each win of a spin is credited, or all together by the platform's win of kind free_round.
        stuck_after_hours: in an open round nothing has happened for so long: it counts as forgotten.
        stuck_action: what is done with it then.
    """

    amount_unit: str = "minor"
    id_scope: Scope = Scope.SITE
    legacy_transfers: bool = False
    stake_order: StakeOrder = StakeOrder.CASH_FIRST
    session_required: bool = False
    many_sessions: bool = True
    session_games: SessionGames = SessionGames.OWN
    zero_stakes: bool = False
    listed_games_only: bool = False
    one_bet_per_round: bool = False
    tombstoned_bet_ok: bool = False
    reverse_wins: bool = False
    short_reversal: ShortReversal = ShortReversal.DEBT
    rollback_amount: OtherAmount = OtherAmount.IGNORE
    blocked_may_transfer: bool = False
    withdraw_while_round_open: bool = True
    max_transfer: int = 0
    max_balance: int = 0
    max_bet: int = 0
    max_win: int = 0
    prepaid_float: bool = False
    free_rounds: FreeRounds = FreeRounds.HOUSE
    free_wins: FreeWins = FreeWins.EACH
    stuck_after_hours: int = 48
    stuck_action: StuckRound = StuckRound.WAIT
