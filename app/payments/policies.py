"""Setting what a site wants of its withdrawals."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from app import merchants, staff
from app.kernel.errors import Refusal
from app.kernel.money import currency_exponent
from app.payments.legs import policy
from app.payments.model import PayoutPolicy
from app.payments.tables import policies
from app.plumbing.database import Transaction

__all__ = ["BadPolicy", "change_policy", "set_policy"]


class BadPolicy(Refusal):
    """{field}: {rule}."""

    def __init__(self, *, field: str, rule: str) -> None:
        """Name the figure that cannot be."""
        super().__init__(field=field, rule=rule)
        self.param = field


async def set_policy(
    tx: Transaction, site_id: int, currency: str, wanted: PayoutPolicy, *, by: str, at: datetime
) -> None:
    """Set a site's policy in a currency, and note it in the diary; what is open keeps its approvals.

    Args:
        by: the actor, as `staff` writes them.

    Raises:
        SiteNotFound, UnknownCurrency: no such site or currency.
        BadPolicy: a figure below nothing, or a second person from below the amount that needs none.
    """
    await merchants.site(tx, site_id)
    currency_exponent(currency)
    _check(wanted)
    row = {
        "auto_below_minor": None if wanted.auto_below is None else wanted.auto_below.minor,
        "second_above_minor": None if wanted.second_above is None else wanted.second_above.minor,
        "cooling_seconds": wanted.cooling_seconds,
        "player_may_cancel": wanted.player_may_cancel,
        "closed_loop": wanted.closed_loop,
        "needs_initiation": wanted.needs_initiation,
        "allow_without_request": wanted.allow_without_request,
        "approval_hours": wanted.approval_hours,
    }
    writing = insert(policies).values(site_id=site_id, currency=currency, changed_at=at, **row)
    await tx.execute(
        writing.on_conflict_do_update(index_elements=["site_id", "currency"], set_={**row, "changed_at": at})
    )
    await staff.note(
        tx, site_id, actor=by, deed="payout_policy.set", subject=f"policy:{currency}", detail=row, at=at
    )


async def change_policy(
    tx: Transaction, site_id: int, currency: str, changes: Mapping[str, Any], *, by: str, at: datetime
) -> PayoutPolicy:
    """Change some of a site's policy and leave the rest as it is; without changes nothing is written.

    Args:
        changes: by the names of `PayoutPolicy`.

    Returns:
        the policy as it is then.
    """
    wanted = replace(await policy(tx, site_id, currency), **changes)
    if changes:
        await set_policy(tx, site_id, currency, wanted, by=by, at=at)
    return wanted


def _check(wanted: PayoutPolicy) -> None:
    for field, figure in (
        ("auto_below", wanted.auto_below.minor if wanted.auto_below else 0),
        ("second_above", wanted.second_above.minor if wanted.second_above else 0),
        ("cooling_seconds", wanted.cooling_seconds),
    ):
        if figure < 0:
            raise BadPolicy(field=field, rule="not below nothing")
    if wanted.approval_hours <= 0:
        raise BadPolicy(field="approval_hours", rule="at least one")
    if wanted.auto_below and wanted.second_above and wanted.second_above < wanted.auto_below:
        raise BadPolicy(field="second_above", rule="not below what needs no person at all")
