"""Many callers, one unit of work: nobody gets another's answer, and nobody waits for ever."""

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest
import structlog

from app.plumbing import batching
from app.plumbing.batching import Batcher, Overloaded
from tests.plumbing.doubling import Doubling, blocked, turns


async def test_what_queued_meanwhile_is_one_batch_in_its_order() -> None:
    doubling = Doubling()
    async with Batcher(doubling, most=3) as batcher:
        first = await blocked(batcher, doubling)
        others = [asyncio.create_task(batcher(n)) for n in range(1, 6)]
        await asyncio.sleep(0)
        doubling.may_go_on.set()
        assert await asyncio.gather(first, *others) == [0, 2, 4, 6, 8, 10]
    assert doubling.batches == [[0], [1, 2, 3], [4, 5]]


async def test_a_lone_call_is_handled_at_once() -> None:
    doubling = Doubling()
    async with Batcher(doubling) as batcher:
        async with asyncio.timeout(1):
            assert [await batcher(n) for n in (3, 4)] == [6, 8]
    assert doubling.batches == [[3], [4]]


async def test_a_failed_batch_fails_for_each_of_its_callers_and_no_other() -> None:
    doubling = Doubling()
    async with Batcher(doubling) as batcher:
        first = await blocked(batcher, doubling)
        others = [asyncio.create_task(batcher(n)) for n in (1, 2)]
        await asyncio.sleep(0)
        doubling.failure = LookupError("the handler failed")
        doubling.may_go_on.set()
        for failed in await asyncio.gather(first, *others, return_exceptions=True):
            assert isinstance(failed, LookupError)
        doubling.failure = None
        assert await batcher(5) == 10


async def test_too_few_answers_reach_nobody() -> None:
    async def forgetful(items: Sequence[int]) -> list[int]:
        return list(items)[1:]

    async with Batcher(forgetful) as batcher:
        failed = await asyncio.gather(batcher(1), batcher(2), return_exceptions=True)
    assert [type(error) for error in failed] == [ValueError, ValueError]


async def test_a_caller_that_goes_away_does_not_take_the_batch_with_it() -> None:
    doubling = Doubling()
    async with Batcher(doubling) as batcher:
        first = await blocked(batcher, doubling)
        leaves, stays = asyncio.create_task(batcher(1)), asyncio.create_task(batcher(2))
        await asyncio.sleep(0)
        first.cancel()
        leaves.cancel()
        doubling.may_go_on.set()
        assert await stays == 4
        assert leaves.cancelled()
        assert first.cancelled()
    assert doubling.batches == [[0], [1, 2]]


async def test_more_than_may_wait_are_refused_at_once() -> None:
    doubling = Doubling()
    async with Batcher(doubling, waiting=2) as batcher:
        first = await blocked(batcher, doubling)
        waiting = [asyncio.create_task(batcher(n)) for n in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refused:
            await batcher(3)
        assert refused.value.fields == {"retry_after_seconds": 1}
        doubling.may_go_on.set()
        assert await asyncio.gather(first, *waiting) == [0, 2, 4]
    assert doubling.batches == [[0], [1, 2]]


async def test_closing_answers_what_has_queued_and_takes_nothing_more() -> None:
    doubling = Doubling()
    async with Batcher(doubling) as batcher:
        first = await blocked(batcher, doubling)
        second = asyncio.create_task(batcher(1))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.02, doubling.may_go_on.set)
    assert (first.done(), second.done()) == (True, True)
    assert [await first, await second] == [0, 2]
    with pytest.raises(RuntimeError, match="closed"):
        await batcher(2)


@pytest.mark.parametrize("key", [None, lambda _: "same"])
async def test_a_handler_that_was_cancelled_leaves_nobody_waiting(key: Callable[[int], str] | None) -> None:
    async def cancelled(items: Sequence[int]) -> list[int]:
        await turns(5)
        if 1 in items:
            raise asyncio.CancelledError
        return list(items)

    async with Batcher(cancelled, key=key) as batcher:
        for _ in range(2):
            calling = asyncio.create_task(batcher(1))
            await turns(3)
            behind = asyncio.create_task(batcher(2))
            await asyncio.wait({calling, behind}, timeout=1)
            assert (calling.cancelled(), behind.done()) == (True, True)
            assert await behind == 2


async def test_an_answer_that_is_an_exception_reaches_its_caller_alone() -> None:
    async def picky(items: Sequence[int]) -> list[int | BaseException]:
        return [LookupError(str(item)) if item == 2 else item for item in items]

    async with Batcher(picky) as batcher:
        answers = await asyncio.gather(*(batcher(n) for n in (1, 2, 3)), return_exceptions=True)
    assert (answers[0], type(answers[1]), answers[2]) == (1, LookupError, 3)


async def test_batches_abreast_run_at_once_and_share_the_queue() -> None:
    doubling = Doubling()
    async with Batcher(doubling, most=2, abreast=2) as batcher:
        first = await blocked(batcher, doubling)
        others = [asyncio.create_task(batcher(n)) for n in range(1, 6)]
        await turns(10)
        assert doubling.batches == [[0], [1, 2]]
        doubling.may_go_on.set()
        assert await asyncio.gather(first, *others) == [0, 2, 4, 6, 8, 10]
    assert sorted(item for batch in doubling.batches for item in batch) == list(range(6))


async def test_batches_abreast_are_of_one_size() -> None:
    doubling = Doubling()
    doubling.may_go_on.clear()
    async with Batcher(doubling, abreast=2) as batcher:
        callers = [asyncio.create_task(batcher(n)) for n in range(32)]
        await turns(10)
        assert doubling.batches == [list(range(16)), list(range(16, 32))]
        doubling.may_go_on.set()
        assert await asyncio.gather(*callers) == [2 * n for n in range(32)]


async def test_one_at_a_time_takes_all_there_is() -> None:
    doubling = Doubling()
    async with Batcher(doubling) as batcher:
        assert len(await asyncio.gather(*(batcher(n) for n in range(32)))) == 32
    assert doubling.batches == [list(range(32))]


async def test_who_asks_again_after_each_answer_stays_in_batches_of_one_size() -> None:
    """Callers in a closed loop: what is answered together asks again within three turns of the loop."""
    sizes = []

    async def doubled(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        await turns(12)
        return [2 * item for item in items]

    async def caller(number: int, batcher: Batcher[int, int]) -> None:
        for _ in range(20):
            await turns(1 + number % 3)
            assert await batcher(number) == 2 * number

    async with Batcher(doubled, abreast=2) as batcher:
        await asyncio.gather(*(caller(number, batcher) for number in range(32)))
    assert sum(sizes) == 32 * 20
    assert sizes.count(16) > 0.7 * len(sizes), sizes


@pytest.mark.parametrize("callers", [9, 15])
async def test_few_are_not_divided(callers: int) -> None:
    doubling = Doubling()
    async with Batcher(doubling, abreast=2) as batcher:
        await asyncio.gather(*(batcher(number) for number in range(callers)))
    assert doubling.batches == [list(range(callers))]


async def test_few_wait_for_the_batch_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long ago the one before it began."""
    monkeypatch.setattr(batching, "_PATIENCE_SECONDS", 0.5)  # a busy machine holds the loop up for 20 ms
    doubling = Doubling()
    async with Batcher(doubling, abreast=2) as batcher:
        assert await batcher(8) == 16
        await asyncio.sleep(0.6)
        doubling.batches.clear()
        first = await blocked(batcher, doubling)
        few = [asyncio.create_task(batcher(n)) for n in range(1, 8)]
        await turns(10)
        assert doubling.batches == [[0]]
        doubling.may_go_on.set()
        await asyncio.gather(first, *few)
    assert doubling.batches == [[0], list(range(1, 8))]


async def test_enough_do_not() -> None:
    doubling = Doubling()
    async with Batcher(doubling, abreast=2) as batcher:
        first = await blocked(batcher, doubling)
        enough = [asyncio.create_task(batcher(n)) for n in range(1, 9)]
        await turns(10)
        assert doubling.batches == [[0], list(range(1, 9))]
        doubling.may_go_on.set()
        await asyncio.gather(first, *enough)


async def test_a_slow_batch_does_not_hold_up_who_comes_later() -> None:
    """Neither who waits while it becomes slow, nor who comes when it has been for long; nor does the next."""
    hangs, sizes = asyncio.Event(), []

    async def first_hangs(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        if 0 in items:
            async with asyncio.timeout(5):  # a test that fails would otherwise wait at its end
                await hangs.wait()
        return list(items)

    async with Batcher(first_hangs, abreast=2) as batcher:
        for _ in range(2):
            hangs.clear()
            slow = asyncio.create_task(batcher(0))
            await turns(10)
            assert await asyncio.gather(*(batcher(n) for n in range(1, 4))) == [1, 2, 3]
            began = asyncio.get_running_loop().time()
            for number in range(4, 104):
                assert await batcher(number) == number
            assert asyncio.get_running_loop().time() - began < 1.0, "as many times as long as few wait"
            hangs.set()
            await slow
    assert sizes == 2 * [1, 3, *[1] * 100]


async def test_who_trickles_in_while_the_loop_is_busy_does_not_wait_for_a_convoy() -> None:
    sizes, may_go_on = [], asyncio.Event()

    async def first_hangs(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        if 0 in items:
            await may_go_on.wait()
        return list(items)

    async with Batcher(first_hangs, abreast=2) as batcher:
        convoy = [asyncio.create_task(batcher(number)) for number in range(64)]
        await turns(10)
        assert sizes == [32, 32]
        trickle = []
        for number in range(64, 128):
            trickle.append(asyncio.create_task(batcher(number)))
            for _ in range(2):
                time.sleep(0.001)  # noqa: ASYNC251  the loop is at something else
                await turns(1)
        may_go_on.set()
        await asyncio.gather(*convoy, *trickle)
    assert sizes[2] < 16, sizes


async def test_a_batch_is_logged_as_no_callers_own() -> None:
    seen: list[object] = []

    async def look(items: Sequence[int]) -> list[int]:
        seen.append(structlog.contextvars.get_contextvars())
        return list(items)

    with structlog.contextvars.bound_contextvars(request_id="req_first"):
        async with Batcher(look) as batcher:
            await asyncio.gather(batcher(1), batcher(2))
        assert structlog.contextvars.get_contextvars() == {"request_id": "req_first"}
    assert seen == [{}]
