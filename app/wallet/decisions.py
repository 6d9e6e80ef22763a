"""What a site decides, for itself or for one game platform: written as people write it, and laid over.

Where ids are unique can be decided only while nobody can have used one: before the first wallet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import asyncpg
from sqlalchemy.dialects.postgresql import insert

from app import merchants, staff
from app.kernel.money import MAX_MINOR
from app.plumbing.database import Transaction
from app.wallet.contract import Refused
from app.wallet.queries import policies_of
from app.wallet.tables import policies
from app.wallet.terms import KEPT_SECONDS, Code, Policy

__all__ = ["HEARD_AFTER", "decide", "is_scope_settled", "read_decisions", "set_policy"]

_MOST_HOURS: Final = 8760  # a year
_FLAGS: Final = {"true": True, "false": False}
_UNITS: Final = ("minor", "major")
# Until no process knows a former scope any more; one second because clocks are not all alike.
HEARD_AFTER: Final = timedelta(seconds=KEPT_SECONDS + 1)
# The decision and the first wallet wait for each other; wallets do not.
_LOCK_SCOPE: Final = "SELECT FROM site WHERE site_id = $1 FOR UPDATE"
_SHARE_SCOPE: Final = "SELECT FROM site WHERE site_id = $1 FOR KEY SHARE"
_HAS_WALLETS: Final = "SELECT EXISTS (SELECT FROM wallet WHERE site_id = $1)"
_JUST_DECIDED: Final = """
SELECT EXISTS (SELECT FROM wallet_policy WHERE site_id = $1 AND policy ? 'id_scope' AND changed_at > $2)
"""


async def set_policy(
    tx: Transaction, site_id: int, provider: str, decisions: Mapping[str, str], *, at: datetime
) -> dict[str, object]:
    """Decide something for a site, or for one platform there; what is not named stays as it was.

    Processes that serve calls hear of it within two seconds.

    Args:
        tx: the caller's transaction.
        site_id: whose decision.
        provider: the platform; empty: the site itself.
        decisions: as people write them: `max_bet` = "5000", `reverse_wins` = "true".
        at: this instant.

    Returns:
        all that differs from the defaults now.

    Raises:
        Refused: VALIDATION naming the decision that is none, or cannot be made any more.
    """
    decided = read_decisions(decisions)
    if "id_scope" in decided:
        await tx.raw.execute(_LOCK_SCOPE, site_id)
        if await tx.raw.fetchval(_HAS_WALLETS, site_id):
            # Every id that was used would be a new one, and every retry another bet.
            sentence = "id_scope cannot change once a player has a wallet."
            raise Refused(Code.VALIDATION, sentence, field="id_scope")
    told = insert(policies).values(site_id=site_id, provider_id=provider, policy=decided, changed_at=at)
    # Laid over what is there then: of two who decide at once both have decided.
    laid = {"policy": policies.c.policy + told.excluded.policy, "changed_at": at}
    merged = told.on_conflict_do_update(index_elements=["site_id", "provider_id"], set_=laid)
    return dict(await tx.scalar(merged.returning(policies.c.policy)))


async def decide(
    tx: Transaction,
    site_id: int,
    provider: str,
    written: Sequence[str],
    *,
    at: datetime,
    by: str = staff.SYSTEM,
) -> Policy:
    """Decide what is written as `name=value`, if anything; what holds then for the site or the platform.

    Arguments and errors as for `set_policy`, and:

    Args:
        by: the actor who decides it, for the site's diary.

    Raises:
        SiteNotFound: no such number.
    """
    await merchants.site(tx, site_id)
    if written:
        said = {name: value for name, _, value in (one.partition("=") for one in written)}
        await set_policy(tx, site_id, provider, said, at=at)
        deed, subject = "wallet.policy", provider or "site"
        await staff.note(tx, site_id, actor=by, deed=deed, subject=subject, detail=said, at=at)
    decided = await policies_of(tx, site_id)
    return decided.get(provider, decided[""])


def read_decisions(decisions: Mapping[str, str]) -> dict[str, object]:
    """Decisions as people write them, strictly.

    Raises:
        Refused: VALIDATION naming the first that is none.
    """
    defaults = {field.name: field.default for field in fields(Policy)}
    return {name: _decision(name, text, defaults.get(name)) for name, text in decisions.items()}


def _decision(name: str, text: str, default: object) -> object:
    match default:
        case bool():
            if text in _FLAGS:
                return _FLAGS[text]
            allowed = "true or false"
        case int():
            least, most = (1, _MOST_HOURS) if name.endswith("_hours") else (0, MAX_MINOR)
            if text.isascii() and text.isdigit() and least <= int(text) <= most:
                return int(text)
            allowed = f"a whole number from {least} to {most}"
        case StrEnum():
            if text in list(type(default)):
                return text
            allowed = " or ".join(type(default))
        case str():
            if text in _UNITS:
                return text
            allowed = " or ".join(_UNITS)
        case _:
            raise Refused(Code.VALIDATION, f"There is nothing to decide called {name}.", field=name)
    raise Refused(Code.VALIDATION, f"{name} must be {allowed}.", field=name)


async def is_scope_settled(raw: asyncpg.Connection, site_id: int, *, at: datetime) -> bool:
    """Whether a first wallet may be opened: not while some process may still read ids in another scope.

    Args:
        raw: a connection inside the transaction that opens it.
        site_id: whose wallet.
        at: this instant.
    """
    await raw.execute(_SHARE_SCOPE, site_id)
    is_new = await raw.fetchval(_JUST_DECIDED, site_id, at - HEARD_AFTER)
    return not is_new or bool(await raw.fetchval(_HAS_WALLETS, site_id))
