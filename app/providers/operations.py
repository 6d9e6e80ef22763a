"""What can be done with accounts at providers: open one, change it, give it another secret."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row

from app import merchants, staff
from app.kernel.errors import Refusal
from app.plumbing.addresses import Peer, check_registered_url
from app.plumbing.database import Transaction
from app.providers.account_checks import (
    BadAccount,
    NewAccount,
    check_gateway,
    check_new,
    check_place,
    check_secret,
)
from app.providers.queries import AccountNotFound
from app.providers.tables import provider_accounts

__all__ = [
    "OVERLAP_HOURS",
    "AccountChange",
    "AccountTaken",
    "AccountUnchanged",
    "change_account",
    "end_former_secret",
    "forget_former_secrets",
    "open_account",
    "rotate_secret",
    "seed_account",
    "switch_account",
]

# 24: a provider's people change their side within a working day, and repeats of the day before have come.
OVERLAP_HOURS: Final = 24
_MOST_OVERLAP_HOURS: Final = 720  # 30 days; what is needed for longer is a second secret, and no former one


class AccountTaken(Refusal):
    """This site has a provider account {account} already."""


class AccountUnchanged(Refusal):
    """Nothing would change at the provider account {account}."""


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What changes at an account, by the names of `NewAccount`; None: it stays as it is."""

    base_url: str | None = None
    merchant_id: str | None = None
    page_origin: str | None = None


async def open_account(
    tx: Transaction,
    site_id: int,
    new: NewAccount,
    *,
    by: str,
    at: datetime,
    allowed_private_peers: frozenset[Peer] = frozenset(),
) -> None:
    """Open a provider account that an operator names, and note it in the diary, without the secret.

    Args:
        tx: the caller's transaction.
        site_id: whose.
        new: what was decided.
        by: the actor, as `staff` writes them.
        at: this instant.
        allowed_private_peers: hosts and ports that may be private, and plain http.

    Raises:
        SiteNotFound: no such number.
        BadAccount: a gateway that is not known, or what can be no name, address, origin, number or secret.
        BadPeerAddress: an address that we may not call, or send a player to.
        AccountTaken: the name is another account's, which stays as it is.
    """
    await merchants.site(tx, site_id)
    check_new(new, allowed_private_peers)
    shown = {"gateway": new.gateway, "base_url": new.base_url, "page_origin": new.page_origin}
    done = await tx.execute(
        insert(provider_accounts)
        .values(
            site_id=site_id,
            account=new.name,
            credentials={"account": new.merchant_id, "secret": new.secret},
            **shown,
        )
        .on_conflict_do_nothing()
    )
    if not done.rowcount:
        raise AccountTaken(account=new.name)
    detail = {**shown, "merchant_id": new.merchant_id}
    await _note(tx, site_id, new.name, "opened", detail, by=by, at=at)


async def change_account(
    tx: Transaction,
    site_id: int,
    name: str,
    change: AccountChange,
    *,
    by: str,
    at: datetime,
    allowed_private_peers: frozenset[Peer] = frozenset(),
) -> None:
    """Change where a provider is found or as whom we come, and note in the diary what was before.

    Counts for the next call, also about orders that were placed before: it is the same contract that has
    moved. What belongs to another contract is another account.

    Args:
        tx: the caller's transaction.
        site_id, name: which account.
        change: what is decided anew; what does not change by it is not judged anew either.
        by: the actor, as `staff` writes them.
        at: this instant.
        allowed_private_peers: hosts and ports that may be private, and plain http.

    Raises:
        SiteNotFound, AccountNotFound: no such number, or no such account there.
        BadAccount, BadPeerAddress: as `open_account`.
        AccountUnchanged: all that is given is so already.
    """
    row = await _locked(tx, site_id, name)
    was = {
        "base_url": row.base_url,
        "merchant_id": row.credentials.get("account", ""),
        "page_origin": row.page_origin,
    }
    given = {name: value for name, value in asdict(change).items() if value is not None}
    now = {name: value for name, value in given.items() if value != was[name]}
    if not now:
        raise AccountUnchanged(account=name)
    check_place(now.get("base_url"), now.get("merchant_id"), now.get("page_origin"), allowed_private_peers)
    columns: dict[str, object] = {name: value for name, value in now.items() if name != "merchant_id"}
    if "merchant_id" in now:
        columns["credentials"] = {**row.credentials, "account": now["merchant_id"]}
    await tx.execute(update(provider_accounts).where(_is(site_id, name)).values(**columns))
    detail = {"now": now, "before": {name: was[name] for name in now}}
    await _note(tx, site_id, name, "changed", detail, by=by, at=at)


async def switch_account(
    tx: Transaction, site_id: int, name: str, *, enabled: bool, by: str, at: datetime
) -> bool:
    """Let an account take new orders, or none until it is switched on; noted in the diary.

    Switched off, no new deposit goes there, and withdrawals and refunds that would go there wait. What was
    placed there before goes on: it is asked about, and its notices count.

    Returns:
        whether that is new; if not, nothing is written.

    Raises:
        SiteNotFound, AccountNotFound: no such number, or no such account there.
        BadAccount: switched on, but nobody here speaks the language of its gateway.
    """
    row = await _locked(tx, site_id, name)
    if enabled:
        check_gateway(row.gateway)
    if row.enabled == enabled:
        return False
    await tx.execute(update(provider_accounts).where(_is(site_id, name)).values(enabled=enabled))
    detail = {"now": {"enabled": enabled}, "before": {"enabled": row.enabled}}
    await _note(tx, site_id, name, "switched_on" if enabled else "switched_off", detail, by=by, at=at)
    return True


async def rotate_secret(
    tx: Transaction,
    site_id: int,
    name: str,
    secret: str,
    *,
    by: str,
    at: datetime,
    overlap_hours: int = OVERLAP_HOURS,
    keep_former: bool = False,
) -> datetime | None:
    """Use another secret at a provider account from now on, and note in the diary that it was changed.

    During the overlap, what the provider still signs with the one before is taken in; nothing is sent with
    it. An account that is switched off stays so.

    Args:
        tx: the caller's transaction.
        site_id, name: which account.
        secret: the new one.
        by: the actor, as `staff` writes them.
        at: this instant.
        overlap_hours: how long the one before is still good for notices; 0: it ends at once, as a leaked one
            must, and with it one that is former.
        keep_former: the one that is replaced was a mistake: the one that is former stays so, to its end.

    Returns:
        until when a former one is good; None: none is.

    Raises:
        SiteNotFound, AccountNotFound: no such number, or no such account there.
        BadAccount: no secret, what can be none, or the one that is there; an overlap that can be none; a
            former one is still good, and nobody has said what becomes of it.
    """
    check_secret(secret)
    if not 0 <= overlap_hours <= _MOST_OVERLAP_HOURS:
        raise BadAccount(field="overlap", rule=f"must be 0 to {_MOST_OVERLAP_HOURS} hours")
    row = await _locked(tx, site_id, name)
    before = row.credentials.get("secret", "")
    if secret == before:  # said twice, it would end the one that is former
        raise BadAccount(field="secret", rule="is the one that it has already")
    until = at + timedelta(hours=overlap_hours) if before and overlap_hours else None
    was_until = _former_until(row, at)
    if was_until is not None and keep_former:
        before, until = row.former_secret, was_until
    elif was_until is not None and until is not None:
        raise _undecided(was_until)
    await tx.execute(
        update(provider_accounts)
        .where(_is(site_id, name))
        .values(
            credentials={**row.credentials, "secret": secret},
            former_secret=before if until else None,
            former_secret_ends_at=until,
        )
    )
    detail = {"former_until": _written(until)}
    detail |= {"was_former_until": _written(was_until)} if was_until else {}
    await _note(tx, site_id, name, "secret_rotated", detail, by=by, at=at)
    return until


async def end_former_secret(tx: Transaction, site_id: int, name: str, *, by: str, at: datetime) -> bool:
    """End an account's former secret before its time, as one that has leaked must; noted in the diary.

    Returns:
        whether there was one that was still good.

    Raises:
        SiteNotFound, AccountNotFound: no such number, or no such account there.
    """
    row = await _locked(tx, site_id, name)
    ended = {"former_secret": None, "former_secret_ends_at": None}
    await tx.execute(update(provider_accounts).where(_is(site_id, name)).values(**ended))
    was_good = row.former_secret_ends_at is not None and at < row.former_secret_ends_at
    if was_good:
        detail = {"now": None, "before": {"former_until": _written(row.former_secret_ends_at)}}
        await _note(tx, site_id, name, "former_secret_ended", detail, by=by, at=at)
    return was_good


async def forget_former_secrets(tx: Transaction, *, now: datetime) -> int:
    """Clear every former secret whose time is over: it is good for nothing, and must not be found in a copy.

    Its end was noted in the diary when it was set. Returns how many.
    """
    done = await tx.execute(
        update(provider_accounts)
        .where(provider_accounts.c.former_secret_ends_at <= now)
        .values(former_secret=None, former_secret_ends_at=None)
    )
    return done.rowcount


def _undecided(until: datetime) -> BadAccount:
    rule = f"was changed, and the one before is good until {until:%Y-%m-%d %H:%M} UTC: end that, or keep it"
    return BadAccount(field="secret", rule=rule)


def _former_until(row: Row[Any], at: datetime) -> datetime | None:
    """Until when an account's former secret is good; None: there is none that still is."""
    ends_at: datetime | None = row.former_secret_ends_at
    return ends_at if ends_at is not None and at < ends_at else None


def _written(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


async def _locked(tx: Transaction, site_id: int, name: str) -> Row[Any]:
    """An account that nobody else changes meanwhile; its notices are stored all the same.

    Raises:
        SiteNotFound, AccountNotFound: no such number, or no such account there.
    """
    await merchants.site(tx, site_id)
    held = select(provider_accounts).where(_is(site_id, name)).with_for_update(key_share=True)
    row = await tx.first(held)
    if row is None:
        raise AccountNotFound(account=name)
    return row


def _is(site_id: int, name: str) -> ColumnElement[bool]:
    return (provider_accounts.c.site_id == site_id) & (provider_accounts.c.account == name)


async def _note(
    tx: Transaction,
    site_id: int,
    name: str,
    what: str,
    detail: Mapping[str, object],
    *,
    by: str,
    at: datetime,
) -> None:
    subject, deed = f"provider_account:{name}", f"provider_account.{what}"
    await staff.note(tx, site_id, actor=by, deed=deed, subject=subject, detail=detail, at=at)


async def seed_account(
    tx: Transaction,
    site_id: int,
    name: str,
    *,
    gateway: str,
    base_url: str,
    credentials: Mapping[str, str],
    page_origin: str = "",
    allowed_private_peers: frozenset[Peer] = frozenset(),
) -> None:
    """Write a provider account as it is given, over one of that name: for the demo, the simulation and tests.

    Nothing but the address is checked and nothing is noted, as nobody decides it; what a person opens is
    opened by `open_account`.

    Args:
        tx: the caller's transaction.
        site_id, name: whose, and how it is called.
        gateway: one of those that are known here.
        base_url: where the provider's interface is.
        credentials: as its gateway reads them.
        page_origin: the only place to which the provider may send a player's browser; empty: any.
        allowed_private_peers: hosts and ports that may be private, and plain http.

    Raises:
        BadPeerAddress: the base address is one that we may not call.
    """
    check_registered_url(base_url, test_profile=False, allowed_private_peers=allowed_private_peers)
    row = {
        "gateway": gateway,
        "base_url": base_url,
        "page_origin": page_origin,
        "credentials": dict(credentials),
        "enabled": True,
        "former_secret": None,
        "former_secret_ends_at": None,
    }
    await tx.execute(
        insert(provider_accounts)
        .values(site_id=site_id, account=name, **row)
        .on_conflict_do_update(index_elements=["site_id", "account"], set_=row)
    )
