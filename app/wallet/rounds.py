"""What can be asked about rounds, and how one is ended without its platform.

A round is open until it is completed or cancelled; one in which nothing happens for too long is listed, and
ended as the site has decided (wallet.md 2.5). What the house itself does in it is nothing that happens.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, and_, exists, or_, select, update
from typing_extensions import override

from app.plumbing.database import Reader, Transaction
from app.wallet.queries import found_operations, lock_wallets, policies_of, round_of, select_operations
from app.wallet.tables import operations, rounds, wallets
from app.wallet.terms import SWEEPERS, Operation, Policy, Round, RoundKey, RoundState, StuckRound, Type

__all__ = [
    "Stuck",
    "close_round",
    "is_played_on",
    "list_stuck",
    "operations_of_round",
    "rounds_named",
    "sites_with_open_rounds",
    "stuck_rounds",
]

_MOST_OF_A_ROUND: Final = 100_000
_MOST_STUCK: Final = 500


class Stuck(NamedTuple):
    """A round in which too long nothing has happened, whose it is, and what the site wants done with it."""

    around: Round
    player_id: str
    policy: Policy
    listed_at: datetime | None

    @override
    def __str__(self) -> str:
        """Write it for people: since when, which, and what will be done."""
        key = self.around.key
        since = f"{self.around.changed_at:%Y-%m-%d %H:%M}"
        return f"{since}  {key.provider}  {key.round_id}  {self.policy.stuck_action}"


_by = operations.alias("by")
_last = operations.alias("last")


def _played(since: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether anybody but the house has done something in a round since then."""
    return exists().where(
        _by.c.site_id == rounds.c.site_id,
        _by.c.wallet_id == rounds.c.wallet_id,
        _by.c.applied,
        _by.c.sequence.between(rounds.c.first_sequence, rounds.c.last_sequence),
        _by.c.round_id == rounds.c.round_id,
        _by.c.provider_id == rounds.c.provider_id,
        ~_by.c.key.startswith(SWEEPERS),
        since,
    )


# A sweep that was not finished: it is taken up again at once.
_LAST_IS_OURS: Final = exists().where(
    _last.c.site_id == rounds.c.site_id,
    _last.c.wallet_id == rounds.c.wallet_id,
    _last.c.applied,
    _last.c.sequence == rounds.c.last_sequence,
    _last.c.key.startswith(SWEEPERS),
)
_IS_NEWS: Final = or_(
    rounds.c.listed_at.is_(None),
    and_(rounds.c.changed_at > rounds.c.listed_at, _played(_by.c.recorded_at > rounds.c.listed_at)),
)


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
    """Open rounds in which nothing has happened for longer than their platform or the site allows.

    Those come first that were opened first.

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
        since = now - timedelta(hours=policy.stuck_after_hours)
        asked = (
            select(rounds, wallets.c.player_id)
            .join(
                wallets,
                and_(wallets.c.site_id == rounds.c.site_id, wallets.c.wallet_id == rounds.c.wallet_id),
            )
            .where(
                rounds.c.site_id == site_id,
                rounds.c.state == RoundState.OPEN,
                # By the index of open rounds; of those that are as old as that, few are still played.
                rounds.c.opened_at < since,
                or_(rounds.c.changed_at < since, and_(_LAST_IS_OURS, ~_played(_by.c.recorded_at >= since))),
                its,
            )
        )
        if only_due and policy.stuck_action is StuckRound.WAIT:
            asked = asked.where(_IS_NEWS)
        rows = await reader.all(asked.order_by(rounds.c.opened_at).limit(_MOST_STUCK))
        found += [Stuck(round_of(row), row.player_id, policy, row.listed_at) for row in rows]
    return sorted(found, key=lambda stuck: stuck.around.opened_at)


async def list_stuck(tx: Transaction, site_id: int, key: RoundKey, *, at: datetime) -> bool:
    """Note that a round was found stuck; whether it is the first time since it was played."""
    noted = await tx.first(
        update(rounds).where(*_is(site_id, key), _IS_NEWS).values(listed_at=at).returning(rounds.c.round_id)
    )
    return noted is not None


async def is_played_on(reader: Reader, site_id: int, stuck: Stuck) -> bool:
    """Whether anything has happened in a round since it was found stuck."""
    its = _is(site_id, stuck.around.key)
    asked = select(rounds.c.round_id).where(*its, _played(_by.c.sequence > stuck.around.last_sequence))
    return await reader.first(asked) is not None


async def close_round(tx: Transaction, site_id: int, stuck: Stuck, *, at: datetime) -> bool:
    """Complete a round without its platform: what was bet and not won is lost; whether it was open.

    A round that its platform has played since it was found stuck is not: it is left for the next time.
    """
    await lock_wallets(tx, site_id, stuck.player_id)
    closed = await tx.first(
        update(rounds)
        .where(
            *_is(site_id, stuck.around.key),
            rounds.c.state == RoundState.OPEN,
            ~_played(_by.c.sequence > stuck.around.last_sequence),
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
