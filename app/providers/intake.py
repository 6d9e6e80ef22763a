"""Notices as they arrive: verified, stored raw before they are read, those of one moment by one statement.

A provider that sends its backlog, or tells of every order at once, costs one commit for many notices instead
of one each; who comes alone waits for nobody.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg
import structlog
from sqlalchemy import ARRAY, Select, Text, bindparam, cast, column, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from app.kernel import ids
from app.kernel.masking import CARD_PART, mask_cards, mask_value
from app.plumbing import metrics, queue
from app.plumbing.batching import Batcher
from app.plumbing.database import Built, Database, Transaction
from app.providers.contract import BadNotice, NoticeReply, ProviderAccount, RawNotice
from app.providers.queries import AccountNotFound, accounts, gateway_of
from app.providers.tables import NoticeState, notices

__all__ = ["NOTICE_ARRIVED", "Intake", "read_soon", "take_notice"]

# The job that the room of payments handles: a notice is stored and waits to be read.
NOTICE_ARRIVED = "providers.notice_arrived"
_MOST_TOGETHER: Final = 64
# A second of work or so; who comes on top hears 503 at once, and providers send again.
_MOST_WAITING: Final = 1_024
# A JSON escape; a backslash before it makes it a text about escapes.
_ESCAPED: Final = re.compile(r"(?<!\\)\\u([0-9a-f]{4})", re.IGNORECASE)
_security = structlog.get_logger("security")

_COLUMNS: Final = (
    *("site_id", "account", "dedupe_key", "notice_id"),
    *("path", "headers", "body", "arrivals", "received_at"),
)
_KEY: Final = ("site_id", "account", "dedupe_key")


def _storing() -> Select[*tuple[Any, ...]]:
    """Notices, and a job for each that nobody has read; one that came before is only counted."""
    types = [notices.c[name].type for name in _COLUMNS]
    given = func.unnest(
        *(bindparam(f"of_{name}", type_=ARRAY(kind)) for name, kind in zip(_COLUMNS, types, strict=True))
    ).table_valued(*(column(name, kind) for name, kind in zip(_COLUMNS, types, strict=True)))
    new = insert(notices).from_select(_COLUMNS, select(*given.render_derived(name="given").c))
    stored = (
        new.on_conflict_do_update(
            index_elements=_KEY, set_={"arrivals": notices.c.arrivals + new.excluded.arrivals}
        )
        .returning(*(notices.c[name] for name in _KEY), notices.c.notice_id, notices.c.state)
        .cte("stored")
    )
    said = func.json_build_object("site_id", stored.c.site_id, "notice_id", stored.c.notice_id)
    unread = (
        select(
            func.convert_to(cast(said, Text), "UTF8").label("payload"),
            (f"{NOTICE_ARRIVED}:" + stored.c.notice_id).label("dedupe_key"),
        )
        .where(stored.c.state == NoticeState.NEW)
        .subquery("unread")
    )
    jobs = queue.jobs_beside(unread, NOTICE_ARRIVED, urgent=True)
    return select(stored).add_cte(jobs.cte("jobs"))


_STORE: Final = Built(_storing())
_Key = tuple[int, str, str]  # site, account, what the body is known by


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A message for one account of one site, as it came; `notice_id` is its own unless it came before.

    `request` is the context that it came in: what is logged of it says so, whoever's batch it is in.
    """

    site_id: int
    account: str
    notice: RawNotice
    at: datetime
    notice_id: str
    request: Context = field(default_factory=copy_context)


@dataclass(frozen=True, slots=True)
class _Verified:
    """One that is the provider's own, and what of it is kept; its `key` tells it from all others.

    `by_former`: it is signed with the secret before the account's own.
    """

    arrived: _Arrived
    account: ProviderAccount
    body: bytes
    key: _Key
    by_former: bool

    @property
    def reply(self) -> NoticeReply:
        """What the provider wants to hear once it is stored."""
        return gateway_of(self.account).reply(self.account, self.arrived.notice)


_Answer = NoticeReply | AccountNotFound | BadNotice


@dataclass
class Intake:
    """Where one process takes notices in; closed when nobody can knock any more."""

    database: Database
    _batcher: Batcher[_Arrived, NoticeReply] = field(init=False)

    def __post_init__(self) -> None:
        """Connect nothing yet."""
        # Two: while one batch commits, the next is verified.
        self._batcher = Batcher(self._taken, most=_MOST_TOGETHER, waiting=_MOST_WAITING, abreast=2)

    async def aclose(self) -> None:
        """Store what has queued."""
        await self._batcher.__aexit__()

    async def take(self, site_id: int, account: str, notice: RawNotice, *, at: datetime) -> NoticeReply:
        """Verify a provider's message, store it raw, and leave a job to read it; the same bytes add nothing.

        Raw but for card numbers: those are masked before anything is written (PCI DSS 3.5.1), with an alarm.

        Raises:
            BadNotice: unknown account or a signature that is not the provider's; nothing is stored, an alarm
                is counted.
            Overloaded: too many are waiting; nothing was stored.
        """
        try:
            return await self._batcher(_arrived(site_id, account, notice, at))
        except (AccountNotFound, BadNotice) as refused:
            raise _not_authentic(site_id, account, refused) from refused

    async def _taken(self, arrived: Sequence[_Arrived]) -> Sequence[_Answer | BaseException]:
        try:
            return await _take(self.database, arrived)
        except (DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if len(arrived) == 1:
                return [error]
        # One that the database does not take must not keep the others out.
        return [answer for one in arrived for answer in await self._taken([one])]


async def take_notice(
    database: Database, site_id: int, account: str, notice: RawNotice, *, at: datetime
) -> NoticeReply:
    """Take one notice in by itself. Arguments and errors as of `Intake.take`."""
    [answer] = await _take(database, [_arrived(site_id, account, notice, at)])
    if isinstance(answer, NoticeReply):
        return answer
    raise _not_authentic(site_id, account, answer) from answer


async def read_soon(tx: Transaction, notices: Sequence[tuple[int, str]]) -> None:
    """Leave a job for each of these notices, by site and id, to be read before other work."""
    jobs = [{"site_id": site_id, "notice_id": notice_id} for site_id, notice_id in notices]
    keys = [f"{NOTICE_ARRIVED}:{notice_id}" for _, notice_id in notices]
    await queue.add_all(tx, NOTICE_ARRIVED, jobs, keys=keys, urgent=True)


def _arrived(site_id: int, account: str, notice: RawNotice, at: datetime) -> _Arrived:
    return _Arrived(site_id, account, notice, at, ids.new("ntc", at=at))


def _not_authentic(site_id: int, account: str, refused: AccountNotFound | BadNotice) -> BadNotice:
    metrics.NOTICES.labels("unknown", "bad_signature").inc()
    metrics.ALARMS.labels("notice_bad_signature").inc()
    _security.warning("notice.not_authentic", site_id=site_id, account=account[:64], reason=refused.code)
    return BadNotice()


async def _take(database: Database, arrived: Sequence[_Arrived]) -> list[_Answer]:
    async def take(tx: Transaction) -> tuple[list[_Verified | AccountNotFound | BadNotice], dict[_Key, str]]:
        known = await accounts(tx, {(one.site_id, one.account) for one in arrived})
        seen = [_verified(one, known.get((one.site_id, one.account))) for one in arrived]
        return seen, await _store(tx, [one for one in seen if isinstance(one, _Verified)])

    seen, stored = await database.retried(take, is_one_statement=True)
    for one in seen:
        if isinstance(one, _Verified):
            if one.by_former:
                _note_former(one, stored[one.key])
            outcome = "stored" if one.arrived.notice_id == stored[one.key] else "repeated"
            metrics.NOTICES.labels(one.account.gateway, outcome).inc()
    return [one.reply if isinstance(one, _Verified) else one for one in seen]


def _verified(arrived: _Arrived, account: ProviderAccount | None) -> _Verified | AccountNotFound | BadNotice:
    if account is None:
        return AccountNotFound(account=arrived.account)
    try:
        by_former = _verify(account, arrived)
    except BadNotice as refused:
        return refused
    body = _without_cards(account, arrived)
    # No optional header decides.
    key = (arrived.site_id, arrived.account, hashlib.sha256(body).hexdigest())
    return _Verified(arrived, account, body, key, by_former)


def _verify(account: ProviderAccount, arrived: _Arrived) -> bool:
    """Raise `BadNotice` unless it is the provider's own, by the account's secret or the one before.

    Returns:
        whether it is by the one before.
    """
    gateway = gateway_of(account)
    try:
        gateway.verify(account, arrived.notice)
    except BadNotice:
        former = account.before_rotation(arrived.at)
        if former is None:
            raise
        gateway.verify(former, arrived.notice)
        return True
    return False


def _note_former(one: _Verified, notice_id: str) -> None:
    """Log which notice the former secret has let in, and how that ends.

    Who wonders whether the provider has changed its side as well looks for this line.
    """
    its = one.account
    ends_at = its.former_secret_ends_at
    one.arrived.request.run(
        _security.info,
        "notice.former_secret",
        site_id=its.site_id,
        account=its.account,
        notice_id=notice_id,
        until=ends_at.isoformat() if ends_at else None,
        ended_by=f"cashier provider end-former-secret {its.site_id} {its.account}",
    )


async def _store(tx: Transaction, verified: Sequence[_Verified]) -> dict[_Key, str]:
    """Write notices and the jobs that read them.

    Returns:
        under which id each stands: of one that came before, under that of the first time.
    """
    if not verified:
        return {}
    times = Counter(one.key for one in verified)
    first = {one.key: one for one in reversed(verified)}
    # In one order, so that two batches with the same notices do not wait for each other in a ring.
    rows = [
        (
            *(*key, one.arrived.notice_id, one.arrived.notice.path),
            *(mask_value(dict(one.arrived.notice.headers)), one.body, times[key], one.arrived.at),
        )
        for key, one in sorted(first.items(), key=lambda item: item[0])
    ]
    columns = {f"of_{name}": values for name, values in zip(_COLUMNS, zip(*rows, strict=True), strict=True)}
    stored = await tx.all(_STORE, columns)
    return {(row.site_id, row.account, row.dedupe_key): row.notice_id for row in stored}


def _without_cards(found: ProviderAccount, arrived: _Arrived) -> bytes:
    """The body itself, or with every card number masked and everything else saying the same.

    As its reader finds the encoding out, and as plain bytes: what begins like the one may go on as the other.
    """
    body = came = arrived.notice.body
    for encoding in dict.fromkeys((json.detect_encoding(came), "utf-8")):
        body = _masked(body, encoding)
    if body == came:
        return came
    metrics.ALARMS.labels("notice_card_number").inc()
    of = {"site_id": found.site_id, "account": found.account}
    arrived.request.run(_security.warning, "notice.card_number", **of)
    return body


def _masked(body: bytes, encoding: str) -> bytes:
    """A body without the card numbers that stand in it in this encoding; where it is not of it, as it is.

    JSON may write a digit or a blank by its number; such a card is found as well.
    """
    errors = "surrogateescape" if encoding == "utf-8" else "surrogatepass"
    try:
        text = body.decode(encoding, errors)
    except UnicodeDecodeError:
        return body
    plain = _ESCAPED.sub(_unescaped, text)
    masked = mask_cards(plain)
    return body if masked == plain else masked.encode(encoding, errors)


def _unescaped(found: re.Match[str]) -> str:
    mark = chr(int(found[1], 16))
    if not CARD_PART.fullmatch(mark):
        return found[0]
    return mark.replace("\x00", "")  # which JSON has only escaped
