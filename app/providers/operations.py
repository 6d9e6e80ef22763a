"""What can be done with providers: open an account, take a notice in, close it once read."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog
from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from app.kernel import ids
from app.kernel.masking import mask_cards, mask_value
from app.plumbing import metrics, queue
from app.plumbing.addresses import Peer, check_registered_url
from app.plumbing.database import Database, Transaction
from app.providers.contract import BadNotice, NoticeReply, ProviderAccount, RawNotice
from app.providers.queries import AccountNotFound, account, gateway_of
from app.providers.tables import NoticeState, notices, provider_accounts

__all__ = ["NOTICE_ARRIVED", "close_notice", "open_account", "recover_forgotten", "take_notice"]

# The job that the room of payments handles: a notice is stored and waits to be read.
NOTICE_ARRIVED = "providers.notice_arrived"
_FORGOTTEN_AFTER = timedelta(minutes=5)  # longer than all tries of one job together
# Digits, blanks and dashes as JSON escapes; a backslash before it makes it a text about escapes.
_ESCAPED = re.compile(r"(?<!\\)\\u(00(?:2[0d]|3[0-9]|a0)|20(?:1[0-5]|2f)|2212)", re.IGNORECASE)
_security = structlog.get_logger("security")
# Built once; a notice that came before is only counted.
_STORE = (
    insert(notices)
    .on_conflict_do_update(
        index_elements=["site_id", "account", "dedupe_key"], set_={"arrivals": notices.c.arrivals + 1}
    )
    .returning(notices.c.notice_id, notices.c.state)
)
_CLOSE = update(notices).where(
    notices.c.site_id == bindparam("of_site"), notices.c.notice_id == bindparam("of_notice")
)


async def open_account(
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
    """Open a provider account for a site, or change its address and credentials.

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


async def take_notice(
    database: Database, site_id: int, name: str, notice: RawNotice, *, at: datetime
) -> NoticeReply:
    """Verify a provider's message, store it raw, and leave a job to read it; the same bytes add nothing.

    Raw but for card numbers: those are masked before anything is written (PCI DSS 3.5.1), with an alarm.

    Raises:
        BadNotice: unknown account or a signature that is not the provider's; nothing is stored, an alarm is
            counted.
    """
    async with database.transaction() as tx:
        try:
            found = await account(tx, site_id, name)
            gateway_of(found).verify(found, notice)
        except (AccountNotFound, BadNotice) as refused:
            metrics.NOTICES.labels("unknown", "bad_signature").inc()
            metrics.ALARMS.labels("notice_bad_signature").inc()
            _security.warning("notice.not_authentic", site_id=site_id, account=name[:64], reason=refused.code)
            raise BadNotice from refused
        body = _without_cards(found, notice.body)
        notice_id = ids.new("ntc", at=at)
        arrived = {
            "site_id": site_id,
            "notice_id": notice_id,
            "account": name,
            "dedupe_key": hashlib.sha256(body).hexdigest(),
            "path": notice.path,
            "headers": mask_value(dict(notice.headers)),
            "body": body,
            "received_at": at,
        }
        stored = await tx.one(_STORE, arrived)
        is_new = stored.notice_id == notice_id
        if stored.state == NoticeState.NEW:
            await _read_soon(tx, site_id, stored.notice_id)
    metrics.NOTICES.labels(found.gateway, "stored" if is_new else "repeated").inc()
    return gateway_of(found).reply(found, notice)


def _without_cards(found: ProviderAccount, body: bytes) -> bytes:
    """The body itself, or with every card number masked and everything else saying the same.

    JSON may write a digit or a blank by its number; such a card is found as well.
    """
    text = body.decode(errors="surrogateescape")
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    masked = mask_cards(plain)
    if masked == plain:
        return body
    metrics.ALARMS.labels("notice_card_number").inc()
    _security.warning("notice.card_number", site_id=found.site_id, account=found.account)
    return masked.encode(errors="surrogateescape")


async def recover_forgotten(tx: Transaction, *, now: datetime) -> int:
    """Give every notice that nobody has read a job again: the net under a dead letter. Returns how many."""
    rows = await tx.all(
        select(notices.c.site_id, notices.c.notice_id)
        .where(notices.c.state == NoticeState.NEW, notices.c.received_at < now - _FORGOTTEN_AFTER)
        .order_by(notices.c.received_at)
        .limit(1000)
    )
    for row in rows:
        metrics.ALARMS.labels("notice_forgotten").inc()
        await _read_soon(tx, row.site_id, row.notice_id)
    return len(rows)


async def _read_soon(tx: Transaction, site_id: int, notice_id: str) -> None:
    job = {"site_id": site_id, "notice_id": notice_id}
    await queue.add(tx, NOTICE_ARRIVED, job, key=f"{NOTICE_ARRIVED}:{notice_id}", urgent=True)


async def close_notice(
    tx: Transaction, site_id: int, notice_id: str, state: NoticeState, *, at: datetime, reason: str = ""
) -> None:
    """Say how far a notice came: read, orphan (nobody's reference), or unreadable."""
    if state is not NoticeState.READ:
        metrics.ALARMS.labels(f"notice_{state.value}").inc()
    its = {"of_site": site_id, "of_notice": notice_id}
    await tx.execute(_CLOSE, {**its, "state": state, "reason": reason, "read_at": at})
