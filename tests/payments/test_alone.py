"""An answer after which a deposit only goes on is one statement without a lock, or written the usual way."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from app import merchants, providers
from app.kernel.money import Money
from app.payments import deposit_sending, steps
from app.payments.model import Attention, Step
from app.payments.rules import next_step
from app.plumbing import metrics
from app.plumbing.database import Write, asyncpg_dsn
from app.webhooks import endpoints
from tests.payments.world import (
    ACCOUNT,
    AMOUNT,
    NEVER_LEFT,
    Provider,
    State,
    World,
    awaiting,
    fact,
    just,
    paid,
)
from tests.plumbing.test_queue import until

Deed = Callable[[World], Awaitable[object]]


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> list[Step | None]:
    """What came of each attempt to write it alone; None: the usual way was gone."""
    came: list[Step | None] = []
    apply_alone = steps.apply_alone

    async def noted(*args: Any, **more: Any) -> Step | None:  # noqa: ANN401  what it is given
        came.append(await apply_alone(*args, **more))
        return came[-1]

    monkeypatch.setattr(deposit_sending, "apply_alone", noted)
    return came


async def history(world: World) -> list[tuple[int, str]]:
    rows = await world.rows("SELECT sequence, sub_status FROM payment_event ORDER BY sequence")
    return [(row.sequence, row.sub_status) for row in rows]


async def test_what_only_goes_on_is_written_alone(
    world: World, provider: Provider, alone: list[Step | None]
) -> None:
    found = await world.deposit()
    assert [step.path[-1] for step in alone if step is not None] == ["awaiting_player"]
    assert (found.sub_status, found.sequence) == ("awaiting_player", 3)
    assert found.continue_url
    assert found.ask_at is not None
    assert await history(world) == [(1, "checking"), (2, "submitted"), (3, "awaiting_player")]
    [one] = await world.rows("SELECT state FROM attempt")
    assert one.state == "requires_action", "what the provider said is kept beside its try"
    await world.notice(fact(await world.reference()))
    assert ((await world.payment()).sub_status, await world.credited()) == ("completed", 150_000)


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (paid(), "completed"),
        (paid(amount=Money(100, "KZT")), "conflicted"),
        (just(State.CANCELLED), "by_player"),
        (NEVER_LEFT, "provider_error"),
    ],
)
async def test_what_is_more_goes_the_usual_way(
    world: World,
    provider: Provider,
    alone: list[Step | None],
    answer: providers.Result,
    end: str,
) -> None:
    """Money moves, people are called, or the merchant is told of an end."""
    provider.answers = provider.statuses = [answer]
    found = await world.deposit()
    assert found.sub_status == end
    assert not any(alone)
    assert [number for number, _ in await history(world)] == list(range(1, found.sequence + 1))


@pytest.mark.parametrize("more", [{"attention": Attention.UNCONFIRMED}, {"came_back": AMOUNT}])
async def test_people_and_money_always_go_the_usual_way(
    world: World,
    provider: Provider,
    alone: list[Step | None],
    more: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the model says of an answer one day: today such a step must ask something, or is an end."""
    first = iter([more])
    monkeypatch.setattr(
        "app.payments.steps.next_step", lambda *its: replace(next_step(*its), **next(first, {}))
    )
    found = await world.deposit()
    assert (alone, found.sub_status, found.attention) == ([None], "awaiting_player", None)


async def test_it_is_counted_as_any_step(world: World, provider: Provider, alone: list[Step | None]) -> None:
    counted = metrics.PAYMENTS.labels("deposit", "awaiting_player")._value
    before = counted.get()
    await world.deposit()
    assert (any(alone), counted.get()) == (True, before + 1)


async def asked_later(world: World) -> None:
    """Nothing of which the history tells; the row is another version by it all the same."""
    async with world.database.transaction() as tx:
        await tx.raw.execute("UPDATE payment SET asked = asked + 5")


async def paid_meanwhile(world: World) -> None:
    await world.notice(fact(await world.reference()))


async def registered(world: World) -> None:
    async with world.database.transaction() as tx:
        new = endpoints.NewEndpoint("https://events.example.com/")
        await endpoints.register(tx, world.site_id, new, at=world.clock.now())


async def told_of_all(world: World) -> None:
    async with world.database.transaction() as tx:
        await merchants.set_tell_every_change(tx, world.site_id, True, at=world.clock.now())


@pytest.mark.parametrize(
    ("meanwhile", "states", "told"),
    [
        (asked_later, ["checking", "submitted", "awaiting_player"], 0),
        (paid_meanwhile, ["checking", "submitted", "completed"], 1),
        (registered, ["checking", "submitted", "awaiting_player"], 1),
        (told_of_all, ["checking", "submitted", "awaiting_player"], 1),
    ],
)
async def test_who_is_overtaken_writes_nothing_and_goes_the_usual_way(
    world: World, provider: Provider, alone: list[Step | None], meanwhile: Deed, states: list[str], told: int
) -> None:
    """While the provider is asked, somebody changes the deposit, or begins to hear of its changes."""

    async def during(_: object) -> None:
        await meanwhile(world)

    provider.during_deposit = during
    await world.ask()
    assert alone == [None]
    assert await history(world) == list(enumerate(states, 1))
    [count] = await world.rows("SELECT count(*) AS n FROM webhook")
    assert count.n == told
    [one] = await world.rows("SELECT state FROM attempt")
    assert one.state == "requires_action", "the answer is kept on either way"


@pytest.mark.parametrize("before", [registered, told_of_all])
async def test_where_somebody_hears_of_it_anyway_it_is_not_tried(
    world: World,
    provider: Provider,
    alone: list[Step | None],
    before: Deed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would fail each time: a round trip for nothing."""
    await before(world)
    tried: list[object] = []
    write = world.database.write

    async def noted(*writes: Write) -> None:
        tried.append(writes)
        await write(*writes)

    monkeypatch.setattr(world.database, "write", noted)
    assert (await world.deposit()).sub_status == "awaiting_player"
    assert (alone, tried) == ([None], [])


async def test_who_finds_another_at_it_goes_the_usual_way(
    world: World, provider: Provider, alone: list[Step | None], clone_url: str
) -> None:
    """The row is locked, and is another version when it is free."""
    other = await asyncpg.connect(asyncpg_dsn(clone_url))
    waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    held: list[asyncio.Task[None]] = []

    async def let_go() -> None:
        async def does_wait() -> bool:
            return bool(await other.fetchval(waits))

        await until(does_wait)
        await other.execute("COMMIT")

    async def hold(_: object) -> None:
        await other.execute("BEGIN")
        await other.execute("UPDATE payment SET asked = asked + 5, account = $1", ACCOUNT)
        held.append(asyncio.create_task(let_go()))

    provider.during_deposit = hold
    found = await world.deposit()
    await held[0]
    await other.close()
    assert alone == [None]
    assert await history(world) == [(1, "checking"), (2, "submitted"), (3, "awaiting_player")]
    assert found.sub_status == "awaiting_player"


async def test_who_begins_to_hear_while_another_has_the_deposit_is_told(
    world: World, provider: Provider, alone: list[Step | None], clone_url: str
) -> None:
    """The deposit is the same version when its lock is free; its try is not, and loses nothing of it."""
    other, third = [await asyncpg.connect(asyncpg_dsn(clone_url)) for _ in range(2)]
    held: list[asyncio.Task[None]] = []

    async def let_go() -> None:
        async def does_wait() -> bool:
            return bool(await third.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))

        await until(does_wait)
        await registered(world)
        await other.execute("COMMIT")

    async def hold(_: object) -> None:
        await other.execute("BEGIN")
        await other.execute("SELECT FROM payment FOR UPDATE")
        await other.execute("UPDATE attempt SET was_spoken_of = true, told_minor = 1, told_currency = 'KZT'")
        held.append(asyncio.create_task(let_go()))

    provider.during_deposit = hold
    provider.answers = [replace(awaiting(), amount=None)]
    await world.ask()
    await held[0]
    await asyncio.gather(other.close(), third.close())
    assert alone == [None]
    assert await history(world) == [(1, "checking"), (2, "submitted"), (3, "awaiting_player")]
    assert (await world.rows("SELECT count(*) AS n FROM webhook"))[0].n == 1
    [one] = await world.rows("SELECT state, was_spoken_of, told_minor FROM attempt")
    assert (one.state, one.was_spoken_of, one.told_minor) == ("requires_action", True, 1)
