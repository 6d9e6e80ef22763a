"""What can be done with merchants: open a site, rotate its salt, hand out tokens."""

import base64
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import currency_exponent
from app.merchants.model import (
    ATTEMPTS_LIMIT,
    SALT_OVERLAP,
    BadAttempts,
    MessageFormat,
    Scope,
    SiteId,
)
from app.merchants.queries import SiteNotFound, Token, known_as, token_hash, token_of
from app.merchants.tables import (
    api_tokens,
    issued_signatures,
    merchants,
    seen_signatures,
    site_numbers,
    site_salts,
    sites,
)
from app.plumbing.addresses import Peer, check_registered_url
from app.plumbing.database import Built, Transaction, Write

__all__ = [
    "FIRST_SEEN",
    "BadName",
    "BadOrigin",
    "CreatedSite",
    "NewSite",
    "TokenNotFound",
    "create_site",
    "create_token",
    "forget_signatures",
    "issued_signature",
    "revoke_token",
    "rotate_salt",
    "seen_signature",
    "set_callback_url",
    "set_most_attempts",
    "set_tell_every_change",
]

_SALT_BYTES = 32
_LONGEST_NAME: Final = 100  # a heading of the page, on a phone
_LAST_PORT = 65_535
# Lower case, an international name as xn--..., no user, no path, no wildcard.
_ORIGIN = re.compile(
    r"https?://(?:[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[1-9][0-9]{0,4}))?"
)
# 30 days: far beyond the overlap of a rotation; older messages are signed with a dead salt anyway in a
# careful shop.
_ISSUED_KEPT = timedelta(days=30)
# Part of the statement that a signed request leads to: a row where it comes for the first time.
FIRST_SEEN: Final = (
    insert(seen_signatures)
    .values(
        site_id=bindparam("seen_site"), signature=bindparam("seen_signature"), seen_at=bindparam("seen_at")
    )
    .on_conflict_do_nothing()
    .returning(seen_signatures.c.signature)
    .cte("first_seen")
)
_ISSUED = Built(insert(issued_signatures).on_conflict_do_nothing())


class BadOrigin(Refusal):
    """The frame origin {origin} is not of the form https://host or https://host:port."""


class BadName(Refusal):
    """A site's name is what players see: 1 to {most} characters, and not only spaces."""

    param = "name"


class TokenNotFound(Refusal):
    """The site has no token {token_id}, or it was revoked before: `cashier token list` shows them."""


@dataclass(frozen=True, slots=True)
class NewSite:
    """What somebody decides when opening a site.

    Addresses are checked against the SSRF rule when it is created.
    """

    name: str
    currencies: tuple[str, ...]
    callout_url: str
    notify_url: str
    notify_failure_url: str = ""
    callback_url: str = ""
    frame_origins: tuple[str, ...] = ()
    languages: tuple[str, ...] = ("en", "ru", "kk")
    message_format: MessageFormat = MessageFormat.JSON
    dialect: str = "G"
    extended_info: bool = False
    is_test: bool = False
    tell_every_change: bool = False


@dataclass(frozen=True, slots=True)
class CreatedSite:
    """What is shown once: the secrets of a new site."""

    site_id: SiteId
    salt: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    tokens: dict[str, str] = field(repr=False)


async def create_site(
    tx: Transaction, new: NewSite, *, at: datetime, allowed_private_peers: frozenset[Peer] = frozenset()
) -> CreatedSite:
    """Open a site with its first salt, one token a scope, and a webhook secret.

    Raises:
        BadName: no name, or one that no page could show.
        BadPeerAddress: an address that callouts may not reach.
        BadOrigin: a frame origin with a path, or not http(s), or not as browsers write it.
        UnknownCurrency: a currency that is neither ISO 4217 nor declared.
    """
    if not new.name.strip() or len(new.name) > _LONGEST_NAME:
        raise BadName(most=_LONGEST_NAME)
    for url in (new.callout_url, new.notify_url, new.notify_failure_url, new.callback_url):
        if url:
            check_registered_url(url, test_profile=False, allowed_private_peers=allowed_private_peers)
    for origin in new.frame_origins:
        _check_origin(origin)
    for currency in new.currencies:
        currency_exponent(currency)
    merchant_id = ids.new("mer", at=at)
    site_id = SiteId(int(await tx.scalar(select(site_numbers.next_value()))))
    webhook_secret = "whsec_" + base64.b64encode(secrets.token_bytes(_SALT_BYTES)).decode()
    await tx.execute(merchants.insert().values(merchant_id=merchant_id, name=new.name, created_at=at))
    await tx.execute(
        sites.insert().values(
            site_id=site_id,
            merchant_id=merchant_id,
            name=new.name,
            callout_url=new.callout_url,
            notify_url=new.notify_url,
            notify_failure_url=new.notify_failure_url,
            callback_url=new.callback_url,
            message_format=new.message_format,
            dialect=new.dialect,
            frame_origins=list(new.frame_origins),
            currencies=list(new.currencies),
            languages=list(new.languages),
            extended_info=new.extended_info,
            is_test=new.is_test,
            tell_every_change=new.tell_every_change,
            webhook_secret=webhook_secret,
            created_at=at,
            changed_at=at,
        )
    )
    salt = ids.secret(_SALT_BYTES)
    await tx.execute(site_salts.insert().values(site_id=site_id, number=1, value=salt, created_at=at))
    tokens = {}
    for scope in Scope:
        _, tokens[scope.value] = await create_token(tx, site_id, scope, at=at)
    return CreatedSite(site_id, salt, webhook_secret, tokens)


async def create_token(
    tx: Transaction, site_id: int, scope: Scope, *, at: datetime, label: str = ""
) -> tuple[Token, str]:
    """Make a bearer token.

    Returns:
        what is kept of it, and the token itself: shown once, kept only as a hash.
    """
    token = f"ck_{scope.value}_{ids.secret(_SALT_BYTES)}"
    adding = api_tokens.insert().values(
        site_id=site_id,
        token_id=ids.new("tok", at=at),
        scope=scope,
        hash=token_hash(token),
        label=label,
        created_at=at,
    )
    made = await tx.first(adding.returning(api_tokens))
    assert made is not None, "a row was inserted"
    return token_of(made), token


async def revoke_token(tx: Transaction, site_id: int, token_id: str, *, at: datetime) -> Token:
    """End a token; processes that know it take it for two seconds more.

    Returns:
        what was ended.

    Raises:
        TokenNotFound: no such token of this site, or it was revoked before.
    """
    its = (api_tokens.c.site_id == site_id) & (api_tokens.c.token_id == token_id)
    live = its & api_tokens.c.revoked_at.is_(None)
    row = await tx.first(update(api_tokens).where(live).values(revoked_at=at).returning(api_tokens))
    if row is None:
        raise TokenNotFound(token_id=token_id)
    return token_of(row)


async def rotate_salt(tx: Transaction, site_id: int, *, at: datetime) -> str:
    """Sign with a new salt from now on; the one before is accepted for `SALT_OVERLAP` more, older ones end.

    Returns:
        The new salt, shown once.

    Raises:
        SiteNotFound: no such number.
    """
    newest = await tx.scalar(select(func.max(site_salts.c.number)).where(site_salts.c.site_id == site_id))
    if newest is None:
        raise SiteNotFound(site_id=site_id)
    salt = ids.secret(_SALT_BYTES)
    await tx.execute(
        update(site_salts)
        .where(site_salts.c.site_id == site_id, func.coalesce(site_salts.c.retired_at, at) >= at)
        .values(retired_at=at)
    )
    await tx.execute(
        update(site_salts)
        .where(site_salts.c.site_id == site_id, site_salts.c.number == newest)
        .values(retired_at=at + SALT_OVERLAP)
    )
    await tx.execute(
        site_salts.insert().values(site_id=site_id, number=newest + 1, value=salt, created_at=at)
    )
    tx.forget(known_as(site_id))
    return salt


async def set_callback_url(
    tx: Transaction,
    site_id: int,
    url: str,
    *,
    at: datetime,
    allowed_private_peers: frozenset[Peer] = frozenset(),
) -> None:
    """Set where a seamless site's wallet is called; an empty address is balance transfer mode.

    Whether the mode may change just now is for the caller to know.

    Raises:
        BadPeerAddress: an address that we may not call.
        SiteNotFound: no such number.
    """
    if url:
        # Of a test site too: whoever calls it later speaks no plain http.
        check_registered_url(url, test_profile=False, allowed_private_peers=allowed_private_peers)
    await _set(tx, site_id, {"callback_url": url, "changed_at": at})


async def set_tell_every_change(tx: Transaction, site_id: int, every: bool, *, at: datetime) -> None:  # noqa: FBT001  what is set
    """Notify a site's addresses of every change of a payment, or of its final states only.

    Raises:
        SiteNotFound: no such number.
    """
    await _set(tx, site_id, {"tell_every_change": every, "changed_at": at})


async def set_most_attempts(tx: Transaction, site_id: int, most: int, *, at: datetime) -> None:
    """Set at how many provider accounts one payment of a site is tried at most, each once.

    Raises:
        BadAttempts: less than one, or more than a method can have accounts.
        SiteNotFound: no such number.
    """
    if not 1 <= most <= ATTEMPTS_LIMIT:
        raise BadAttempts(most=ATTEMPTS_LIMIT)
    await _set(tx, site_id, {"most_attempts": most, "changed_at": at})


async def _set(tx: Transaction, site_id: int, values: Mapping[str, object]) -> None:
    done = await tx.execute(update(sites).where(sites.c.site_id == site_id).values(values))
    if not done.rowcount:
        raise SiteNotFound(site_id=site_id)
    tx.forget(known_as(site_id))


def seen_signature(site_id: int, signature: str, *, at: datetime) -> dict[str, object]:
    """The parameters of `FIRST_SEEN`: a site's signed request, remembered like a signature of ours."""
    return {"seen_site": site_id, "seen_signature": signature, "seen_at": at}


def issued_signature(site_id: int, signature: str, *, at: datetime) -> Write:
    """What keeps a signature of ours, so that the same message sent back to us is refused as a reflection."""
    return _ISSUED, {"site_id": site_id, "signature": signature, "issued_at": at}


async def forget_signatures(tx: Transaction, *, now: datetime) -> int:
    """Drop signatures, ours and theirs, that are older than anybody still accepts; returns how many."""
    await tx.execute(delete(seen_signatures).where(seen_signatures.c.seen_at < now - _ISSUED_KEPT))
    done = await tx.execute(
        delete(issued_signatures).where(issued_signatures.c.issued_at < now - _ISSUED_KEPT)
    )
    return done.rowcount


def _check_origin(origin: str) -> None:
    """A browser's own spelling of an origin: it goes into a header and is compared letter by letter."""
    found = _ORIGIN.fullmatch(origin)
    if found is None or not 0 < int(found["port"] or 1) <= _LAST_PORT:
        raise BadOrigin(origin=origin)
