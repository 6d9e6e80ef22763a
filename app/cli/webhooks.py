"""What merchants are told: their endpoints, and what to send again."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy.engine import Row

from app import staff, webhooks
from app.cli.asking import done, group, out, private_peers, told_of, with_pipes
from app.cli.staff import OperatorToken, actor
from app.plumbing.database import Transaction
from app.plumbing.pipes import Pipes
from app.settings import Settings
from app.webhooks import endpoints

__all__ = ["webhook"]

T = TypeVar("T")

webhook = group("What merchants are told: notifications, and events at their endpoints.")
endpoint = group("Addresses that a site registered for events.")
webhook.add_typer(endpoint, name="endpoint")
_Types = Annotated[
    list[str] | None, typer.Option("--type", help="An event type, or deposit.*; repeat. None: all.")
]
_INSTANT = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]


@webhook.command("replay")
def webhooks_replay(site_id: int, webhook_id: str, by: OperatorToken = "") -> None:
    """Send a notification (or one event to one endpoint) again from the start of its schedule."""
    _noted(webhooks.replay, site_id, webhook_id, "webhook.replayed", by)
    out.print("queued")


@webhook.command("replay-events")
def webhooks_replay_events(
    site_id: int,
    endpoint_id: str,
    since: Annotated[datetime, typer.Option(formats=_INSTANT, help="UTC, or with its zone.")],
    until: Annotated[datetime | None, typer.Option(formats=_INSTANT, help="None: now.")] = None,
    types: _Types = None,
    by: OperatorToken = "",
) -> None:
    """Send an endpoint the events of a time again, with their ids; also those it was never told of."""

    async def work(pipes: Pipes) -> int:
        end = _utc(until) if until else pipes.clock.now() + timedelta(seconds=1)
        detail = {"since": _utc(since).isoformat(), "until": end.isoformat(), "types": types or []}
        called = "endpoint.events_replayed"
        count, after, is_first = 0, "", True
        while is_first or after:
            async with pipes.database.transaction() as tx:
                if is_first:
                    who, now = await actor(tx, by), pipes.clock.now()
                    await staff.note(
                        tx, site_id, actor=who, deed=called, subject=endpoint_id, detail=detail, at=now
                    )
                found = await endpoints.replay_events(
                    tx,
                    site_id,
                    endpoint_id,
                    since=_utc(since),
                    until=end,
                    types=types or (),
                    after=after,
                    at=pipes.clock.now(),
                )
            count, after, is_first = count + found.count, found.after, False
        return count

    out.print(f"queued {with_pipes(work)}")


@webhook.command("attempts")
def webhooks_attempts(site_id: int, message_id: str) -> None:
    """Show what was answered to a webhook (whd_...), or to an event (evt_...) wherever it was sent."""
    rows: Sequence[Row[Any]] = told_of(
        site_id, lambda reader, _: webhooks.attempts_at(reader, site_id, message_id)
    )
    for row in rows:
        said = f"HTTP {row.http_status}" if row.http_status else row.reason
        where = f"{row.endpoint_id} " if row.endpoint_id else ""
        out.print(
            f"{row.attempted_at:%Y-%m-%d %H:%M:%S}  #{row.number}  {where}{row.url}  {row.result}  {said}"
            f"  {row.elapsed_ms if row.elapsed_ms is not None else '-'} ms  {row.answer[:200]}",
            markup=False,
        )
    if not rows:
        out.print(f"no attempt: nothing was sent yet, or there is no {message_id} at this site", markup=False)


@endpoint.command("add")
def endpoint_add(
    site_id: int,
    url: str,
    types: _Types = None,
    *,
    thin: Annotated[bool, typer.Option("--thin", help="Say what changed, not how it is now.")] = False,
    by: OperatorToken = "",
) -> None:
    """Tell an address of every event from now on; prints its secret, once."""
    peers = private_peers(Settings.read())
    new = endpoints.NewEndpoint(url, tuple(types or ()), thin)

    async def work(tx: Transaction, at: datetime) -> endpoints.RegisteredEndpoint:
        who = await actor(tx, by)
        made = await endpoints.register(tx, site_id, new, at=at, allowed_private_peers=peers)
        detail, subject = {"url": url, "types": list(new.types)}, made.endpoint_id
        await staff.note(tx, site_id, actor=who, deed="endpoint.added", subject=subject, detail=detail, at=at)
        return made

    made = done(work)
    out.print(f"{made.endpoint_id}: its secret is shown once\n  {made.secret}")


@endpoint.command("list")
def endpoint_list(site_id: int) -> None:
    """List a site's endpoints and how they stand."""
    for one in told_of(site_id, lambda reader, _: webhooks.endpoint_list(reader, site_id)):
        standing = one.state.value if one.why_disabled is None else f"disabled ({one.why_disabled.value})"
        if one.first_failed_at is not None:
            standing += f", {one.failures} failures since {one.first_failed_at:%Y-%m-%d %H:%M}"
        wants = ",".join(one.types) or "all"
        thin = "  thin" if one.is_thin else ""
        out.print(f"{one.endpoint_id}  {one.url}  {wants}{thin}  {standing}", markup=False)


@endpoint.command("pause")
def endpoint_pause(site_id: int, endpoint_id: str, by: OperatorToken = "") -> None:
    """Send nothing for now; events are kept for it, in their order."""
    _noted(endpoints.pause, site_id, endpoint_id, "endpoint.paused", by)
    out.print("paused")


@endpoint.command("resume")
def endpoint_resume(site_id: int, endpoint_id: str, by: OperatorToken = "") -> None:
    """Send again, also to a disabled endpoint, beginning with what waits."""
    waiting = _noted(endpoints.resume, site_id, endpoint_id, "endpoint.resumed", by)
    out.print(f"active; {waiting} events wait for it")


@endpoint.command("rotate")
def endpoint_rotate(site_id: int, endpoint_id: str, by: OperatorToken = "") -> None:
    """Print a new secret, once; the one before signs beside it for 48 hours more."""
    out.print(_noted(endpoints.rotate, site_id, endpoint_id, "endpoint.secret_rotated", by))


@endpoint.command("test")
def endpoint_test(site_id: int, endpoint_id: str) -> None:
    """Send one webhook.test; prints its id, for `cashier webhooks attempts`."""
    out.print(done(lambda tx, at: endpoints.send_test(tx, site_id, endpoint_id, at=at)))


@endpoint.command("remove")
def endpoint_remove(site_id: int, endpoint_id: str, by: OperatorToken = "") -> None:
    """Send nothing more, and drop what waits."""
    dropped = _noted(endpoints.remove, site_id, endpoint_id, "endpoint.removed", by)
    out.print(f"removed; {dropped} events dropped")


def _noted(deed: Callable[..., Awaitable[T]], site_id: int, its_id: str, called: str, by: str) -> T:
    """Do something to an endpoint or a webhook, with a line of the site's diary."""

    async def work(tx: Transaction, at: datetime) -> T:
        who = await actor(tx, by)
        told = await deed(tx, site_id, its_id, at=at)
        await staff.note(tx, site_id, actor=who, deed=called, subject=its_id, detail={}, at=at)
        return told

    return done(work)


def _utc(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
