"""The breaker's life, on a clock that moves when told."""

import random

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.breaker import Breaker, BreakerRules, BreakerState, Permit

RULES = BreakerRules(
    failures_in_a_row=3,
    failure_share=0.5,
    least_calls=10,
    window_seconds=30,
    open_seconds=5,
    longest_open_seconds=20,
)


@pytest.fixture
def breaker(clock: MovableClock) -> Breaker:
    return Breaker(clock, RULES)


def admitted(breaker: Breaker) -> Permit:
    permit = breaker.admit()
    assert permit is not None
    return permit


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed(admitted(breaker))


def succeed(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.succeeded(admitted(breaker))


def test_it_opens_after_failures_in_a_row(breaker: Breaker) -> None:
    fail(breaker, 2)
    assert (breaker.state, breaker.failures_in_a_row) == (BreakerState.CLOSED, 2)
    fail(breaker, 1)
    assert (breaker.state, breaker.seconds_to_probe) == (BreakerState.OPEN, 5)
    assert breaker.refuses
    assert breaker.admit() is None


def test_a_success_between_failures_starts_the_row_again(breaker: Breaker) -> None:
    for _ in range(2):
        fail(breaker, 2)
        succeed(breaker, 1)
    assert (breaker.state, breaker.failures_in_a_row) == (BreakerState.CLOSED, 0)


def test_it_opens_by_the_share_of_failures(breaker: Breaker) -> None:
    for _ in range(4):
        succeed(breaker, 1)
        fail(breaker, 1)
    succeed(breaker, 1)
    assert not breaker.refuses  # nine calls say nothing yet
    fail(breaker, 1)
    assert breaker.refuses


def test_the_share_is_counted_in_windows(clock: MovableClock, breaker: Breaker) -> None:
    for _ in range(4):
        succeed(breaker, 1)
        fail(breaker, 1)
    clock.advance(30)
    for _ in range(4):
        succeed(breaker, 1)
        fail(breaker, 1)
    assert breaker.state is BreakerState.CLOSED


def test_half_open_admits_one_probe_and_closes_on_its_answer(clock: MovableClock, breaker: Breaker) -> None:
    fail(breaker, 3)
    clock.advance(4.9)
    assert breaker.admit() is None
    clock.advance(0.1)
    assert (breaker.state, breaker.refuses) == (BreakerState.HALF_OPEN, False)
    probe = admitted(breaker)
    assert breaker.refuses
    assert [breaker.admit() for _ in range(5)] == [None] * 5
    breaker.succeeded(probe)
    assert (breaker.state, breaker.failures_in_a_row, breaker.seconds_to_probe) == (BreakerState.CLOSED, 0, 0)
    succeed(breaker, 5)


def test_a_failed_probe_opens_for_twice_as_long_up_to_a_limit(clock: MovableClock, breaker: Breaker) -> None:
    fail(breaker, 3)
    waits = []
    for _ in range(4):
        waits.append(breaker.seconds_to_probe)
        clock.advance(breaker.seconds_to_probe)
        fail(breaker, 1)
        assert breaker.state is BreakerState.OPEN
    assert waits == [5, 10, 20, 20]
    clock.advance(20)
    succeed(breaker, 1)
    fail(breaker, 3)
    assert breaker.seconds_to_probe == 5  # healed: the next time begins small


def test_an_abandoned_probe_leaves_the_place_to_the_next(clock: MovableClock, breaker: Breaker) -> None:
    fail(breaker, 3)
    clock.advance(5)
    breaker.abandoned(admitted(breaker))
    assert not breaker.refuses
    succeed(breaker, 1)
    assert breaker.state is BreakerState.CLOSED


def test_an_abandoned_call_teaches_nothing(breaker: Breaker) -> None:
    fail(breaker, 2)
    for _ in range(50):
        breaker.abandoned(admitted(breaker))
    assert (breaker.state, breaker.failures_in_a_row) == (BreakerState.CLOSED, 2)


def test_calls_from_before_it_opened_no_longer_count(clock: MovableClock, breaker: Breaker) -> None:
    early = [admitted(breaker) for _ in range(4)]
    fail(breaker, 3)
    breaker.succeeded(early[0])
    breaker.failed(early[1])
    assert (breaker.state, breaker.seconds_to_probe) == (BreakerState.OPEN, 5)
    clock.advance(5)
    probe = admitted(breaker)
    breaker.succeeded(early[2])
    breaker.abandoned(early[3])
    assert breaker.admit() is None  # the probe alone decides
    breaker.succeeded(probe)
    assert breaker.state is BreakerState.CLOSED


def test_the_operator_can_close_it(breaker: Breaker) -> None:
    fail(breaker, 3)
    breaker.close()
    assert (breaker.state, breaker.failures_in_a_row) == (BreakerState.CLOSED, 0)
    fail(breaker, 2)
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_at_most_one_call_is_out_while_it_is_not_closed(
    seed: int, clock: MovableClock, breaker: Breaker
) -> None:
    chance = random.Random(seed)
    out: list[tuple[Permit, bool]] = []  # with whether it was a probe
    for _ in range(500):
        if chance.random() < 0.5:
            probing = breaker.state is not BreakerState.CLOSED
            permit = breaker.admit()
            if permit is not None:
                assert breaker.state is not BreakerState.OPEN
                out.append((permit, probing))
        elif out:
            permit, _ = out.pop(chance.randrange(len(out)))
            chance.choice([breaker.succeeded, breaker.failed, breaker.failed, breaker.abandoned])(permit)
        assert sum(probe for _, probe in out) <= 1
        clock.advance(chance.choice([0, 0, 0.5, 6]))
    clock.advance(60)
    for permit, _ in out:
        breaker.abandoned(permit)
    assert breaker.admit() is not None  # never shut for ever
