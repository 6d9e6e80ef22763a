"""What the house does by itself: rounds that nobody ends (rules 55, 56), and bonus money that it gives."""

from typing import Final

import structlog

from app import merchants, players, staff
from app.kernel.money import Money
from app.plumbing import metrics
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes
from app.wallet.journal import Journal
from app.wallet.rounds import (
    Stuck,
    close_round,
    is_played_on,
    list_stuck,
    operations_of_round,
    sites_with_open_rounds,
    stuck_rounds,
)
from app.wallet.terms import MOST_IN_A_BATCH, SWEEPERS, Ask, Code, Operation, Policy, StuckRound, Type

__all__ = ["NotGivenBack", "grant_bonus", "sweep_stuck"]

# What a refund may be answered while nothing of the stake is lost.
_GIVEN_BACK: Final = frozenset({Code.OK, Code.ALREADY_ROLLED_BACK, Code.ALREADY_SETTLED})
_log = structlog.get_logger("wallet")


class NotGivenBack(RuntimeError):
    """Not every bet of a stuck round could be given back now; it stays open and is tried again."""


async def sweep_stuck(pipes: Pipes, journal: Journal) -> int:
    """List every round in which nothing happens, and end those that the site wants ended; returns how many.

    One that cannot be ended now does not keep the others waiting.
    """
    async with pipes.database.reading() as reader:
        found = [
            (site_id, stuck)
            for site_id in await sites_with_open_rounds(reader)
            for stuck in await stuck_rounds(reader, site_id, now=pipes.clock.now(), only_due=True)
        ]
    for site_id, stuck in found:
        try:
            await _sweep(pipes, journal, site_id, stuck)
        except Exception:  # noqa: BLE001  whatever ails this one, the others must not wait
            metrics.ALARMS.labels("round_not_ended").inc()
            _log.exception("round.not_ended", site_id=site_id, round_id=stuck.around.key.round_id)
    return len(found)


async def grant_bonus(
    pipes: Pipes, site_id: int, player: str, amount: Money, key: str, *, by: str = staff.SYSTEM
) -> tuple[Code, bool]:
    """Give a player bonus money, once for each key.

    Batches have transactions of their own: so the site's diary says that it was asked before anything moves,
    and the operation under the key says what became of it.

    Args:
        pipes: the database and the clock.
        site_id: whose player.
        player: the site's own id of the player.
        amount: above zero.
        key: the id of the grant, as whoever grants it chose it.
        by: the actor who gives it, for the site's diary.

    Returns:
        how it ended, and whether it was answered before.

    Raises:
        SiteNotFound, PlayerNotFound: nothing was asked.
    """
    async with pipes.database.transaction() as tx:
        await merchants.site(tx, site_id)
        whose, _ = await players.player_of_login(tx, site_id, player)
        detail = {"id": key, "amount": {"currency": amount.currency, "minor": amount.minor}}
        deed, subject, at = "bonus.asked", whose.player_id, pipes.clock.now()
        await staff.note(tx, site_id, actor=by, deed=deed, subject=subject, detail=detail, at=at)
    content = f"{amount.minor} {amount.currency} {player}".encode()
    ask = Ask(Type.BONUS, "desk", key, player, Policy(), content, key)
    ask.currency, ask.amount = amount.currency, amount.minor
    journal = Journal(pipes)
    try:
        [answer] = await journal.run(site_id, [ask])
    finally:
        await journal.aclose()
    return answer.code, answer.duplicate


async def _sweep(pipes: Pipes, journal: Journal, site_id: int, stuck: Stuck) -> None:
    key = stuck.around.key
    async with pipes.database.transaction() as tx:
        is_new = await list_stuck(tx, site_id, key, at=pipes.clock.now())
    if is_new:
        metrics.ALARMS.labels("stuck_round").inc()
        _log.warning(
            "round.stuck",
            site_id=site_id,
            provider=key.provider,
            round_id=key.round_id,
            opened_at=stuck.around.opened_at.isoformat(),
            changed_at=stuck.around.changed_at.isoformat(),
            action=stuck.policy.stuck_action,
        )
    if stuck.policy.stuck_action is StuckRound.WAIT:
        return
    if stuck.policy.stuck_action is StuckRound.REFUND:
        await _refund(pipes, journal, site_id, stuck)

    async def close(tx: Transaction) -> bool:
        return await close_round(tx, site_id, stuck, at=pipes.clock.now())

    # After refunds it is cancelled already, unless a win has settled one of its bets.
    await pipes.database.retried(close)


async def _refund(pipes: Pipes, journal: Journal, site_id: int, stuck: Stuck) -> None:
    """Give back every bet of a round that no win has settled; none, if it is played on.

    Raises:
        NotGivenBack: not all of them could be; the round stays open.
    """
    async with pipes.database.reading() as reader:
        if await is_played_on(reader, site_id, stuck):
            return
        found = await operations_of_round(reader, site_id, stuck.around)
        player = await players.player(reader, site_id, stuck.player_id)
    settled = {one.reference for one in found if one.type is Type.WIN}
    asks = [
        _rollback(bet, player.site_login, stuck)
        for bet in found
        if bet.type is Type.BET and not bet.is_reversed and bet.key.key not in settled
    ]
    for first in range(0, len(asks), MOST_IN_A_BATCH):
        answers = await journal.run(site_id, asks[first : first + MOST_IN_A_BATCH])
        codes = {answer.code for answer in answers}
        _log.info("round.refunded", site_id=site_id, round_id=stuck.around.key.round_id, codes=sorted(codes))
        if not codes <= _GIVEN_BACK:
            raise NotGivenBack(stuck.around.key.round_id)


def _rollback(bet: Operation, player: str, stuck: Stuck) -> Ask:
    """A rollback as the platform would ask for it, under an id of ours: swept twice, it is still one."""
    return Ask(
        Type.ROLLBACK,
        bet.key.source,
        f"{SWEEPERS}{bet.operation_id}",
        player,
        stuck.policy,
        b"sweeper",
        "sweeper",
        within=bet.key.within,
        reference=bet.key.key,
        round_id=bet.round_id,
        provider=bet.provider,
    )
