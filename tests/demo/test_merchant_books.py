"""The shop's memory, where its pages and answers depend on it."""

from collections.abc import Sequence
from datetime import datetime
from itertools import permutations

import pytest

from app.demo.merchant_books import Books, Effect, OrderStatus, Webhook
from app.demo.merchant_shop import demo_players
from app.kernel.money import Money


def test_a_refused_deposit_does_not_stand_in_the_way_of_the_next(now: datetime) -> None:
    books = Books(demo_players("KZT"))
    for number in ("1", "2"):
        refused = Webhook(number, "", "aigerim", Money(100, "KZT"), type_id=3, status_id=5)
        assert books.apply(refused, now=now) is Effect.FAILED
    order = books.accept(
        transaction_id="3", login="aigerim", amount=Money(100, "KZT"), external_id="order_3", now=now
    )
    assert (order.external_id, order.status) == ("order_3", OrderStatus.WAITING)
    assert len(books.orders_of("aigerim")) == 3


def told(number: str, type_id: int, minor: int = 100) -> Webhook:
    return Webhook(number, "order_1", "aigerim", Money(minor, "KZT"), type_id=type_id, status_id=4)


PAID, NOT_AFTER_ALL, AFTER_ALL = told("1", 3), told("2", 4), told("3", 3)


def ended(messages: Sequence[Webhook], now: datetime) -> tuple[OrderStatus, int, int]:
    """How an order ends, what of it went back, and what the player has."""
    books = Books(demo_players("KZT"))
    amount = Money(100, "KZT")
    order = books.accept(transaction_id="1", login="aigerim", amount=amount, external_id="order_1", now=now)
    for message in messages:
        books.apply(message, now=now)
        assert books.apply(message, now=now) is Effect.REPEATED
    return order.status, order.returned_minor, books.player("aigerim").balance.minor


@pytest.mark.parametrize("order", list(permutations((PAID, NOT_AFTER_ALL))))
def test_a_deposit_that_was_not_paid_after_all_is_taken_back(order: Sequence[Webhook], now: datetime) -> None:
    assert ended(order, now) == (OrderStatus.RETURNED, 100, 0)


@pytest.mark.parametrize("order", list(permutations((PAID, NOT_AFTER_ALL, AFTER_ALL))))
def test_and_credited_again_where_it_was_paid_after_all(order: Sequence[Webhook], now: datetime) -> None:
    assert ended(order, now) == (OrderStatus.PAID, 0, 100)


def test_what_was_paid_of_another_sum_is_taken_back_whole(now: datetime) -> None:
    assert ended([told("1", 3, 80), told("2", 4, 80)], now) == (OrderStatus.RETURNED, 80, 0)


def test_of_a_refund_counts_what_really_went_back_also_when_it_fails_afterwards(now: datetime) -> None:
    amount, really = Money(50, "KZT"), Money(30, "KZT")
    partly, failed = (
        Webhook("2", "order_1", "aigerim", amount, type_id=5, status_id=status, paid=really)
        for status in (24, 6)
    )
    assert ended([PAID, partly], now) == (OrderStatus.PARTLY_RETURNED, 30, 70)
    assert ended([PAID, partly, failed], now) == (OrderStatus.PAID, 0, 100)
