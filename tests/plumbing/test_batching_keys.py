"""What has one key is never in two batches at once, and holds up nobody else."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from app.plumbing import batching
from app.plumbing.batching import Batcher, Overloaded
from tests.plumbing.doubling import Doubling, blocked, turns


async def test_items_of_one_key_are_never_in_two_batches_at_once() -> None:
    doubling = Doubling()
    doubling.may_go_on.clear()
    async with Batcher(doubling, abreast=2, key=lambda number: number % 100) as batcher:
        callers = [asyncio.create_task(batcher(number)) for number in (1, 2, 101)]
        await turns(10)
        callers += [
            asyncio.create_task(batcher(number)) for number in (201, *range(3, 7), 301, 102, *range(7, 11))
        ]
        await turns(10)
        assert doubling.batches == [[1, 2, 101], list(range(3, 11))], "together, or one after the other"
        doubling.may_go_on.set()
        await asyncio.gather(*callers)
    assert sorted(doubling.batches[2]) == [102, 201, 301]


async def test_those_of_one_key_stay_in_their_order() -> None:
    handled: list[int] = []

    async def slowly(items: Sequence[int]) -> list[int]:
        handled.extend(items)
        await turns(items[0] % 7)
        return list(items)

    async with Batcher(slowly, most=4, abreast=3, key=lambda number: number % 5) as batcher:
        await asyncio.gather(*(batcher(number) for number in range(200)))
    assert sorted(handled) == list(range(200))
    for key in range(5):
        own = [number for number in handled if number % 5 == key]
        assert own == sorted(own)


async def test_one_key_alone_goes_on_by_itself() -> None:
    """Nobody begins what would find everybody parked."""
    doubling = Doubling()
    doubling.may_go_on.clear()
    async with Batcher(doubling, most=2, abreast=2, key=lambda _: "same") as batcher:
        callers = [asyncio.create_task(batcher(number)) for number in range(7)]
        await turns(50)
        assert doubling.batches == [[0, 1]]
        assert len(batcher._workers) == 1
        doubling.may_go_on.set()
        assert await asyncio.gather(*callers) == [2 * number for number in range(7)]
    assert [item for batch in doubling.batches for item in batch] == list(range(7))


async def test_who_is_parked_is_in_nobodys_convoy() -> None:
    doubling = Doubling()
    doubling.may_go_on.clear()
    async with Batcher(doubling, abreast=2, key=lambda number: number % 100) as batcher:
        callers = [asyncio.create_task(batcher(number)) for number in range(15)]
        await turns(10)
        callers += [asyncio.create_task(batcher(100 * number)) for number in range(1, 17)]
        await turns(20)
        before = len(doubling.batches)
        for number in range(20, 28):
            callers.append(asyncio.create_task(batcher(number)))
            await turns(1)
        await turns(20)
        assert doubling.batches[before:] == [list(range(20, 28))]
        doubling.may_go_on.set()
        await asyncio.gather(*callers)
    rest = [number for batch in doubling.batches[before + 1 :] for number in batch]
    assert rest == [100 * number for number in range(1, 17)]


async def test_whom_a_batch_leaves_behind_does_not_wait_for_it_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Few have waited for the end of what was under way; those of one key have filled the next one."""
    monkeypatch.setattr(batching, "_PATIENCE_SECONDS", 0.5)
    doubling = Doubling()
    async with Batcher(doubling, most=2, abreast=2, key=lambda number: number % 100) as batcher:
        callers = [await blocked(batcher, doubling)]
        callers += [asyncio.create_task(batcher(number)) for number in (100, 200, 300, 1)]
        await turns(10)
        assert doubling.batches == [[0]]
        doubling.may_go_on.set()
        doubling.may_go_on.clear()
        await turns(20)
        assert doubling.batches == [[0], [100, 200], [1]]
        doubling.may_go_on.set()
        await asyncio.gather(*callers)


async def test_who_was_parked_is_behind_those_who_came_before_him() -> None:
    doubling = Doubling()
    async with Batcher(doubling, most=2, key=lambda number: number % 100) as batcher:
        callers = [await blocked(batcher, doubling)]
        callers += [asyncio.create_task(batcher(number)) for number in (1, 100, 2, 200)]
        await turns(10)
        doubling.may_go_on.set()
        await asyncio.gather(*callers)
    assert doubling.batches == [[0], [1, 100], [2, 200]]


@pytest.mark.parametrize("abreast", [1, 2])
async def test_who_never_stops_asking_keeps_nobody_from_his_turn(abreast: int) -> None:
    """As many of one key as fill two batches, for each that may be under way at once."""
    is_over = False

    async def slowly(items: Sequence[int]) -> list[int]:
        await turns(5)
        return list(items)

    async def asks_on(key: int) -> None:
        while not is_over:
            await batcher(key)

    async with Batcher(slowly, most=2, abreast=abreast, key=lambda key: key, of_key=4) as batcher:
        callers = [asyncio.create_task(asks_on(key)) for key in range(abreast) for _ in range(4)]
        await turns(20)
        try:
            async with asyncio.timeout(2):
                assert await batcher(9) == 9
        finally:
            is_over = True
            await asyncio.gather(*callers)


async def test_who_is_parked_takes_room() -> None:
    doubling = Doubling()
    async with Batcher(doubling, waiting=3, abreast=2, key=lambda _: "same") as batcher:
        first = await blocked(batcher, doubling)
        waiting = [asyncio.create_task(batcher(number)) for number in (1, 2, 3)]
        await turns(5)
        with pytest.raises(Overloaded):
            await batcher(4)
        doubling.may_go_on.set()
        assert await asyncio.gather(first, *waiting) == [0, 2, 4, 6]
        assert await batcher(4) == 8


async def test_one_key_does_not_fill_the_room_in_which_others_wait() -> None:
    doubling = Doubling()
    async with Batcher(doubling, waiting=4, abreast=2, key=lambda number: number % 2, of_key=2) as batcher:
        first = await blocked(batcher, doubling)
        waiting = [asyncio.create_task(batcher(number)) for number in (2, 4)]
        await turns(5)
        with pytest.raises(Overloaded):
            await batcher(6)
        others = asyncio.create_task(batcher(1))
        await turns(5)
        doubling.may_go_on.set()
        assert await asyncio.gather(first, *waiting, others) == [0, 4, 8, 2]
        assert await batcher(6) == 12


@pytest.mark.parametrize("seed", range(25))
async def test_whatever_happens_nobody_waits_for_ever_and_keys_stay_apart(seed: int) -> None:
    """Callers come and go at random, handlers fail and are cancelled."""
    chance = random.Random(seed)
    under_way: set[int] = set()
    last: dict[int, int] = {}

    async def handler(items: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        keys = {key for key, _ in items}
        assert not keys & under_way
        for key, number in items:
            assert last.get(key, -1) < number
            last[key] = number
        under_way.update(keys)
        try:
            await turns(chance.randrange(6))
            if (luck := chance.random()) < 0.05:
                raise ValueError
            if luck < 0.1:
                raise asyncio.CancelledError
            return list(items)
        finally:
            under_way.difference_update(keys)

    most, abreast = chance.choice([1, 2, 5, 128]), chance.choice([1, 2, 3, 4])
    batcher = Batcher(handler, most=most, abreast=abreast, key=lambda item: item[0])
    keys, callers = chance.choice([1, 2, 3, 10]), []
    for number in range(300):
        callers.append(asyncio.create_task(batcher((chance.randrange(keys), number))))
        if chance.random() < 0.3:
            await turns(1)
        if chance.random() < 0.05:
            chance.choice(callers).cancel()
    done, waiting = await asyncio.wait(callers, timeout=5)
    assert not waiting
    await turns(5)
    assert (batcher._parked, batcher._parked_items, batcher._workers, batcher._under_way) == ({}, 0, set(), 0)
    unexpected = [one for one in done if not one.cancelled() and isinstance(one.exception(), AssertionError)]
    assert unexpected == []
