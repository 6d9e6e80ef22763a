"""What can be done with a site's methods: offer one, switch one off."""

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert

from app.kernel.money import Money
from app.methods.model import CATALOGUE, MethodUnavailable
from app.methods.tables import site_methods
from app.plumbing.database import Transaction

__all__ = ["offer_method", "switch_method"]


async def offer_method(
    tx: Transaction,
    site_id: int,
    method: str,
    *,
    minimum: Money,
    maximum: Money,
    account: str,
    position: int = 0,
) -> None:
    """Offer a method at a site in the currency of its limits, or change its limits, account and place.

    Raises:
        MethodUnavailable: no such method in the catalogue.
        CurrencyMismatch: the two limits differ in currency.
    """
    if method not in CATALOGUE:
        raise MethodUnavailable(method=method)
    if maximum < minimum:
        raise ValueError("maximum below minimum")
    row = {
        "enabled": True,
        "minimum_minor": minimum.minor,
        "maximum_minor": maximum.minor,
        "account": account,
        "position": position,
    }
    await tx.execute(
        insert(site_methods)
        .values(site_id=site_id, method=method, currency=minimum.currency, **row)
        .on_conflict_do_update(index_elements=["site_id", "method", "currency"], set_=row)
    )


async def switch_method(tx: Transaction, site_id: int, method: str, currency: str, *, enabled: bool) -> None:
    """Switch an offered method on or off.

    Raises:
        MethodUnavailable: the site does not offer it in this currency.
    """
    done = await tx.execute(
        update(site_methods)
        .where(
            site_methods.c.site_id == site_id,
            site_methods.c.method == method,
            site_methods.c.currency == currency,
        )
        .values(enabled=enabled)
    )
    if not done.rowcount:
        raise MethodUnavailable(method=method)
