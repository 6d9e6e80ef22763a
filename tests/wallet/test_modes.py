"""A site changes who keeps its balances only when nothing is left behind, also of what comes meanwhile."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app import merchants, wallet
from app.kernel.clock import MovableClock
from app.plumbing.database import Database, Reader
from app.wallet import modes
from tests import invariants
from tests.wallet.counter import Counter, opened

URL = "https://games.example.com/ask"


@pytest.fixture
async def counter(
    database: Database, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Counter]:
    monkeypatch.setattr(modes, "_WAIT_SECONDS", 0.3)
    async with opened(database, clock) as made:
        await made.player()
        yield made
        await invariants.hold(database)


async def switched(counter: Counter, url: str, *others: str, is_trial: bool = False) -> modes.Switched:
    async def found(_reader: Reader, _site_id: int) -> list[str]:
        return list(others)

    done = await wallet.switch_mode(counter.pipes, counter.site_id, url, found, is_trial=is_trial)
    counter.clock.advance(3)
    return done


async def mode(counter: Counter) -> str:
    async with counter.pipes.database.reading() as reader:
        return (await merchants.site(reader, counter.site_id)).wallet_mode.value


async def test_what_is_won_after_the_change_leaves_by_changing_back(counter: Counter) -> None:
    assert await switched(counter, URL) == ([], False)
    won = await counter.play("win", "w-1", kind="promo", amount=50_000)
    assert (won["code"], won["data"]["balance"]) == ("OK", 50_000)
    assert (await counter.transfer("withdraw", 50_000))["code"] == "WRONG_WALLET_MODE"
    assert await switched(counter, "") == ([], False)
    assert (await counter.transfer("withdraw", 50_000))["code"] == "OK"
    assert await switched(counter, URL) == ([], False)


async def test_what_comes_while_the_mode_is_changed_changes_it_back(counter: Counter) -> None:
    await counter.deposit(100, "in-1")
    await counter.transfer("withdraw", 100, "out-1")  # the token and its site are remembered by now
    changing = asyncio.create_task(switched(counter, URL))
    await asyncio.sleep(0.1)
    assert await mode(counter) == "seamless"
    assert (await counter.deposit(70_000, "in-2"))["code"] == "OK", "this process has not heard of it"
    assert await changing == (["1 player(s) have 700.00 KZT in all"], True)
    assert await mode(counter) == "transfer"
    assert (await counter.transfer("withdraw", 70_000, "out-2"))["code"] == "OK"
    assert await switched(counter, URL) == ([], False)
    assert (await counter.deposit(70_000, "in-3"))["code"] == "WRONG_WALLET_MODE"


async def test_what_other_rooms_have_under_way_is_in_the_way_of_both_modes(counter: Counter) -> None:
    assert await switched(counter, URL, "1 deposit(s) are not over") == (["1 deposit(s) are not over"], False)
    assert await mode(counter) == "transfer"
    await switched(counter, URL)
    assert await switched(counter, "", "1 deposit(s) are not over") == (["1 deposit(s) are not over"], False)
    assert await mode(counter) == "seamless"
    # Another address is no other mode.
    assert await switched(counter, f"{URL}/2", "1 deposit(s) are not over") == ([], False)


async def test_a_trial_changes_nothing(counter: Counter) -> None:
    assert await switched(counter, URL, is_trial=True) == ([], False)
    assert await mode(counter) == "transfer"
