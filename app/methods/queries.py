"""What a site offers now."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Row

from app.kernel.money import Money
from app.methods.model import CATALOGUE, MethodUnavailable, Offer
from app.methods.tables import site_methods
from app.plumbing.database import Reader

__all__ = ["offer", "offers"]


async def offers(reader: Reader, site_id: int, currency: str) -> list[Offer]:
    """Every enabled method of a site in a currency, in the site's order."""
    rows = await reader.all(
        select(site_methods)
        .where(site_methods.c.site_id == site_id, site_methods.c.currency == currency, site_methods.c.enabled)
        .order_by(site_methods.c.position, site_methods.c.method)
    )
    return [_offer(row) for row in rows if row.method in CATALOGUE]


async def offer(reader: Reader, site_id: int, currency: str, method: str) -> Offer:
    """One method as the site offers it.

    Raises:
        MethodUnavailable: unknown, not offered in this currency, or switched off.
    """
    row = await reader.first(
        select(site_methods).where(
            site_methods.c.site_id == site_id,
            site_methods.c.currency == currency,
            site_methods.c.method == method,
            site_methods.c.enabled,
        )
    )
    if row is None or row.method not in CATALOGUE:
        raise MethodUnavailable(method=method)
    return _offer(row)


def _offer(row: Row[Any]) -> Offer:
    return Offer(
        method=CATALOGUE[row.method],
        minimum=Money(row.minimum_minor, row.currency),
        maximum=Money(row.maximum_minor, row.currency),
        account=row.account,
        position=row.position,
    )
