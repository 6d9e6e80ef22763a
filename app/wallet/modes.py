"""Who keeps a site's balances: changed only when nothing is left behind (rule 64)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, NamedTuple

from app import merchants, staff
from app.plumbing.addresses import Peer
from app.plumbing.database import Reader, Transaction
from app.plumbing.pipes import Pipes
from app.wallet.audit import mode_blockers
from app.wallet.terms import KEPT_SECONDS

__all__ = ["Switched", "switch_mode"]

# Until no process lets anything in by the former mode, and what was let in last is written.
_WAIT_SECONDS: Final = KEPT_SECONDS + 3


class Switched(NamedTuple):
    """What stands in the way; and whether it came in meanwhile, and the mode was set back for it."""

    blockers: list[str]
    was_set_back: bool = False


async def switch_mode(
    pipes: Pipes,
    site_id: int,
    callback_url: str,
    others: Callable[[Reader, int], Awaitable[list[str]]],
    *,
    is_trial: bool = False,
    allowed_private_peers: frozenset[Peer] = frozenset(),
    by: str = staff.SYSTEM,
) -> Switched:
    """Set or empty a site's Callback URL, unless something stands in the way.

    Into seamless mode it takes some seconds: processes still let in what came by the former mode, so it is
    looked again, and set back if anything has come. Out of it, what is in our wallets is no hindrance: it is
    why somebody wants to get there.

    Args:
        pipes: the database and the clock.
        site_id: whose mode.
        callback_url: empty: balance transfer mode.
        others: what of other rooms stands in the way, at a site.
        is_trial: only tell.
        allowed_private_peers: addresses of our own network that may be called.
        by: the actor who changes it, for the site's diary; what came meanwhile sets it back by itself.

    Raises:
        BadPeerAddress: an address that we may not call.
        SiteNotFound: no such number.
    """
    async with pipes.database.transaction() as tx:
        former = (await merchants.site(tx, site_id)).callback_url
        is_leaving = bool(callback_url) and not former
        blockers = await mode_blockers(tx, site_id) if is_leaving else []
        if bool(callback_url) != bool(former):
            blockers += await others(tx, site_id)
        if blockers or is_trial:
            return Switched(blockers)
        at, peers = pipes.clock.now(), allowed_private_peers
        await merchants.set_callback_url(tx, site_id, callback_url, at=at, allowed_private_peers=peers)
        await _note(tx, site_id, former, callback_url, by=by, at=at)
    if not is_leaving:
        return Switched([])
    await asyncio.sleep(_WAIT_SECONDS)
    async with pipes.database.transaction() as tx:
        blockers = [*await mode_blockers(tx, site_id), *await others(tx, site_id)]
        if blockers:
            at = pipes.clock.now()
            await merchants.set_callback_url(tx, site_id, former, at=at)
            await _note(tx, site_id, callback_url, former, by=staff.SYSTEM, at=at)
    return Switched(blockers, was_set_back=bool(blockers))


async def _note(tx: Transaction, site_id: int, before: str, now: str, *, by: str, at: datetime) -> None:
    detail = {"before": before, "now": now}
    await staff.note(tx, site_id, actor=by, deed="site.wallet_mode", subject="site", detail=detail, at=at)
