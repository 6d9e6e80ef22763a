"""Setting what a site wants of its withdrawals, what it offers, and through which provider accounts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from app import merchants, methods, players, providers, staff
from app.kernel.errors import Refusal
from app.kernel.money import currency_exponent
from app.payments.legs import policy
from app.payments.model import PayoutPolicy
from app.payments.tables import policies
from app.plumbing.database import Transaction

__all__ = [
    "BadPolicy",
    "change_policy",
    "set_accounts",
    "set_most_attempts",
    "set_offer",
    "set_policy",
    "stop_offering",
]

_CAPS = {methods.Direction.DEPOSIT: providers.Cap.DEPOSIT, methods.Direction.PAYOUT: providers.Cap.PAYOUT}


class BadPolicy(Refusal):
    """The {field} {rule}."""

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


async def set_accounts(
    tx: Transaction,
    site_id: int,
    currency: str,
    method: str,
    accounts: Sequence[str],
    *,
    by: str,
    at: datetime,
    direction: methods.Direction = methods.Direction.DEPOSIT,
) -> methods.Offer:
    """Set through which provider accounts a method of a site goes, and note it in the diary.

    What is open goes on by the new order: an account that was asked for it is not asked again. A deposit that
    was asked for while its method had one account stays with that one: where its player's browser comes back
    to was not kept.

    Args:
        tx: the caller's transaction.
        site_id: whose.
        currency, method, direction: of what is offered.
        accounts: the first to be asked standing first.
        by: the actor, as `staff` writes them.
        at: this instant.

    Returns:
        the offer as it is then.

    Raises:
        AccountNotFound: no such account at this site, or nothing is paid so through it. One that is switched
            off may stand there, and is passed by.
        BadAccounts: none, one of them twice, or too many.
        MethodUnavailable: the site does not offer it.
    """
    before = await methods.offer(tx, site_id, currency, method, direction=direction, lock=True)
    await _check_accounts(tx, site_id, accounts, direction)
    await methods.order_accounts(tx, site_id, method, currency, accounts, direction=direction)
    detail = {"accounts": list(accounts), "before": list(before.accounts)}
    await _note(tx, site_id, before, "accounts", detail, by=by, at=at)
    return await methods.offer(tx, site_id, currency, method, direction=direction)


async def set_offer(
    tx: Transaction,
    site_id: int,
    wanted: methods.Offer,
    *,
    by: str,
    at: datetime,
    position: int | None = None,
) -> methods.Offer:
    """Offer a method at a site, or change its limits and its place, and note it in the diary.

    Further accounts that were named for it stay where the first one does; at another one it goes through
    that alone.

    Args:
        tx: the caller's transaction.
        site_id: whose.
        wanted: the method, its limits, and the account that carries it out; its place and `further_accounts`
            are not read.
        by: the actor, as `staff` writes them.
        at: this instant.
        position: its place among the others; None: where it is, or 0 for a new one.

    Returns:
        the offer as it is then.

    Raises:
        SiteNotFound: no such number.
        CurrencyNotOffered: the site does not take the currency of the limits.
        AccountNotFound: no such account at this site, or nothing is paid so through it.
        BadPolicy: a minimum of nothing, or a maximum below it.
        MethodUnavailable: nothing is paid out by this method.
    """
    site = await merchants.site(tx, site_id)
    code, currency, direction = wanted.method.code, wanted.minimum.currency, wanted.direction
    if currency not in site.currencies:
        raise players.CurrencyNotOffered(currency=currency, offered=", ".join(site.currencies))
    if wanted.minimum.minor <= 0:
        raise BadPolicy(field="minimum", rule="must be more than zero")
    if wanted.maximum < wanted.minimum:
        raise BadPolicy(field="maximum", rule="must not be below the minimum")
    await _check_accounts(tx, site_id, [wanted.account], direction)
    before = await methods.offer_method(
        tx,
        site_id,
        code,
        minimum=wanted.minimum,
        maximum=wanted.maximum,
        account=wanted.account,
        position=position,
        direction=direction,
    )
    now_is = await methods.offer(tx, site_id, currency, code, direction=direction)
    detail = {"now": _figures(now_is), "before": before and _figures(before)}
    await _note(tx, site_id, now_is, "set", detail, by=by, at=at)
    return now_is


async def stop_offering(
    tx: Transaction,
    site_id: int,
    currency: str,
    method: str,
    *,
    by: str,
    at: datetime,
    direction: methods.Direction = methods.Direction.DEPOSIT,
) -> methods.Offer:
    """Offer a method no more, and note in the diary how it was offered; offered again it has its place back.

    What is under way goes on at the account where it is; where it fails there, no next one is chosen.

    Args:
        tx: the caller's transaction.
        site_id: whose.
        currency, method, direction: of what is offered.
        by: the actor, as `staff` writes them.
        at: this instant.

    Returns:
        the offer as it was.

    Raises:
        SiteNotFound: no such number.
        MethodUnavailable: the site does not offer it.
    """
    await merchants.site(tx, site_id)
    before = await methods.offer(tx, site_id, currency, method, direction=direction, lock=True)
    await methods.switch_method(tx, site_id, method, currency, enabled=False, direction=direction)
    detail = {"now": None, "before": _figures(before)}
    await _note(tx, site_id, before, "stopped", detail, by=by, at=at)
    return before


async def set_most_attempts(tx: Transaction, site_id: int, most: int, *, by: str, at: datetime) -> None:
    """Set at how many provider accounts one payment is tried at most, and note it in the diary.

    Raises:
        BadAttempts: less than one, or more than a method can have accounts.
        SiteNotFound: no such number.
    """
    await merchants.set_most_attempts(tx, site_id, most, at=at)
    detail = {"most_attempts": most}
    await staff.note(tx, site_id, actor=by, deed="site.most_attempts", subject="site", detail=detail, at=at)


async def _check_accounts(
    tx: Transaction, site_id: int, accounts: Sequence[str], direction: methods.Direction
) -> None:
    """Refuse an account that is not there, or through which nothing is paid in this direction."""
    there = await providers.accounts(tx, [(site_id, name) for name in accounts])
    for name in accounts:
        found = there.get((site_id, name))
        if found is None or _CAPS[direction] not in providers.gateway_of(found).caps:
            raise providers.AccountNotFound(account=name)


async def _note(
    tx: Transaction,
    site_id: int,
    offered: methods.Offer,
    what: str,
    detail: Mapping[str, object],
    *,
    by: str,
    at: datetime,
) -> None:
    subject = f"offer:{offered.method.code}:{offered.minimum.currency}:{offered.direction}"
    await staff.note(tx, site_id, actor=by, deed=f"offer.{what}", subject=subject, detail=detail, at=at)


def _figures(offered: methods.Offer) -> dict[str, object]:
    return {
        "account": offered.account,
        "further_accounts": list(offered.further_accounts),
        "minimum_minor": offered.minimum.minor,
        "maximum_minor": offered.maximum.minor,
        "position": offered.position,
    }


def _check(wanted: PayoutPolicy) -> None:
    for field, figure in (
        ("auto_below", wanted.auto_below.minor if wanted.auto_below else 0),
        ("second_above", wanted.second_above.minor if wanted.second_above else 0),
        ("cooling_seconds", wanted.cooling_seconds),
    ):
        if figure < 0:
            raise BadPolicy(field=field, rule="must not be below zero")
    if wanted.approval_hours <= 0:
        raise BadPolicy(field="approval_hours", rule="must be at least one")
    if wanted.auto_below and wanted.second_above and wanted.second_above < wanted.auto_below:
        raise BadPolicy(field="second_above", rule="must not be below what needs no person at all")
