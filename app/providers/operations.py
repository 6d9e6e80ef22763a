"""What can be done with accounts at providers: open one, change it, give it another secret."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row

from app import merchants, staff
from app.kernel.errors import Refusal
from app.plumbing.addresses import DEFAULT_PORTS, Peer, check_registered_url, target_of
from app.plumbing.database import Transaction
from app.providers.gateways import GATEWAYS
from app.providers.queries import AccountNotFound
from app.providers.tables import provider_accounts

__all__ = [
    "AccountChange",
    "AccountTaken",
    "AccountUnchanged",
    "BadAccount",
    "NewAccount",
    "change_account",
    "open_account",
    "rotate_secret",
    "seed_account",
    "switch_account",
]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # it stands in the address of the account's notices
# As the browser spells it: the page of each order is compared with it letter by letter.
_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9][a-z0-9.-]*|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
_NUMBER: Final = re.compile(r"[!-~](?:[ -~]{0,126}[!-~])?")  # it goes into headers and signatures
_LONGEST_SECRET: Final = 4_096  # characters; a key of RSA with 4,096 bits has fewer


class AccountTaken(Refusal):
    """This site has a provider account {account} already."""


class AccountUnchanged(Refusal):
    """Nothing would change at the provider account {account}."""


class BadAccount(Refusal):
    """The account's {field} {rule}."""

    def __init__(self, *, field: str, rule: str) -> None:
        """Name what cannot be."""
        super().__init__(field=field, rule=rule)
        self.param = field.replace(" ", "_")


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What somebody decides who opens an account: whose gateway, where, and as whom we come.

    Args:
        name: by which orders of accounts, payments and the diary call it.
        gateway: one of those that are known here.
        base_url: where the provider's interface is.
        merchant_id: our number at the provider.
        secret: with which both sides sign, or log in.
        page_origin: the only place to which the provider may send a player's browser; empty: any.
    """

    name: str
    gateway: str
    base_url: str
    merchant_id: str
    secret: str = field(repr=False)
    page_origin: str = ""


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
    _check(new, allowed_private_peers)
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
    _check_place(now.get("base_url"), now.get("merchant_id"), now.get("page_origin"), allowed_private_peers)
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
        _check_gateway(row.gateway)
    if row.enabled == enabled:
        return False
    await tx.execute(update(provider_accounts).where(_is(site_id, name)).values(enabled=enabled))
    detail = {"now": {"enabled": enabled}, "before": {"enabled": row.enabled}}
    await _note(tx, site_id, name, "switched_on" if enabled else "switched_off", detail, by=by, at=at)
    return True


async def rotate_secret(
    tx: Transaction, site_id: int, name: str, secret: str, *, by: str, at: datetime
) -> None:
    """Use another secret at a provider account from now on, and note in the diary that it was changed.

    The one before ends at once: what a provider still signs with it is refused, and heard by asking, except
    disputes, which exist in notices only. An account that is switched off stays so.

    Raises:
        SiteNotFound, AccountNotFound: no such number, or no such account there.
        BadAccount: no secret, or what can be none.
    """
    _check_secret(secret)
    row = await _locked(tx, site_id, name)
    changed = {**row.credentials, "secret": secret}
    await tx.execute(update(provider_accounts).where(_is(site_id, name)).values(credentials=changed))
    await _note(tx, site_id, name, "secret_rotated", {}, by=by, at=at)


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


def _check(new: NewAccount, peers: frozenset[Peer]) -> None:
    """Refuse what can be no account."""
    _check_gateway(new.gateway)
    if not _NAME.fullmatch(new.name):
        raise BadAccount(
            field="name", rule="must be 1 to 64 of a-z, 0-9, - and _, beginning with a letter or a digit"
        )
    _check_place(new.base_url, new.merchant_id, new.page_origin, peers)
    _check_secret(new.secret)


def _check_gateway(name: str) -> None:
    if name not in GATEWAYS:
        known = ", ".join(sorted(GATEWAYS))
        raise BadAccount(field="gateway", rule=f"{name} is not known here; known are: {known}")


def _check_place(
    base_url: str | None, merchant_id: str | None, page_origin: str | None, peers: frozenset[Peer]
) -> None:
    """Refuse what can be no place of a provider, or no number of ours there; None is not judged."""
    if base_url is not None:
        check_registered_url(base_url, test_profile=False, allowed_private_peers=peers)
        if "?" in base_url:
            raise BadAccount(field="url", rule="must have no query: paths are put behind it")
    if page_origin:
        _check_origin(page_origin, peers)
    if merchant_id is not None and not _NUMBER.fullmatch(merchant_id):
        rule = "must be 1 to 128 printable ASCII characters without blanks around them"
        raise BadAccount(field="merchant id", rule=rule)


def _check_origin(origin: str, peers: frozenset[Peer]) -> None:
    """A browser leaves out its scheme's own port, and the page of each order is compared letter by letter."""
    target = target_of(origin, allowed_private_peers=peers)
    if not _ORIGIN.fullmatch(origin):
        raise BadAccount(field="page origin", rule="must be like https://host or https://host:port")
    usual = DEFAULT_PORTS[target.scheme]
    if origin.endswith(f":{usual}"):
        raise BadAccount(field="page origin", rule=f"must leave out the port {usual}, as browsers do")


def _check_secret(secret: str) -> None:
    if not secret:
        raise BadAccount(field="secret", rule="is empty")
    if len(secret) > _LONGEST_SECRET:
        raise BadAccount(field="secret", rule=f"is longer than {_LONGEST_SECRET} characters")
    if not secret.isprintable():
        raise BadAccount(field="secret", rule="must be one line of printable characters")


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
    }
    await tx.execute(
        insert(provider_accounts)
        .values(site_id=site_id, account=name, **row)
        .on_conflict_do_update(index_elements=["site_id", "account"], set_=row)
    )
