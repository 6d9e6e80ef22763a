"""A site whose merchant listens on real sockets, and short words for its webhooks."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Row

from app import merchants, webhooks
from app.kernel.clock import Clock, MovableClock, SystemClock
from app.merchants import CreatedSite
from app.plumbing.database import Database
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes
from app.webhooks import endpoints
from app.webhooks.deliveries import deliver
from app.webhooks.endpoints import RegisteredEndpoint
from app.webhooks.sweeps import recover_forgotten
from tests.payments.peers import Server, answering, serving

T = TypeVar("T")
HEARD = {"code": 0}
AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def changed(
    sequence: int,
    subject: str = "dep_1",
    *,
    type: str = "deposit.processing",  # noqa: A002  as the event calls it
    **attributes: object,
) -> webhooks.Event:
    """A change of a payment."""
    thing = {"id": subject, "object": "deposit", "status": "processing", **attributes}
    return webhooks.Event(type, subject, sequence, thing, {"status": "pending"}, AT)


@dataclass
class Post:
    """One site and its two endpoints."""

    pipes: Pipes
    created: CreatedSite
    good: Server
    bad: Server

    @property
    def clock(self) -> Clock:
        return self.pipes.clock

    def advance(self, by: float | timedelta) -> None:
        """Move the clock of the test."""
        assert isinstance(self.clock, MovableClock)
        self.clock.advance(by)

    @property
    def database(self) -> Database:
        return self.pipes.database

    async def announce(self, payment_id: str = "dep_1", *, success: bool = True, sequence: int = 3) -> str:
        fields = {"site_id": self.created.site_id, "status_id": 4 if success else 6, "site_login": "игрок"}
        told = webhooks.Notification(payment_id, sequence, success, {**fields, "amount": 150_000})
        async with self.database.transaction() as tx:
            site = await merchants.site(tx, self.created.site_id)
            return await webhooks.announce(tx, site, told, at=self.clock.now())

    @property
    def peers(self) -> frozenset[tuple[str, int]]:
        """The private addresses that may be called."""
        return frozenset({self.good.peer, self.bad.peer})

    async def register(
        self,
        server: Server | None = None,
        *,
        path: str = "/events",
        **more: Any,  # noqa: ANN401  any wishes
    ) -> RegisteredEndpoint:
        """An endpoint at one of the servers, the good one by default."""
        new = endpoints.NewEndpoint(f"{(server or self.good).url}{path}", **more)
        async with self.database.transaction() as tx:
            return await endpoints.register(
                tx, self.created.site_id, new, at=self.clock.now(), allowed_private_peers=self.peers
            )

    async def publish(self, event: webhooks.Event) -> str | None:
        """Write an event in a transaction of its own."""
        async with self.database.transaction() as tx:
            return await webhooks.publish(tx, self.created.site_id, event, at=self.clock.now())

    async def deliver(self, webhook_id: str) -> Row[Any]:
        """One run of the job; the row afterwards."""
        await deliver(self.pipes, self.created.site_id, webhook_id)
        return await self.row(webhook_id)

    async def sent(self, event: webhooks.Event) -> str:
        """Write an event that one endpoint wants, and run its job once; the id of the webhook."""
        webhook_id = await self.way(await self.publish(event))
        await self.deliver(webhook_id)
        return webhook_id

    async def way(self, event_id: str | None, endpoint_id: str = "") -> str:
        """The id of the webhook by which an event goes to an endpoint; to the only one by default."""
        query = "SELECT webhook_id FROM webhook WHERE event_id = :event AND endpoint_id LIKE :endpoint"
        [found] = await self.rows(query, event=event_id, endpoint=endpoint_id or "%")
        return str(found.webhook_id)

    async def endpoint(self, endpoint_id: str) -> webhooks.Endpoint:
        async with self.database.reading() as reader:
            return await webhooks.endpoint(reader, self.created.site_id, endpoint_id)

    async def do(self, deed: Callable[..., Awaitable[T]], *arguments: object, **more: object) -> T:
        """One deed of the room at this site, in a transaction of its own."""
        async with self.database.transaction() as tx:
            return await deed(tx, self.created.site_id, *arguments, at=self.clock.now(), **more)

    async def recover(self) -> int:
        """The sweep for what was forgotten."""
        async with self.database.transaction() as tx:
            return await recover_forgotten(tx, now=self.clock.now())

    async def row(self, webhook_id: str) -> Row[Any]:
        [found] = await self.rows("SELECT * FROM webhook WHERE webhook_id = :id", id=webhook_id)
        return found

    async def attempts(self, webhook_id: str) -> list[Row[Any]]:
        return await self.rows(
            "SELECT * FROM webhook_attempt WHERE webhook_id = :id ORDER BY number", id=webhook_id
        )

    async def rows(self, query: str, **values: object) -> list[Row[Any]]:
        async with self.database.reading() as reader:
            return list(await reader.all(text(query), values))

    async def jobs(self) -> int:
        query = "SELECT count(*) AS n FROM queue.pgqueuer WHERE status = 'queued'"
        return int((await self.rows(query))[0].n)

    async def until_due(self, webhook_id: str) -> None:
        """Move the clock to the next attempt."""
        due: datetime = (await self.row(webhook_id)).next_at
        self.advance(due - self.clock.now())


async def opened_site(
    pipes: Pipes,
    good: Server,
    bad: Server,
    peers: frozenset[tuple[str, int]],
    **more: Any,  # noqa: ANN401  any settings of a site
) -> CreatedSite:
    """A site that hears of successes at one endpoint and of failures at the other."""
    new = merchants.NewSite(
        name="Altyn Games",
        currencies=("KZT",),
        callout_url=f"{good.url}/callout",
        notify_url=f"{good.url}/notify",
        notify_failure_url=f"{bad.url}/failed",
        **more,
    )
    async with pipes.database.transaction() as tx:
        return await merchants.create_site(tx, new, at=pipes.clock.now(), allowed_private_peers=peers)


@pytest.fixture
async def post(
    database: Database, clock: MovableClock, request: pytest.FixtureRequest
) -> AsyncIterator[Post]:
    """The site; a test may ask for other settings by indirect parameters."""
    async with serving(answering(HEARD)) as good, serving(answering(HEARD)) as bad:
        peers = frozenset({good.peer, bad.peer})
        async with HttpClient(clock, allowed_private_peers=peers) as http:
            pipes = Pipes(database, http, clock, "https://cashier.example.com")
            created = await opened_site(pipes, good, bad, peers, **getattr(request, "param", {}))
            yield Post(pipes, created, good, bad)


@pytest.fixture
def live(post: Post) -> Post:
    """The same site in real time, for the real worker and for libraries that look at the machine's clock."""
    return replace(post, pipes=replace(post.pipes, clock=SystemClock()))
