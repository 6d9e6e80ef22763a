"""What is true of provider accounts and their notices."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Integer,
    ScalarSelect,
    Text,
    bindparam,
    column,
    func,
    select,
)
from sqlalchemy.engine import Row

from app.kernel.errors import Refusal
from app.plumbing.database import Built, Reader
from app.providers.contract import Cap, Gateway, ProviderAccount, RawNotice, Report, judged
from app.providers.gateways import GATEWAYS
from app.providers.tables import NoticeState, notices, provider_accounts

__all__ = [
    "AccountNotFound",
    "StoredNotice",
    "able",
    "account",
    "account_beside",
    "account_of",
    "accounts",
    "accounts_of_site",
    "gateway_of",
    "gateway_on",
    "have_moved",
    "orphans",
    "reports_of",
    "stored_notice",
    "takes_orders",
    "unread_notice",
]


_MOST_SITE_ID = 2**31 - 1  # an int4


class AccountNotFound(Refusal):
    """There is no provider account {account} at this site."""


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """A notice as it was stored, and how far it has come."""

    site_id: int
    notice_id: str
    account: str
    state: NoticeState
    raw: RawNotice
    received_at: datetime


_ONE = select(provider_accounts).where(
    provider_accounts.c.site_id == bindparam("of_site"),
    provider_accounts.c.account == bindparam("of_account"),
)
_ACCOUNT = Built(_ONE)  # every call to a provider begins with it
# Who holds it waits for nobody but those who change it, and they for him (`operations`).
_ACCOUNT_HELD = Built(_ONE.with_for_update(read=True))
_wanted = (
    func.unnest(bindparam("of_sites", type_=ARRAY(Integer)), bindparam("of_accounts", type_=ARRAY(Text)))
    .table_valued(column("site_id", Integer), column("account", Text))
    .render_derived(name="wanted")
)
_ACCOUNTS = Built(
    select(provider_accounts).where(
        provider_accounts.c.site_id == _wanted.c.site_id, provider_accounts.c.account == _wanted.c.account
    )
)
_BY_ID = notices.select().where(
    notices.c.site_id == bindparam("of_site"), notices.c.notice_id == bindparam("of_notice")
)
_NOTICE, _NOTICE_LOCKED = Built(_BY_ID), Built(_BY_ID.with_for_update())
_found = provider_accounts.c
_OF_ACCOUNT = (_found.gateway, _found.base_url, _found.page_origin, _found.credentials)
_OF_FORMER = (_found.former_secret, _found.former_secret_ends_at)
# A notice that nobody has read, and whose it is.
_UNREAD = Built(
    select(notices, *_OF_ACCOUNT, *_OF_FORMER)
    .outerjoin(
        provider_accounts, (_found.site_id == notices.c.site_id) & (_found.account == notices.c.account)
    )
    .where(
        notices.c.site_id == bindparam("of_site"),
        notices.c.notice_id == bindparam("of_notice"),
        notices.c.state == NoticeState.NEW,
    )
)


async def accounts(
    reader: Reader, wanted: Collection[tuple[int, str]]
) -> dict[tuple[int, str], ProviderAccount]:
    """The accounts of these sites and names, switched off or not; who is not there is left out."""
    possible = [(site_id, name) for site_id, name in wanted if _can_be(site_id, name)]
    if not possible:
        return {}
    sites, names = zip(*possible, strict=True)
    if len(possible) == 1:  # planned once, and not for each array anew
        rows = await reader.all(_ACCOUNT, {"of_site": sites[0], "of_account": names[0]})
    else:
        rows = await reader.all(_ACCOUNTS, {"of_sites": sites, "of_accounts": names})
    return {(row.site_id, row.account): _account(row) for row in rows if row.gateway in GATEWAYS}


async def account(
    reader: Reader, site_id: int, name: str, *, must_be_enabled: bool = False, held: bool = False
) -> ProviderAccount:
    """A site's account at a provider.

    An account that is switched off takes no new orders (`must_be_enabled`); what it tells of old ones still
    counts. Whoever begins an order there, in a transaction, asks for it `held`: nobody changes it until that
    has ended, and who changes it then sees the order.

    Raises:
        AccountNotFound: none of that name, or switched off where it must not be.
    """
    if not _can_be(site_id, name):
        raise AccountNotFound(account=name)
    its = {"of_site": site_id, "of_account": name}
    row = await reader.first(_ACCOUNT_HELD if held else _ACCOUNT, its)
    if row is None or row.gateway not in GATEWAYS or (must_be_enabled and not row.enabled):
        raise AccountNotFound(account=name)
    return _account(row)


async def have_moved(reader: Reader, asked: Iterable[ProviderAccount]) -> bool:
    """Whether any of these accounts is not where it was asked any more; else all are held, as by `account`.

    What its former address does not know may be known at the new one, and paid. So no order follows upon
    that, and none is sent again: it is asked anew.

    Args:
        reader: a transaction; they stay where they are until that has ended. Of nobody nothing is read.
        asked: each as it was when it was asked about an order.

    Raises:
        AccountNotFound: nobody speaks its language any more.
    """
    for one in asked:
        if not (await account(reader, one.site_id, one.account, held=True)).is_where(one):
            return True
    return False


def account_beside(site_id: ColumnElement[int], name: ColumnElement[str]) -> FromClause:
    """An account as columns beside a row of another statement, held as by `account`; read by `account_of`."""
    found = provider_accounts
    of = (found.c.gateway, found.c.base_url, found.c.page_origin, found.c.credentials, found.c.enabled)
    its = (found.c.site_id == site_id) & (found.c.account == name)
    columns = [one.label(f"account_{one.name}") for one in of]
    return select(*columns).where(its).with_for_update(read=True).lateral("its_account")


def account_of(row: Row[Any]) -> tuple[ProviderAccount, bool]:
    """The account beside a row of its site and name, for sending; and whether it takes new orders."""
    place = (row.account_gateway, row.account_base_url, row.account_page_origin)
    is_on = row.account_enabled and row.account_gateway in GATEWAYS
    return ProviderAccount(row.site_id, row.account, *place, credentials=row.account_credentials), is_on


def gateway_on(site_id: ColumnElement[int], name: ColumnElement[str]) -> ScalarSelect[str]:
    """The gateway of an account that is switched on, as a column of another statement; for `takes_orders`."""
    its = (provider_accounts.c.site_id == site_id) & (provider_accounts.c.account == name)
    return select(provider_accounts.c.gateway).where(its, provider_accounts.c.enabled).scalar_subquery()


def takes_orders(gateway: str | None) -> bool:
    """Whether an account takes new orders now, by what `gateway_on` found."""
    return gateway in GATEWAYS


async def accounts_of_site(reader: Reader, site_id: int) -> list[tuple[ProviderAccount, bool]]:
    """Every account of a site by its name, and whether it takes new orders."""
    rows = await reader.all(
        select(provider_accounts)
        .where(provider_accounts.c.site_id == site_id)
        .order_by(provider_accounts.c.account)
    )
    return [(_account(row), row.enabled and row.gateway in GATEWAYS) for row in rows]


async def able(reader: Reader, site_id: int, names: Collection[str], cap: Cap) -> set[str]:
    """Those of a site's accounts that take new orders of this kind now."""
    asked = {"of_sites": [site_id] * len(names), "of_accounts": [*names]}
    rows = await reader.all(_ACCOUNTS, asked) if names else []
    return {
        row.account
        for row in rows
        if row.enabled and row.gateway in GATEWAYS and cap in GATEWAYS[row.gateway].caps
    }


def gateway_of(found: ProviderAccount) -> Gateway:
    """The gateway that speaks the account's language."""
    return GATEWAYS[found.gateway]


async def stored_notice(
    reader: Reader, site_id: int, notice_id: str, *, lock: bool = False
) -> StoredNotice | None:
    """One notice, as raw as it came; with `lock`, nobody else reads it into a payment meanwhile."""
    its = {"of_site": site_id, "of_notice": notice_id}
    row = await reader.first(_NOTICE_LOCKED if lock else _NOTICE, its)
    return _notice(row) if row else None


async def unread_notice(
    reader: Reader, site_id: int, notice_id: str
) -> tuple[StoredNotice, ProviderAccount] | None:
    """A notice that nobody has read yet, and the account that it came to.

    Raises:
        AccountNotFound: nobody speaks the account's language any more.
    """
    row = await reader.first(_UNREAD, {"of_site": site_id, "of_notice": notice_id})
    if row is None:
        return None
    if row.gateway not in GATEWAYS:
        raise AccountNotFound(account=row.account)
    return _notice(row), _account(row)


async def orphans(reader: Reader, site_id: int, limit: int = 100) -> Sequence[StoredNotice]:
    """Authentic notices whose reference is nobody's: for people to match, newest first."""
    rows = await reader.all(
        notices.select()
        .where(notices.c.site_id == site_id, notices.c.state == NoticeState.ORPHAN)
        .order_by(notices.c.received_at.desc())
        .limit(limit)
    )
    return [_notice(row) for row in rows]


def reports_of(found: ProviderAccount, notice: StoredNotice) -> list[Report]:
    """The facts a stored notice tells, in our words."""
    reports = gateway_of(found).parse(found, notice.raw)
    return [replace(report, result=judged(found, report.result)) for report in reports]


def _can_be(site_id: int, name: str) -> bool:
    """Whether it can be an account of ours at all: a stranger's path may have anything."""
    return 0 < site_id <= _MOST_SITE_ID and name.isprintable()


def _account(row: Row[Any]) -> ProviderAccount:
    return ProviderAccount(
        site_id=row.site_id,
        account=row.account,
        gateway=row.gateway,
        base_url=row.base_url,
        page_origin=row.page_origin,
        credentials=row.credentials,
        former_secret=row.former_secret,
        former_secret_ends_at=row.former_secret_ends_at,
    )


def _notice(row: Row[Any]) -> StoredNotice:
    raw = RawNotice(row.path, row.headers, row.body)
    return StoredNotice(row.site_id, row.notice_id, row.account, NoticeState(row.state), raw, row.received_at)
