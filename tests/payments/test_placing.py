"""Which parts of a withdrawal are paid at which accounts: a way is found exactly where there is one."""

import itertools
import time
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app import providers
from app.kernel.money import Money
from app.payments.liquidity import _placed, _Till

ACCOUNTS = ("main", "second", "third")


def part(number: int, minor: int, account: str = "main") -> Any:  # noqa: ANN401  what is read of a leg
    return SimpleNamespace(leg=number, account=account, amount=Money(minor, "KZT"))


def till(name: str, minor: int | None, **more: bool) -> _Till:
    return _Till(name, None if minor is None else Money(minor, "KZT"), **more)


def placed(parts: list[Any], may_go: list[tuple[str, ...]], tills: list[_Till]) -> dict[int, str]:
    """Where each part is placed that goes elsewhere than to its own account, the first it may go to."""
    ways = {one.leg: providers.Route(names) for one, names in zip(parts, may_go, strict=True)}
    return _placed(parts, ways, {one.account: one for one in tills})


def test_a_part_that_can_go_nowhere_else_has_the_first_claim() -> None:
    parts = [part(1, 50), part(2, 40)]
    tills = [till("main", 60), till("second", 50)]
    assert placed(parts, [("main", "second"), ("main",)], tills) == {1: "second"}


def test_what_fills_both_accounts_to_the_last_is_found() -> None:
    """One after the other, the largest first, 5 and 4 take the room that 5, 3 and 3 fill."""
    parts = [part(number, minor) for number, minor in enumerate([5, 4, 4, 3, 3, 3], 1)]
    where = placed(parts, [("main", "second")] * 6, [till("main", 11), till("second", 11)])
    assert sum(one.amount.minor for one in parts if one.leg in where) == 11


@st.composite
def waiting(draw: st.DrawFn) -> tuple[list[Any], list[tuple[str, ...]], list[_Till]]:
    """Some parts, the accounts to which each may go, and what these hold: often just about enough."""
    sums = draw(st.lists(st.integers(1, 12), min_size=1, max_size=6))
    orders = [names for size in (1, 2, 3) for names in itertools.permutations(ACCOUNTS, size)]
    may_go = [draw(st.sampled_from(orders)) for _ in sums]
    holds = st.one_of(st.none(), st.integers(0, sum(sums)), st.just(sum(sums) // 2))
    tills = [till(name, draw(holds)) for name in ACCOUNTS]
    tills = [
        till(one.account, None, is_silent=draw(st.booleans())) if one.holds is None else one for one in tills
    ]
    parts = [part(n, minor, names[0]) for n, (minor, names) in enumerate(zip(sums, may_go, strict=True), 1)]
    return parts, may_go, tills


def fits(parts: list[Any], where: tuple[str, ...], tills: dict[str, _Till]) -> bool:
    """Whether each account can pay all of its own, and nobody goes elsewhere upon silence."""
    for one, name in zip(parts, where, strict=True):
        if name != one.account and tills[name].is_silent:
            return False
    for name, its in tills.items():
        there = sum(one.amount.minor for one, at in zip(parts, where, strict=True) if at == name)
        if its.holds is not None and there > its.holds.minor:
            return False
    return True


@given(waiting())
def test_a_way_is_found_exactly_where_one_of_all_fits(
    example: tuple[list[Any], list[tuple[str, ...]], list[_Till]],
) -> None:
    parts, may_go, listed = example
    tills = {one.account: one for one in listed}
    found = placed(parts, may_go, listed)
    there_is = any(fits(parts, where, tills) for where in itertools.product(*may_go))
    if found:
        where = tuple(found.get(one.leg, one.account) for one in parts)
        assert all(name in names for name, names in zip(where, may_go, strict=True))
        assert fits(parts, where, tills)
    else:
        stays = fits(parts, tuple(one.account for one in parts), tills)
        assert stays or not there_is


def test_more_ways_than_anybody_waits_for_are_not_all_looked_at() -> None:
    """Thirty parts, hardly two alike, at three accounts that hold a coin less than all of them."""
    parts = [part(number, 2 ** (number % 20) * 3 + number * 7) for number in range(1, 31)]
    each = sum(one.amount.minor for one in parts) // 3
    began = time.perf_counter()
    placed(parts, [ACCOUNTS] * 30, [till(name, each) for name in ACCOUNTS])
    assert time.perf_counter() - began < 5  # a busy machine's tenth of a second
