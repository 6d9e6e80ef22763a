"""What can be asked about rounds, and how one is ended without its platform.

A round is open until it is completed or cancelled; one that stays open too long is listed, and ended as the
site has decided (wallet.md 2.5).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import and_, exists, or_, select, update
from typing_extensions import override

from app.plumbing.database import Reader, Transaction
from app.wallet.queries import found_operations, lock_wallets, policies_of, round_of, select_operations
from app.wallet.tables import operations, rounds, wallets
from app.wallet.terms import Operation, Policy, Round, RoundKey, RoundState, StuckRound, Type

__all__ = [
    "Stuck",
    "close_round",
    "list_stuck",
    "operations_of_round",
    "rounds_named",
    "sites_with_open_rounds",
    "stuck_rounds",
]

_MOST_OF_A_ROUND: Final = 100_000
_MOST_STUCK: Final = 500


class Stuck(NamedTuple):
    """A round that is open too long, whose it is, and what the site wants done with it."""

    around: Round
    player_id: str
    policy: Policy
    listed_at: datetime | None

    @override
    def __str__(self) -> str:
        """Write it for people: since when, which, and what will be done."""
        key = self.around.key
        since = f"{self.around.opened_at:%Y-%m-%d %H:%M}"
        return f"{since}  {key.provider}  {key.round_id}  {self.policy.stuck_action}"


async def operations_of_round(reader: Reader, site_id: int, around: Round) -> list[Operation]:
    """What belongs to a round, in order: its bets and wins, and what took them back."""
    key = around.key
    named = operations.alias("named")
    asked = (
        select_operations(site_id)
        .where(
            operations.c.wallet_id == key.wallet_id,
            operations.c.applied,
            operations.c.sequence.between(around.first_sequence, around.last_sequence),
            or_(
                and_(operations.c.round_id == key.round_id, operations.c.provider_id == key.provider),
                and_(
                    operations.c.type == Type.ROLLBACK,
                    exists().where(
                        named.c.site_id == site_id,
                        named.c.source == operations.c.source,
                        named.c.within == operations.c.within,
                        named.c.key == operations.c.reference,
                        named.c.round_id == key.round_id,
                        named.c.provider_id == key.provider,
                    ),
                ),
            ),
        )
        .order_by(operations.c.sequence)
        .limit(_MOST_OF_A_ROUND)
    )
    return await found_operations(reader, asked)


async def rounds_named(
    reader: Reader, site_id: int, wallet_ids: Sequence[int], provider: str, round_id: str
) -> list[Round]:
    """The rounds of this name in any of these wallets, the newest first."""
    rows = await reader.all(
        rounds.select()
        .where(
            rounds.c.site_id == site_id,
            rounds.c.wallet_id.in_(wallet_ids),
            rounds.c.provider_id == provider,
            rounds.c.round_id == round_id,
        )
        .order_by(rounds.c.opened_at.desc(), rounds.c.wallet_id)
    )
    return [round_of(row) for row in rows]


async def sites_with_open_rounds(reader: Reader) -> list[int]:
    """Where a round may be stuck."""
    rows = await reader.all(
        select(rounds.c.site_id)
        .where(rounds.c.state == RoundState.OPEN)
        .distinct()
        .order_by(rounds.c.site_id)
    )
    return [row.site_id for row in rows]


async def stuck_rounds(
    reader: Reader,
    site_id: int,
    *,
    now: datetime,
    only_due: bool = False,
) -> list[Stuck]:
    """Rounds that are open longer than their platform or the site allows, the oldest first.

    Args:
        reader: where to read.
        site_id: whose rounds.
        now: this instant.
        only_due: leave out those that were listed before and only wait.
    """
    policies = await policies_of(reader, site_id)
    named = [provider for provider in policies if provider]
    found: list[Stuck] = []
    for provider, policy in policies.items():
        its = rounds.c.provider_id == provider if provider else rounds.c.provider_id.not_in(named)
        asked = (
            select(rounds, wallets.c.player_id)
            .join(
                wallets,
                and_(wallets.c.site_id == rounds.c.site_id, wallets.c.wallet_id == rounds.c.wallet_id),
            )
            .where(
                rounds.c.site_id == site_id,
                rounds.c.state == RoundState.OPEN,
                rounds.c.opened_at < now - timedelta(hours=policy.stuck_after_hours),
                its,
            )
        )
        if only_due and policy.stuck_action is StuckRound.WAIT:
            asked = asked.where(rounds.c.listed_at.is_(None))
        rows = await reader.all(asked.order_by(rounds.c.opened_at).limit(_MOST_STUCK))
        found += [Stuck(round_of(row), row.player_id, policy, row.listed_at) for row in rows]
    return sorted(found, key=lambda stuck: stuck.around.opened_at)


async def list_stuck(tx: Transaction, site_id: int, key: RoundKey, *, at: datetime) -> bool:
    """Note that a round was found open too long; whether it is the first time."""
    noted = await tx.first(
        update(rounds)
        .where(*_is(site_id, key), rounds.c.listed_at.is_(None))
        .values(listed_at=at)
        .returning(rounds.c.round_id)
    )
    return noted is not None


async def close_round(tx: Transaction, site_id: int, stuck: Stuck, *, at: datetime) -> bool:
    """Complete a round without its platform: what was bet and not won is lost; whether it was open.

    A round that its platform has bet in since it was found stuck is not: it is left for the next time.
    """
    await lock_wallets(tx, site_id, stuck.player_id)
    closed = await tx.first(
        update(rounds)
        .where(
            *_is(site_id, stuck.around.key),
            rounds.c.state == RoundState.OPEN,
            rounds.c.bet_minor == stuck.around.bet,
        )
        .values(state=RoundState.COMPLETED, changed_at=at)
        .returning(rounds.c.round_id)
    )
    return closed is not None


def _is(site_id: int, key: RoundKey) -> list[Any]:
    return [
        rounds.c.site_id == site_id,
        rounds.c.wallet_id == key.wallet_id,
        rounds.c.provider_id == key.provider,
        rounds.c.round_id == key.round_id,
    ]
