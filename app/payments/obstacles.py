"""What stands in the way of a withdrawal that waits: its player, or a stop; and how it is said."""

from datetime import datetime, timedelta
from typing import Final

import structlog

from app import ledger, players
from app.payments.legs import Leg, is_disputed
from app.payments.model import PayoutPolicy
from app.payments.queries import WAITS, Payment
from app.payments.states import LegState, SubStatus
from app.payments.steps import remember
from app.payments.unresolved import is_denied, is_unbooked_of_player
from app.plumbing import metrics, switches
from app.plumbing.database import Reader, Transaction

__all__ = [
    "PAYOUTS",
    "await_initiation",
    "hold_up",
    "let_on",
    "say_why",
    "waits",
    "why_barred",
    "why_held",
]

PAYOUTS = "payouts"  # the stop switch that requests and sending obey
_LOOK_AGAIN: Final = timedelta(minutes=5)  # for money at the provider, or for the end of a stop or a dispute
_log = structlog.get_logger("payments")


def waits(leg: Leg) -> bool:
    """Whether nothing of a leg is at a provider, and its money is held."""
    return leg.state is LegState.PLANNED and not leg.is_released


async def why_barred(reader: Reader, site_id: int, player_id: str) -> str:
    """Why nothing is paid out to a player at present, for staff; empty where nothing stands against it."""
    known = await players.player(reader, site_id, player_id)
    _, standing = await players.player_of_login(reader, site_id, known.site_login)
    if standing is not players.PlayerStatus.ACTIVE:
        return f"the player is {standing.value}"
    is_unbooked = await is_unbooked_of_player(reader, site_id, player_id)
    if is_unbooked or await is_disputed(reader, site_id, player_id):
        return "a deposit of the player is disputed"
    if await is_denied(reader, site_id, player_id):
        return "the provider denies a deposit of the player, and nobody has closed the case"
    return ""


async def why_held(tx: Transaction, found: Payment) -> str:
    """As `why_barred`, of one withdrawal; besides, a site's may be stopped, and who owes is paid nothing.

    What was owed when it was asked for was repaid before it was held. An account's own switch is for
    `liquidity` to know.
    """
    if await switches.is_stopped(tx, found.site_id, PAYOUTS):
        return "withdrawals are stopped"
    owed = await ledger.debt(tx, found.site_id, found.player_id, found.amount.currency)
    barred = await why_barred(tx, found.site_id, found.player_id)
    return barred or (
        f"the player owes {owed}: reject it, and what is held is there to repay it" if owed.minor else ""
    )


async def hold_up(tx: Transaction, found: Payment, why: str, *, at: datetime) -> None:
    """Say why a withdrawal or refund is not sent now, with an alarm where that is new; it is looked at again.

    Args:
        tx: holds the payment's lock.
        found: the payment.
        why: in words for staff.
        at: this instant.
    """
    await say_why(tx, found, why, again_at=at + _LOOK_AGAIN)


async def await_initiation(tx: Transaction, found: Payment, rules: PayoutPolicy, *, at: datetime) -> None:
    """Hold up a withdrawal that the merchant must initiate, which the policy did not want when it was let go.

    What was never sent ends like any that is not initiated in time.

    Args:
        tx: holds the payment's lock.
        found: the withdrawal.
        rules: the policy as it is now.
        at: this instant.
    """
    if found.sub_status is SubStatus.APPROVED:
        until = found.expires_at or at + timedelta(hours=rules.approval_hours)
        await remember(tx, found, {"expires_at": until})
    await hold_up(tx, found, "the merchant has not initiated it", at=at)


async def say_why(tx: Transaction, found: Payment, why: str, *, again_at: datetime | None = None) -> None:
    """The same of what has its next turn already, where none is named."""
    if found.reason != why:
        metrics.ALARMS.labels(f"{found.kind.value}_waits").inc()
        _log.warning(f"{found.kind.value}.waits", payment_id=found.payment_id, why=why)
    turn = {} if again_at is None else {"ask_at": again_at}
    await remember(tx, found, {"reason_code": WAITS, "reason": why, **turn})


async def let_on(tx: Transaction, found: Payment) -> None:
    """Take back what `hold_up` has said, of what goes nowhere by being sent: it waits no more."""
    if found.waits_because:
        await remember(tx, found, {"reason_code": "", "reason": ""})
