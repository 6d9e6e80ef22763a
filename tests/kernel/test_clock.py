"""Time is handed in."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.kernel.clock import Clock, MovableClock, SystemClock

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_the_system_clock_tells_utc_and_never_goes_back() -> None:
    clock: Clock = SystemClock()
    before = datetime.now(UTC)  # noqa: TID251  the very thing under test
    told = clock.now()
    assert told.utcoffset() == timedelta()
    assert timedelta() <= told - before < timedelta(seconds=5)
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)


def test_a_movable_clock_moves_only_when_told() -> None:
    clock = MovableClock(START)
    watched: Clock = clock
    assert (watched.now(), watched.now(), watched.monotonic()) == (START, START, 0.0)
    assert clock.advance(45.5) == START + timedelta(seconds=45.5)
    clock.advance(timedelta(hours=1))
    assert watched.now() == START + timedelta(hours=1, seconds=45.5)
    assert watched.monotonic() == 3645.5


def test_a_movable_clock_tells_utc_wherever_it_started() -> None:
    clock = MovableClock(START.astimezone(timezone(timedelta(hours=5))))
    assert clock.now() == START
    assert clock.now().utcoffset() == timedelta()


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        MovableClock(START.replace(tzinfo=None))
    with pytest.raises(ValueError, match="backwards"):
        MovableClock(START).advance(-1)
