"""Moving a provider account: to another address, or under another number of ours there.

A second try of an order depends on what the provider says of the first. Asked elsewhere, where nobody may
have heard of it, that is *not found*, and the order goes out again.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import func, select

from app import providers
from app.kernel.errors import Refusal
from app.payments.states import Kind, LegState, Status
from app.payments.tables import attempts, legs, payments
from app.plumbing.database import Reader, Transaction

__all__ = ["OrdersUnderWay", "move_account", "orders_under_way"]

_OPEN: Final = (Status.PENDING, Status.PROCESSING)
# What nothing was paid of yet may be, or people have yet to say what became of it.
_OPEN_PARTS: Final = (
    *(LegState.SUBMITTED, LegState.PROVIDER_PENDING),
    *(LegState.UNKNOWN, LegState.CONFLICTED),
)


class OrdersUnderWay(Refusal):
    """Orders at {account} are under way ({count}): say that they are known there, or they go out again."""


async def move_account(
    tx: Transaction,
    site_id: int,
    name: str,
    change: providers.AccountChange,
    *,
    with_orders: bool,
    by: str,
    at: datetime,
    allowed_private_peers: frozenset[tuple[str, int]],
) -> None:
    """Change where a provider account is, or as whom we come there, as `providers.change_account`.

    Args:
        tx: the caller's transaction.
        site_id, name: which account.
        change: what changes.
        with_orders: the orders that are under way are known there as well.
        by: the actor, as `staff` writes them.
        at: this instant.
        allowed_private_peers: hosts and ports of the private network that may be called.

    Raises:
        OrdersUnderWay: some are, and nobody has said that they are known there; nothing may be committed.
        SiteNotFound, AccountNotFound, BadAccount, AccountUnchanged: as `providers.change_account`.
    """
    # First the change, which waits for who begins an order there and holds the account. Counted before, one
    # would be missed that is written a moment later and sent to the place that was. Refused, it is undone.
    await providers.change_account(
        tx, site_id, name, change, by=by, at=at, allowed_private_peers=allowed_private_peers
    )
    is_moved = change.base_url is not None or change.merchant_id is not None
    count = await orders_under_way(tx, site_id, name) if is_moved and not with_orders else 0
    if count:
        raise OrdersUnderWay(count=count, account=name)


async def orders_under_way(reader: Reader, site_id: int, account: str) -> int:
    """How many orders at a provider account are under way: what it says of them still counts.

    Each try of an order that is open, also one that is over: that its provider knows nothing of it is what
    lets another follow. Of a withdrawal in parts each part's own state says whether it is. What failed counts
    as long as it is asked about. A deposit whose merchant is being asked has no order yet: it is placed where
    the account is by then.
    """
    its = (attempts.c.site_id == payments.c.site_id) & (attempts.c.payment_id == payments.c.payment_id)
    part = (legs.c.site_id == attempts.c.site_id) & (legs.c.payment_id == attempts.c.payment_id)
    tried = attempts.join(payments, its).outerjoin(legs, part & (legs.c.leg == attempts.c.leg))
    waits = (legs.c.state == LegState.PLANNED) & ~legs.c.is_released
    is_open = legs.c.leg.is_(None) & payments.c.status.in_(_OPEN)
    # Nobody has paid, and the provider is asked for a while whether somebody did after all.
    asked_late = (
        (payments.c.kind == Kind.DEPOSIT)
        & (payments.c.status == Status.FAILED)
        & payments.c.ask_at.is_not(None)
    )
    there = (attempts.c.site_id == site_id) & (attempts.c.account == account)
    counts = attempts.c.is_questioned | is_open | waits | legs.c.state.in_(_OPEN_PARTS) | asked_late
    found = await reader.scalar(select(func.count()).select_from(tried).where(there, counts))
    return int(found or 0)
