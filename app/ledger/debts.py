"""What a player owes: money that left although it was not there any more, and how it is paid back.

A player's balance never goes below nothing. What the house is out of pocket stands in `player_debt`, below
nothing until it is repaid; who owes is paid nothing out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.kernel.money import Money
from app.ledger.chart import DEBT_REPAY, Outflow
from app.ledger.model import AccountName, Movement, Posted, PostRequest, Purpose
from app.ledger.operations import locked, post
from app.ledger.queries import balance
from app.ledger.tables import transfers
from app.plumbing.database import Reader, Transaction

__all__ = ["Demand", "debt", "give", "repay", "take"]


@dataclass(frozen=True, slots=True)
class Demand:
    """Money that leaves, or comes back, through a provider, whatever the player has.

    Args:
        source, key: as in `PostRequest`; the key is shared by the parts, at most 120 characters.
        outflow: for which reason.
        amount: above zero.
        player_id: whose cash and debt.
        provider: whose clearing account.
        because: what caused it, e.g. a payout id.
    """

    source: str
    key: str
    outflow: Outflow
    amount: Money
    player_id: str
    provider: str
    because: str

    def part(self, name: str, movement: Movement, amount: Money) -> PostRequest:
        """One of the transfers it becomes."""
        out = movement.target is Purpose.PROVIDER_CLEARING
        owners = (self.player_id, self.provider) if out else (self.provider, self.player_id)
        return PostRequest(self.source, f"{self.key}:{name}", movement, amount, *owners, self.because)


async def debt(reader: Reader, site_id: int, player_id: str, currency: str) -> Money:
    """What a player owes now; nothing or more."""
    return -await balance(reader, site_id, AccountName(player_id, Purpose.PLAYER_DEBT, currency))


async def take(tx: Transaction, site_id: int, demand: Demand, *, at: datetime) -> list[Posted]:
    """Take from the player's cash what is there, and let the rest be owed.

    Taken once: asked again under its key, nothing moves and nothing is returned.

    Returns:
        the transfers, one or two.
    """
    cash, _ = await _balances(tx, site_id, demand, at)
    if await _is_known(tx, site_id, demand):
        return []
    from_cash = min(cash, demand.amount)
    return await post(
        tx,
        site_id,
        _parts(
            demand,
            ("cash", demand.outflow.from_cash, from_cash),
            ("debt", demand.outflow.from_debt, demand.amount - from_cash),
        ),
        at=at,
    )


async def give(tx: Transaction, site_id: int, demand: Demand, *, at: datetime) -> list[Posted]:
    """Give the player what came back: what is owed is repaid first. Once, as `take`."""
    _, owed = await _balances(tx, site_id, demand, at)
    if await _is_known(tx, site_id, demand):
        return []
    to_debt = min(owed, demand.amount)
    return await post(
        tx,
        site_id,
        _parts(
            demand,
            ("debt", demand.outflow.to_debt, to_debt),
            ("cash", demand.outflow.to_cash, demand.amount - to_debt),
        ),
        at=at,
    )


async def repay(
    tx: Transaction, site_id: int, player_id: str, currency: str, *, source: str, key: str, at: datetime
) -> Money:
    """Let a player's cash pay what he owes, as far as it goes.

    Returns:
        what was repaid.
    """
    most = Money(1, currency)
    probe = PostRequest(source, key, DEBT_REPAY, most, player_id, player_id, "debt.repay")
    cash, owed = await _locked_balances(tx, site_id, [probe], player_id, currency, at)
    paying = min(cash, owed)
    if paying.minor > 0:
        request = PostRequest(source, key, DEBT_REPAY, paying, player_id, player_id, "debt.repay")
        await post(tx, site_id, [request], at=at)
    return paying


def _parts(demand: Demand, *parts: tuple[str, Movement, Money]) -> list[PostRequest]:
    return [demand.part(name, movement, amount) for name, movement, amount in parts if amount.minor > 0]


async def _is_known(tx: Transaction, site_id: int, demand: Demand) -> bool:
    """Whether it was done before; looked at after the locks, so that of two at once the second knows."""
    keys = [f"{demand.key}:{name}" for name in ("cash", "debt")]
    found = await tx.first(
        select(transfers.c.transfer_id).where(
            transfers.c.site_id == site_id,
            transfers.c.source == demand.source,
            transfers.c.key.in_(keys),
        )
    )
    return found is not None


async def _balances(tx: Transaction, site_id: int, demand: Demand, at: datetime) -> tuple[Money, Money]:
    probes = [
        demand.part("cash", demand.outflow.from_cash, demand.amount),
        demand.part("debt", demand.outflow.from_debt, demand.amount),
    ]
    return await _locked_balances(tx, site_id, probes, demand.player_id, demand.amount.currency, at)


async def _locked_balances(
    tx: Transaction,
    site_id: int,
    requests: Sequence[PostRequest],
    player_id: str,
    currency: str,
    at: datetime,
) -> tuple[Money, Money]:
    """What the player has and what he owes; both accounts stay as they are until the transaction ends."""
    accounts = await locked(tx.raw, site_id, requests, at)
    cash = accounts.get(AccountName(player_id, Purpose.PLAYER_CASH, currency))
    owed = accounts.get(AccountName(player_id, Purpose.PLAYER_DEBT, currency))
    return Money(cash.balance if cash else 0, currency), Money(-owed.balance if owed else 0, currency)
