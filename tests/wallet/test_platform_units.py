"""A platform may write another unit than its site: what is known to be its own is told in its unit."""

from collections.abc import AsyncIterator

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.wallet.catalogue import Game
from app.wallet.operations import add_game
from tests import invariants
from tests.wallet.counter import Counter, Json, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    """Acme writes major units, at a site that writes minor ones."""
    async with opened(database, clock) as made:
        await made.player(cash=100_000)
        await made.decide("acme", amount_unit="major")
        yield made
        await invariants.hold(database)


async def listed(counter: Counter) -> None:
    async with counter.pipes.database.transaction() as tx:
        game = Game("acme", "aviator", "Aviator", "", is_enabled=True)
        await add_game(tx, counter.site_id, game, at=counter.clock.now())


async def test_a_rollback_names_its_platform_where_units_differ(counter: Counter) -> None:
    bet = (await counter.play("bet", "b-1", amount=10))["data"]
    assert (bet["amount"], bet["balance"]) == (10.0, 990.0)
    refused = await counter.play("rollback", "k-1", referenceId="b-1")
    assert (refused["code"], refused["data"]["field"]) == ("VALIDATION", "providerId")
    back = (await counter.play("rollback", "k-1", referenceId="b-1", providerId="acme"))["data"]
    assert (back["amount"], back["balance"]) == (10.0, 1000.0)


async def test_a_rollback_names_its_platform_where_free_wins_are_paid_differently(counter: Counter) -> None:
    await counter.decide("acme", amount_unit="minor", free_wins="together")
    refused = await counter.play("rollback", "k-1", referenceId="b-1")
    assert (refused["code"], refused["data"]["field"]) == ("VALIDATION", "providerId")


async def test_a_balance_is_in_the_unit_of_the_platform_that_is_named(counter: Counter) -> None:
    asked = {"playerExternalId": "aigerim", "currency": "KZT"}
    told = [
        (await counter.get("/v1/player/wallet/balance", scope="play", **asked, **named))[1]["data"]["balance"]
        for named in ({}, {"providerId": "acme"}, {"providerId": "other"})
    ]
    assert told == [100_000, 1000.0, 100_000]


@pytest.mark.parametrize("named", [{"providerId": "acme"}, {}])
async def test_a_session_ends_in_the_unit_of_its_platform(counter: Counter, named: Json) -> None:
    await listed(counter)
    body = {"playerExternalId": "aigerim", "currency": "KZT", "gameCode": "aviator", **named}
    _, launched = await counter.post("/v1/game/launch", body, scope="play")
    session = {"sessionId": launched["data"]["sessionId"]}
    _, ended = await counter.post("/v1/session/end", session, scope="play")
    assert ended["data"]["finalBalance"] == 1000.0


async def test_a_launch_that_names_no_platform_is_as_its_platform_decides(counter: Counter) -> None:
    await listed(counter)
    await counter.decide("acme", many_sessions="false")
    body = {"playerExternalId": "aigerim", "currency": "KZT", "gameCode": "aviator"}
    first, _ = [(await counter.post("/v1/game/launch", body))[1]["data"]["sessionId"] for _ in range(2)]
    bet = await counter.play("bet", amount=10, sessionId=first)
    assert bet["code"] == "SESSION_EXPIRED"
