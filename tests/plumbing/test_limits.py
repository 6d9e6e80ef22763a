"""A bucket lets a burst through, refills steadily, and keeps everybody apart."""

from datetime import datetime

import pytest

from app.kernel.clock import MovableClock
from app.plumbing import limits


def test_a_burst_then_the_rate(clock: MovableClock) -> None:
    buckets = limits.Buckets(clock, per_second=2, burst=3)
    for _ in range(3):
        buckets.take("a")
    with pytest.raises(limits.TooManyRequests, match="in 1 s"):
        buckets.take("a")
    clock.advance(0.5)
    buckets.take("a")
    with pytest.raises(limits.TooManyRequests):
        buckets.take("a")


def test_one_does_not_use_up_anothers(clock: MovableClock) -> None:
    buckets = limits.Buckets(clock, per_second=1, burst=1)
    buckets.take("a")
    buckets.take("b")
    with pytest.raises(limits.TooManyRequests):
        buckets.take("a")


def test_a_long_rest_fills_no_more_than_the_burst(clock: MovableClock, now: datetime) -> None:
    buckets = limits.Buckets(clock, per_second=1, burst=2)
    buckets.take("a")
    clock.advance(3_600)
    buckets.take("a")
    buckets.take("a")
    with pytest.raises(limits.TooManyRequests):
        buckets.take("a")


def test_the_least_used_are_forgotten(clock: MovableClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MOST_BUCKETS", 2)
    buckets = limits.Buckets(clock, per_second=1, burst=1)
    for name in ("a", "b", "c"):
        buckets.take(name)
    assert len(buckets._left) == 2
    buckets.take("a")


def test_who_asks_for_much_at_once_waits_for_all_of_it(clock: MovableClock) -> None:
    buckets = limits.Buckets(clock, per_second=2, burst=3)
    buckets.take("a")
    buckets.charge("a", 5)
    buckets.take("b")
    with pytest.raises(limits.TooManyRequests, match="in 2 s"):
        buckets.take("a")
    clock.advance(2)
    buckets.take("a")
