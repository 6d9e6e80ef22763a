"""What people do to wallets and players on the command line is a line of the site's diary."""

from collections.abc import AsyncIterator

import pytest

from app import staff
from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.staff import NewOperator, Role
from tests import invariants
from tests.wallet.counter import Counter, opened
from tests.wallet.test_command import Desk


@pytest.fixture
async def desk(database: Database, clock: MovableClock, clone_url: str) -> AsyncIterator[Desk]:
    async with opened(database, clock) as counter:
        await counter.player(cash=1000)
        yield Desk(counter, clone_url)
        await invariants.hold(database)


async def person(counter: Counter, *roles: Role) -> tuple[str, str]:
    """The actor, and the token."""
    new = NewOperator("-".join(sorted(roles)), "Aigerim", frozenset(roles), None)
    async with counter.pipes.database.transaction() as tx:
        made, token = await staff.create_operator(tx, new, at=counter.clock.now())
    return made.actor, token


async def lines(counter: Counter) -> list[staff.DiaryEntry]:
    """The oldest first."""
    async with counter.pipes.database.reading() as reader:
        return (await staff.diary(reader, counter.site_id))[::-1]


async def player_id(counter: Counter) -> str:
    [row] = await counter.rows("SELECT player_id FROM player WHERE site_login = 'aigerim'")
    return str(row[0])


async def test_a_bonus_is_in_the_diary_before_it_is_given(desk: Desk) -> None:
    who, token = await person(desk.counter, Role.FINANCE)
    granted = f"wallet grant-bonus SITE aigerim KZT 250 --id gift-1 --token {token}"
    assert await desk.said(granted) == "OK\n"
    [line] = await lines(desk.counter)
    assert (line.actor, line.deed, line.subject) == (who, "bonus.asked", await player_id(desk.counter))
    assert line.detail == {"id": "gift-1", "amount": {"currency": "KZT", "minor": 250}}


async def test_who_may_not_give_money_gives_none(desk: Desk) -> None:
    roles = set(Role) - {Role.ADMINISTRATOR, Role.FINANCE}
    _, token = await person(desk.counter, *roles)
    for line in (
        "wallet grant-bonus SITE aigerim KZT 250 --id gift-1",
        "wallet free-rounds grant SITE gift aigerim KZT 3 --platform acme --until 2099-01-01",
        "wallet free-rounds cancel SITE gift",
        "wallet float fund SITE KZT 1500 --id payment-1",
        "wallet float return SITE KZT 1500 --id payment-1",
        "wallet policy SITE max_bet=500",
    ):
        done = await desk.run(f"{line} --token {token}")
        assert isinstance(done.exception, staff.NotPermitted), line
    assert await lines(desk.counter) == []
    _, told = await desk.counter.get("/v1/player/info", playerExternalId="aigerim")
    assert told["data"]["balances"]["KZT"]["bonus"] == 0
    assert await desk.said(f"wallet policy SITE --token {token}")  # to look is no deed


async def test_no_bonus_for_whom_nobody_knows(desk: Desk) -> None:
    assert (await desk.run("wallet grant-bonus SITE nobody KZT 250 --id gift-1")).exit_code == 1
    assert await lines(desk.counter) == []


async def test_a_players_block_is_in_the_diary_once(desk: Desk) -> None:
    who, token = await person(desk.counter, Role.FRAUD)
    why = {"block": " --reason chargebacks"}
    for verb in ("block", "block", "unblock", "close"):
        await desk.said(f"player {verb} SITE aigerim{why.get(verb, '')} --token {token}")
    its = await player_id(desk.counter)
    assert [(line.actor, line.deed, line.subject, line.detail) for line in await lines(desk.counter)] == [
        (who, "player.blocked", its, {"before": "active", "reason": "chargebacks"}),
        (who, "player.active", its, {"before": "blocked"}),
        (who, "player.closed", its, {"before": "active"}),
    ]
    _, weak = await person(desk.counter, Role.SUPPORT)
    refused = await desk.run(f"player unblock SITE aigerim --token {weak}")
    assert isinstance(refused.exception, staff.NotPermitted)
    assert (await desk.counter.play("bet", amount=1))["code"] == "PLAYER_BLOCKED"


async def test_free_rounds_are_in_the_diary_when_something_was_done(desk: Desk) -> None:
    who, token = await person(desk.counter, Role.FINANCE)
    granted = "wallet free-rounds grant SITE gift aigerim KZT 3 --platform acme --until 2099-01-01"
    cancelled = "wallet free-rounds cancel SITE gift"
    for line in (granted, granted, f"{cancelled} --player aigerim", cancelled):
        await desk.said(f"{line} --token {token}")
    first, second = await lines(desk.counter)
    assert (first.actor, first.deed, first.subject) == (who, "free_rounds.granted", "gift")
    assert first.detail == {
        "player": await player_id(desk.counter),
        "provider_id": "acme",
        "game_code": "",
        "currency": "KZT",
        "spins": 3,
        "max_win_minor": 0,
        "ends_at": "2099-01-01T00:00:00.000Z",
    }
    assert (second.actor, second.deed, second.subject) == (who, "free_rounds.cancelled", "gift")
    assert second.detail == {"player": await player_id(desk.counter), "count": 1}


async def test_a_float_is_in_the_diary_once_for_each_id(desk: Desk) -> None:
    for line in (
        "fund SITE KZT 1500 --id p-1",
        "fund SITE KZT 1500 --id p-1",
        "return SITE KZT 500 --id b-1",
    ):
        await desk.said(f"wallet float {line}")
    assert (await desk.run("wallet float return SITE KZT 501 --id b-2")).exit_code == 1
    funded, returned = await lines(desk.counter)
    assert funded.actor.startswith("machine:")
    assert (funded.deed, funded.subject) == ("float.funded", "float")
    assert funded.detail == {"id": "p-1", "amount": {"currency": "KZT", "minor": 1500}}
    assert (returned.deed, returned.detail["id"]) == ("float.returned", "b-1")


async def test_what_a_site_decides_of_its_wallets_is_in_the_diary(desk: Desk) -> None:
    who, token = await person(desk.counter, Role.ADMINISTRATOR)
    await desk.said(f"wallet policy SITE max_bet=500 reverse_wins=true --token {token}")
    await desk.said(f"wallet policy SITE --platform acme max_bet=900 --token {token}")
    await desk.said("wallet policy SITE")
    assert (await desk.run("wallet policy SITE max_bet=many")).exit_code == 1
    assert [(line.actor, line.deed, line.subject, line.detail) for line in await lines(desk.counter)] == [
        (who, "wallet.policy", "site", {"max_bet": "500", "reverse_wins": "true"}),
        (who, "wallet.policy", "acme", {"max_bet": "900"}),
    ]
