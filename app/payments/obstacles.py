"""What stands in the way of a withdrawal that waits: its player, or a stop."""

from app import ledger, players
from app.payments.casebook import is_denied
from app.payments.legs import Leg, is_disputed
from app.payments.queries import Payment
from app.payments.states import LegState
from app.plumbing import switches
from app.plumbing.database import Reader, Transaction

__all__ = ["PAYOUTS", "waits", "why_barred", "why_not_sent", "why_stopped"]

PAYOUTS = "payouts"  # the stop switch that requests and sending obey


def waits(leg: Leg) -> bool:
    """Whether nothing of a leg is at a provider, and its money is held."""
    return leg.state is LegState.PLANNED and not leg.is_released


async def why_barred(reader: Reader, site_id: int, player_id: str) -> str:
    """Why nothing is paid out to a player at present, for staff; empty where nothing stands against it."""
    known = await players.player(reader, site_id, player_id)
    _, standing = await players.player_of_login(reader, site_id, known.site_login)
    if standing is not players.PlayerStatus.ACTIVE:
        return f"the player is {standing.value}"
    if await is_disputed(reader, site_id, player_id):
        return "a deposit of the player is disputed"
    if await is_denied(reader, site_id, player_id):
        return "the provider denies a deposit of the player, and nobody has closed the case"
    return ""


async def why_not_sent(reader: Reader, found: Payment) -> str:
    """As `why_barred`; besides, who owes is paid out nothing: what he owed was repaid before it was held."""
    owed = await ledger.debt(reader, found.site_id, found.player_id, found.amount.currency)
    barred = await why_barred(reader, found.site_id, found.player_id)
    return barred or (
        f"the player owes {owed}: reject it, and what is held is there to repay it" if owed.minor else ""
    )


async def why_stopped(tx: Transaction, site_id: int) -> str:
    """As `why_barred`, of all of a site's withdrawals; an account's own switch is for `liquidity` to know."""
    return "withdrawals are stopped" if await switches.is_stopped(tx, site_id, PAYOUTS) else ""
