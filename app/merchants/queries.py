"""What is true of a site.

Its settings, its salts, whose token this is, and whether a signed request is the site's own.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import CTE, ColumnElement, ScalarSelect, Select, bindparam, exists, select, true
from sqlalchemy.engine import Row

from app.kernel import signing
from app.kernel.errors import Refusal
from app.merchants.model import (
    MessageFormat,
    NotAuthentic,
    Salt,
    Scope,
    Site,
    SiteId,
    accepted_salts,
    site_number,
)
from app.merchants.tables import api_tokens, issued_signatures, site_salts, sites
from app.plumbing.database import Built, Reader

__all__ = [
    "SiteNotFound",
    "Token",
    "authentic_site",
    "bearer",
    "know_site",
    "known_as",
    "shown",
    "site",
    "site_beside",
    "site_of_rows",
    "site_of_token",
    "tells_every_change",
    "token_hash",
    "token_of",
    "tokens_of",
]

_security = structlog.get_logger("security")
# The newest and its predecessor.
_SALTS = (
    select(site_salts.c.number, site_salts.c.value, site_salts.c.retired_at)
    .where(site_salts.c.site_id == sites.c.site_id)
    .order_by(site_salts.c.number.desc())
    .limit(2)
    .lateral()
)
# One statement, as every message of a site needs it; a row for each salt.
_WITH_SALTS = Built(
    select(sites, _SALTS.c.number, _SALTS.c.value, _SALTS.c.retired_at)
    .select_from(sites.outerjoin(_SALTS, true()))
    .where(sites.c.site_id == bindparam("wanted"))
    .order_by(_SALTS.c.number.desc())
)
# For a message that claims to be a site's: whether we have issued its signature ourselves, looked up for a
# site that there is not as well.
_CLAIMED = select(bindparam("wanted", type_=sites.c.site_id.type).label("site_id")).subquery("claimed_by")
_AND_REFLECTION = Built(
    select(
        sites,
        *(_SALTS.c.number, _SALTS.c.value, _SALTS.c.retired_at),
        exists()
        .where(
            issued_signatures.c.site_id == _CLAIMED.c.site_id,
            issued_signatures.c.signature == bindparam("claimed"),
        )
        .label("is_reflected"),
    )
    .select_from(_CLAIMED.outerjoin(sites, sites.c.site_id == _CLAIMED.c.site_id).outerjoin(_SALTS, true()))
    .order_by(_SALTS.c.number.desc())
)


class SiteNotFound(Refusal):
    """There is no site {site_id}."""


async def site(reader: Reader, site_id: int) -> Site:
    """Everything that is set for a site.

    Raises:
        SiteNotFound: no such number.
    """

    async def read() -> Site | None:
        return _site(await reader.all(_WITH_SALTS, {"wanted": site_id}))

    found = await reader.once(known_as(site_id), read)
    if found is None:
        raise SiteNotFound(site_id=site_id)
    return found


def site_beside(found: CTE) -> Select[Any]:
    """What another statement finds, and its site beside it: for `site_of_rows`.

    Args:
        found: of one site, which its column `site_id` names; no other column is called as one of a site's.

    Raises:
        ValueError: one is; whose value would be read is chance.
    """
    its_own = [column for column in found.c if column.name != "site_id"]
    of_site = (*sites.c, _SALTS.c.number, _SALTS.c.value, _SALTS.c.retired_at)
    if both := {column.name for column in of_site} & {column.name for column in its_own}:
        raise ValueError(f"called as a site's columns: {', '.join(sorted(both))}")
    return (
        select(*its_own, *of_site)
        .select_from(found.join(sites, sites.c.site_id == found.c.site_id).outerjoin(_SALTS, true()))
        .order_by(_SALTS.c.number.desc())
    )


def site_of_rows(rows: Sequence[Row[Any]]) -> Site:
    """The site in what `site_beside` found; at least one row."""
    found = _site(rows)
    assert found is not None
    return found


def know_site(reader: Reader, rows: Sequence[Row[Any]]) -> None:
    """Let `site` find in its transaction what `site_beside` has found; at least one row."""
    found = site_of_rows(rows)
    reader.know(known_as(found.site_id), found)


def tells_every_change(site_id: ColumnElement[int]) -> ScalarSelect[bool]:
    """Whether the site of another statement's row hears of every change, or of ends only."""
    return select(sites.c.tell_every_change).where(sites.c.site_id == site_id).scalar_subquery()


def known_as(site_id: int) -> tuple[str, int]:
    """Under what a transaction remembers a site; who changes the site lets it `forget` that."""
    return "site", site_id


def shown(found: Site) -> dict[str, object]:
    """A site's settings as people may see them: no salt, no secret."""
    return {
        "site_id": found.site_id,
        "merchant_id": found.merchant_id,
        "name": found.name,
        "wallet_mode": found.wallet_mode,
        "callout_url": found.callout_url,
        "notify_url": found.notify_url,
        "notify_failure_url": found.notify_failure_url,
        "callback_url": found.callback_url,
        "message_format": found.message_format,
        "dialect": found.dialect,
        "frame_origins": list(found.frame_origins),
        "currencies": list(found.currencies),
        "languages": list(found.languages),
        "extended_info": found.extended_info,
        "is_test": found.is_test,
        "tell_every_change": found.tell_every_change,
        "most_attempts": found.most_attempts,
        "salts": [{"number": salt.number, "retired_at": str(salt.retired_at or "")} for salt in found.salts],
    }


async def authentic_site(reader: Reader, params: Mapping[str, str], now: datetime) -> Site:
    """The site that signed these parameters (`site_id` and `signature` among them).

    An unknown site, a wrong signature and a reflected message end alike and take the same path, so that an
    answer tells nothing about which sites exist (trust.md 3.3.8).

    Raises:
        NotAuthentic: for every reason.
    """
    site_id = site_number(params["site_id"])
    rows = await reader.all(_AND_REFLECTION, {"wanted": site_id, "claimed": params["signature"]})
    found = _site(rows)
    accepted = accepted_salts(found.salts if found else (), now) or (signing.DUMMY_SALT,)
    dialect = found.dialect if found else signing.Dialect.G
    matched = signing.matches(params, params["signature"], accepted, dialect)
    if found is None or matched is None or rows[0].is_reflected:
        reason = (
            "unknown site" if found is None else "wrong signature" if matched is None else "reflected message"
        )
        _security.warning("request.not_authentic", site_id=site_id, reason=reason)
        raise NotAuthentic
    return found


async def site_of_token(reader: Reader, token: str, scope: Scope) -> Site:
    """The site a bearer token belongs to, if the token is alive and has the scope.

    Raises:
        NotAuthentic: unknown or revoked token, or another scope.
    """
    row = await reader.first(
        select(api_tokens.c.site_id).where(
            api_tokens.c.hash == token_hash(token),
            api_tokens.c.scope == scope,
            api_tokens.c.revoked_at.is_(None),
        )
    )
    if row is None:
        _security.warning("token.refused", scope=scope)
        raise NotAuthentic
    return await site(reader, row.site_id)


async def bearer(reader: Reader, token: str) -> tuple[Site, Scope]:
    """The site and the scope of a bearer token, whatever it may do.

    Raises:
        NotAuthentic: unknown or revoked.
    """
    row = await reader.first(
        select(api_tokens.c.site_id, api_tokens.c.scope).where(
            api_tokens.c.hash == token_hash(token), api_tokens.c.revoked_at.is_(None)
        )
    )
    if row is None:
        _security.warning("token.refused")
        raise NotAuthentic
    return await site(reader, row.site_id), Scope(row.scope)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token of a site, of which only its hash is kept."""

    token_id: str
    scope: Scope
    label: str
    created_at: datetime
    revoked_at: datetime | None


async def tokens_of(reader: Reader, site_id: int) -> list[Token]:
    """All tokens of a site, the oldest first, revoked ones too."""
    rows = await reader.all(
        api_tokens.select()
        .where(api_tokens.c.site_id == site_id)
        .order_by(api_tokens.c.created_at, api_tokens.c.token_id)
    )
    return [token_of(row) for row in rows]


def token_of(row: Row[Any]) -> Token:
    """Read a row of the table `api_token`."""
    return Token(row.token_id, Scope(row.scope), row.label, row.created_at, row.revoked_at)


def token_hash(token: str) -> bytes:
    """How a token is kept: it has 256 random bits, so a plain SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


def _site(rows: Sequence[Row[Any]]) -> Site | None:
    if not rows or rows[0].site_id is None:
        return None
    row = rows[0]
    salts = [Salt(one.number, one.value, one.retired_at) for one in rows if one.number is not None]
    return Site(
        site_id=SiteId(row.site_id),
        merchant_id=row.merchant_id,
        name=row.name,
        callout_url=row.callout_url,
        notify_url=row.notify_url,
        notify_failure_url=row.notify_failure_url,
        callback_url=row.callback_url,
        message_format=MessageFormat(row.message_format),
        dialect=signing.Dialect(row.dialect),
        frame_origins=tuple(row.frame_origins),
        currencies=tuple(row.currencies),
        languages=tuple(row.languages),
        extended_info=row.extended_info,
        is_test=row.is_test,
        tell_every_change=row.tell_every_change,
        most_attempts=row.most_attempts,
        webhook_secret=row.webhook_secret,
        salts=tuple(salts),
    )
