"""The shop's memory, where its pages and answers depend on it."""

from datetime import datetime

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
