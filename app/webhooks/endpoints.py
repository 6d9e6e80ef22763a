"""What a site can do with its endpoints: register, pause, rotate, test, replay."""

import base64
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Text, and_, any_, bindparam, func, or_, select, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row

from app import merchants
from app.kernel import ids
from app.kernel.errors import Refusal
from app.plumbing import queue
from app.plumbing.addresses import Peer, check_registered_url
from app.plumbing.database import Transaction
from app.webhooks.model import (
    MOST_ENDPOINTS,
    ORDER_KEPT,
    SECRET_OVERLAP,
    Endpoint,
    EndpointState,
    Event,
    WebhookState,
)
from app.webhooks.outbox import DELIVER, next_sequence, tell, write_event
from app.webhooks.queries import EndpointNotFound, endpoint, endpoint_list
from app.webhooks.tables import endpoint_secrets, endpoints, events, webhooks
from app.webhooks.terms import TEST, checked_types, is_wanted

__all__ = [
    "EndpointNotActive",
    "NewEndpoint",
    "RegisteredEndpoint",
    "Replayed",
    "TooManyEndpoints",
    "pause",
    "register",
    "remove",
    "replay_events",
    "resume",
    "rotate",
    "send_test",
]

_SECRET_BYTES = 32  # Standard Webhooks: 24 to 64
_MOST_REPLAYED = 1_000  # in one transaction; whoever asks for more goes on from there
_MOST_RESUMED = 5_000  # get their job at once; the sweep brings the rest
_HELD_AT_ONCE = 10_000  # changed by one statement, which has five seconds


class TooManyEndpoints(Refusal):
    """A site has at most {most} webhook endpoints."""


class EndpointNotActive(Refusal):
    """The webhook endpoint {endpoint_id} is {state}: resume it first."""


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """What a site decides of an endpoint; no types = all of them.

    The address is checked against the SSRF rule when it is registered, and again at every dial.
    """

    url: str
    types: tuple[str, ...] = ()
    is_thin: bool = False


@dataclass(frozen=True, slots=True)
class RegisteredEndpoint:
    """What is shown once: the secret of a new endpoint."""

    endpoint_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many events are sent again, and after which one to go on; empty when that was all."""

    count: int
    after: str


async def register(
    tx: Transaction,
    site_id: int,
    new: NewEndpoint,
    *,
    at: datetime,
    allowed_private_peers: frozenset[Peer] = frozenset(),
) -> RegisteredEndpoint:
    """Tell this address of every event from now on.

    Raises:
        BadPeerAddress: an address that we may not call.
        SiteNotFound: no such site.
        TooManyEndpoints: the site has `MOST_ENDPOINTS`.
        UnknownEventType: a type that can never come.
    """
    check_registered_url(new.url, test_profile=False, allowed_private_peers=allowed_private_peers)
    types = checked_types(new.types)
    await merchants.site(tx, site_id)
    if len(await endpoint_list(tx, site_id)) >= MOST_ENDPOINTS:
        raise TooManyEndpoints(most=MOST_ENDPOINTS)
    endpoint_id = ids.new("whe", at=at)
    await tx.execute(
        endpoints.insert().values(
            site_id=site_id,
            endpoint_id=endpoint_id,
            url=new.url,
            types=list(types),
            is_thin=new.is_thin,
            created_at=at,
            changed_at=at,
        )
    )
    return RegisteredEndpoint(endpoint_id, await _new_secret(tx, site_id, endpoint_id, 1, at))


async def rotate(tx: Transaction, site_id: int, endpoint_id: str, *, at: datetime) -> str:
    """Sign with a new secret too; those before it sign beside it for `SECRET_OVERLAP` more.

    Returns:
        The new secret, shown once.

    Raises:
        EndpointNotFound: no such endpoint.
    """
    await _locked(tx, site_id, endpoint_id)
    its = and_(endpoint_secrets.c.site_id == site_id, endpoint_secrets.c.endpoint_id == endpoint_id)
    await tx.execute(
        update(endpoint_secrets)
        .where(its, endpoint_secrets.c.retired_at.is_(None))
        .values(retired_at=at + SECRET_OVERLAP)
    )
    newest = await tx.scalar(select(func.max(endpoint_secrets.c.number)).where(its))
    return await _new_secret(tx, site_id, endpoint_id, int(newest or 0) + 1, at)


async def pause(tx: Transaction, site_id: int, endpoint_id: str, *, at: datetime) -> Endpoint:
    """Send nothing for now; events are kept for it, in their order.

    Raises:
        EndpointNotActive: it is disabled already.
        EndpointNotFound: no such endpoint.
    """
    found = await _locked(tx, site_id, endpoint_id)
    if found.state is EndpointState.DISABLED:
        raise EndpointNotActive(endpoint_id=endpoint_id, state=found.state.value)
    await _change(tx, site_id, endpoint_id, at, state=EndpointState.PAUSED)
    return await endpoint(tx, site_id, endpoint_id)


async def resume(tx: Transaction, site_id: int, endpoint_id: str, *, at: datetime) -> int:
    """Send again, beginning with what waits; a disabled endpoint gets another chance.

    What happened while it was disabled was not kept for it: `replay_events` sends that.

    Returns:
        How many events wait.

    Raises:
        EndpointNotFound: no such endpoint.
    """
    await _known(tx, site_id, endpoint_id)
    # The webhooks first, then the endpoint: the order in which deliveries lock.
    changed = {"next_at": at, "order_ends_at": at + ORDER_KEPT}
    held = await _change_held(tx, site_id, endpoint_id, changed)
    await _change(
        tx,
        site_id,
        endpoint_id,
        at,
        state=EndpointState.ACTIVE,
        first_failed_at=None,
        failures=0,
        throttle_ends_at=None,
        disabled_at=None,
        why_disabled=None,
    )
    held += await _change_held(tx, site_id, endpoint_id, changed, meanwhile=True)
    await _send(tx, site_id, held[:_MOST_RESUMED])
    return len(held)


async def remove(tx: Transaction, site_id: int, endpoint_id: str, *, at: datetime) -> int:
    """Send nothing more, and drop what waits; what was sent stays on record.

    Returns:
        How many events were dropped.

    Raises:
        EndpointNotFound: no such endpoint.
    """
    await _known(tx, site_id, endpoint_id)
    changed = {"state": WebhookState.DROPPED, "next_at": None}
    held = await _change_held(tx, site_id, endpoint_id, changed)
    await _change(tx, site_id, endpoint_id, at, state=EndpointState.REMOVED)
    return len(held) + len(await _change_held(tx, site_id, endpoint_id, changed, meanwhile=True))


async def send_test(tx: Transaction, site_id: int, endpoint_id: str, *, at: datetime) -> str:
    """Send one `webhook.test`, whatever types the endpoint wants; returns the event's id.

    Raises:
        EndpointNotActive: it is paused or disabled.
        EndpointNotFound: no such endpoint.
    """
    found = await _locked(tx, site_id, endpoint_id)
    if found.state is not EndpointState.ACTIVE:
        raise EndpointNotActive(endpoint_id=endpoint_id, state=found.state.value)
    event = Event(
        type=TEST,
        subject=endpoint_id,
        sequence=await next_sequence(tx, site_id, endpoint_id),
        object={
            "id": endpoint_id,
            "object": "webhook_endpoint",
            "url": found.url,
            "state": found.state.value,
        },
        previous_attributes={},
        occurred_at=at,
    )
    event_id = await write_event(tx, site_id, event, at=at)
    await tell(tx, site_id, event_id, event, [endpoint_id], at=at)
    return event_id


async def replay_events(
    tx: Transaction,
    site_id: int,
    endpoint_id: str,
    *,
    since: datetime,
    until: datetime,
    types: Iterable[str] = (),
    after: str = "",
    at: datetime,
) -> Replayed:
    """Send the events of a time again, each with its id; also those the endpoint was never told of.

    Of the types that the endpoint wants, the chosen ones. A thousand at once: `after` goes on from there.

    Raises:
        EndpointNotFound: no such endpoint.
        UnknownEventType: a type that can never come.
    """
    found = await _known(tx, site_id, endpoint_id)
    chosen = checked_types(types)
    rows = await tx.all(
        select(events)
        .where(
            events.c.site_id == site_id,
            events.c.created_at >= since,
            events.c.created_at < until,
            events.c.event_id > after,
            # A test was for the one endpoint that asked.
            or_(events.c.type != TEST, events.c.subject == endpoint_id),
        )
        .order_by(events.c.event_id)
        .limit(_MOST_REPLAYED)
    )
    wanted = [row for row in rows if row.type == TEST or is_wanted(found.types, row.type)]
    count = await _tell_again(
        tx, site_id, endpoint_id, [row for row in wanted if is_wanted(chosen, row.type)], at
    )
    return Replayed(count, rows[-1].event_id if len(rows) == _MOST_REPLAYED else "")


async def _tell_again(
    tx: Transaction, site_id: int, endpoint_id: str, found: Sequence[Row[Any]], at: datetime
) -> int:
    """Put events on their way from the start of the schedule, whatever became of them before."""
    if not found:
        return 0
    told = insert(webhooks).values(
        [
            {
                "site_id": site_id,
                "webhook_id": ids.new("whd", at=at),
                "payment_id": row.subject,
                "sequence": row.sequence,
                "endpoint_id": endpoint_id,
                "event_id": row.event_id,
                "next_at": at,
                "order_ends_at": at + ORDER_KEPT,
                "created_at": at,
            }
            # The order in which deliveries lock.
            for row in sorted(found, key=lambda row: (row.subject, row.sequence, row.event_id))
        ]
    )
    again = told.on_conflict_do_update(
        index_elements=["site_id", "event_id", "endpoint_id"],
        set_={
            "state": WebhookState.PENDING,
            "attempts": 0,
            "next_at": at,
            "order_ends_at": at + ORDER_KEPT,
            "delivered_at": None,
        },
    )
    rows = await tx.all(again.returning(webhooks.c.webhook_id))
    await _send(tx, site_id, [row.webhook_id for row in rows])
    return len(rows)


async def _send(tx: Transaction, site_id: int, webhook_ids: Sequence[str]) -> None:
    jobs = [{"site_id": site_id, "webhook_id": webhook_id} for webhook_id in webhook_ids]
    await queue.add_all(tx, DELIVER, jobs)


async def _new_secret(tx: Transaction, site_id: int, endpoint_id: str, number: int, at: datetime) -> str:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    await tx.execute(
        endpoint_secrets.insert().values(
            site_id=site_id, endpoint_id=endpoint_id, number=number, value=secret, created_at=at
        )
    )
    return secret


async def _known(tx: Transaction, site_id: int, endpoint_id: str) -> Endpoint:
    """An endpoint that is not removed."""
    found = await endpoint(tx, site_id, endpoint_id)
    if found.state is EndpointState.REMOVED:
        raise EndpointNotFound(endpoint_id=endpoint_id)
    return found


async def _locked(tx: Transaction, site_id: int, endpoint_id: str) -> Endpoint:
    """The same, and nobody else changes it meanwhile; new webhooks may be written for it."""
    is_it = and_(endpoints.c.site_id == site_id, endpoints.c.endpoint_id == endpoint_id)
    await tx.first(select(endpoints.c.endpoint_id).where(is_it).with_for_update(key_share=True))
    return await _known(tx, site_id, endpoint_id)


async def _change_held(
    tx: Transaction,
    site_id: int,
    endpoint_id: str,
    values: Mapping[str, object],
    *,
    meanwhile: bool = False,
) -> list[str]:
    """Change every webhook that waits for an endpoint, some by each statement; returns their ids in order.

    Args:
        tx, site_id, endpoint_id, values: what is changed how, in the order in which deliveries lock.
        meanwhile: those that a delivery has put aside since the first time. One that is being put aside is
            locked, and waits to see what becomes of the endpoint, which the caller has changed by now.
    """
    order = tuple_(webhooks.c.payment_id, webhooks.c.sequence, webhooks.c.webhook_id)
    its = and_(
        webhooks.c.site_id == site_id,
        webhooks.c.endpoint_id == endpoint_id,
        webhooks.c.state == WebhookState.PENDING,
        webhooks.c.next_at.is_(None) if meanwhile else true(),
    )
    found: list[str] = []
    behind: tuple[str, int, str] = ("", 0, "")
    while True:
        part = await tx.all(
            select(*order.clauses)
            .where(its, order > behind)
            .order_by(*order.clauses)
            .limit(_HELD_AT_ONCE)
            .with_for_update(skip_locked=meanwhile)
        )
        if not part:
            return found
        part_ids = [row.webhook_id for row in part]
        is_in_it = webhooks.c.webhook_id == any_(bindparam("part", part_ids, ARRAY(Text)))
        await tx.execute(update(webhooks).where(webhooks.c.site_id == site_id, is_in_it).values(**values))
        found += part_ids
        behind = tuple(part[-1])


async def _change(tx: Transaction, site_id: int, endpoint_id: str, at: datetime, **values: object) -> None:
    await tx.execute(
        update(endpoints)
        .where(endpoints.c.site_id == site_id, endpoints.c.endpoint_id == endpoint_id)
        .values(changed_at=at, **values)
    )
