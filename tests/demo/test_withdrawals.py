"""The demo shop keeps its side of a withdrawal: the player's money is set aside, and moves exactly once."""

import asyncio
import itertools
from datetime import datetime, timedelta

import httpx
import pytest

from app.demo import merchant_withdrawals
from app.demo.merchant_books import Books, Effect, Webhook, Withdrawal
from app.demo.merchant_shop import demo_players
from app.kernel.money import Money
from tests.demo.servers import Peer
from tests.demo.shops import Shop


@pytest.fixture
async def rich(shop: Shop) -> Shop:
    """A shop where Aigerim has 1500.00 KZT."""
    await shop.tell((await shop.ask()).json()["external_id"])
    return shop


async def accepted(shop: Shop, **changed: object) -> str:
    answer = (await shop.ask_payout(**changed)).json()
    assert answer["code"] == 50, answer
    external_id: str = answer["external_id"]
    return external_id


async def test_a_withdrawal_is_accepted_once_and_its_money_set_aside(rich: Shop) -> None:
    answers = await asyncio.gather(*(rich.ask_payout() for _ in range(20)))
    said = [answer.json() for answer in answers]
    assert [answer["code"] for answer in said] == [50] * 20
    assert len({answer["external_id"] for answer in said}) == 1
    assert await rich.balance() == 50_000
    [asked] = (await rich.state())["withdrawals"]
    assert asked["status"] == "requested"
    assert asked["purse"] == "555555...4444"
    assert asked["external_id"].startswith("out_")


async def test_of_many_withdrawals_of_everything_one_is_accepted(rich: Shop) -> None:
    asking = (rich.ask_payout(amount=150_000, transaction_id=str(3000 + n)) for n in range(20))
    codes = [answer.json()["code"] for answer in await asyncio.gather(*asking)]
    assert sorted(codes) == [50] + [402] * 19
    assert await rich.balance() == 0


@pytest.mark.parametrize(
    ("changed", "code", "reason"),
    [
        ({"amount": 150_001}, 402, "Not enough funds"),
        ({"site_login": "daniyar"}, 402, "Not enough funds"),
        ({"site_login": "nobody"}, 500, "User not found"),
        ({"currency": "USD"}, 500, "This shop takes KZT only"),
        ({"amount": 0}, 500, "The amount must be more than nothing"),
        ({"amount": -5}, 500, "amount is not a whole number"),
        ({"site_id": 8}, 500, "This shop answers for its own site only"),
    ],
)
async def test_a_withdrawal_is_refused_with_a_reason(
    rich: Shop, changed: dict[str, object], code: int, reason: str
) -> None:
    answer = await rich.ask_payout(**changed)
    assert answer.json() == {"code": code, "error_description": reason}
    state = await rich.state()
    assert state["withdrawals"] == []
    assert state["balances_minor"]["aigerim"] == 150_000


@pytest.mark.parametrize("changed", [{"amount": 99_999}, {"customer_purse": "411111...1111"}])
async def test_the_same_transaction_with_other_content_is_refused(
    rich: Shop, changed: dict[str, object]
) -> None:
    await accepted(rich)
    answer = (await rich.ask_payout(**changed)).json()
    assert answer == {"code": 500, "error_description": "This transaction already has another withdrawal"}
    assert await rich.balance() == 50_000


async def test_a_success_settles_what_was_set_aside(rich: Shop) -> None:
    order = await accepted(rich)
    for _ in range(3):
        assert await rich.tell_payout(order) == {"code": 0}
    state = await rich.state()
    assert state["balances_minor"]["aigerim"] == 50_000
    assert (state["effects"]["settled"], state["effects"]["repeated"]) == (1, 2)
    assert state["withdrawals"][0]["status"] == "paid"


@pytest.mark.parametrize("status_id", [5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 19])
async def test_a_failure_gives_the_money_back_once(rich: Shop, status_id: int) -> None:
    order = await accepted(rich)
    for _ in range(3):
        assert await rich.tell_payout(order, status_id=status_id) == {"code": 0}
    await rich.tell_payout(order, status_id=6)
    state = await rich.state()
    assert state["balances_minor"]["aigerim"] == 150_000
    assert state["withdrawals"][0]["status"] == "failed"
    assert state["effects"]["released"] == 1


@pytest.mark.parametrize("status_id", [1, 2, 3, 20])
async def test_what_decides_nothing_is_noted_only(rich: Shop, status_id: int) -> None:
    order = await accepted(rich)
    assert await rich.tell_payout(order, status_id=status_id) == {"code": 0}
    assert (await rich.withdrawal())["status"] == "requested"
    assert await rich.balance() == 50_000


async def test_of_a_part_that_was_paid_the_rest_comes_back(rich: Shop) -> None:
    order = await accepted(rich)
    await rich.tell_payout(order, status_id=24, real_amount=60_000, real_currency="KZT")
    assert (await rich.withdrawal())["status"] == "paid"
    assert await rich.balance() == 90_000


async def test_of_which_more_was_paid_the_difference_is_taken(rich: Shop) -> None:
    order = await accepted(rich)
    for _ in range(2):
        await rich.tell_payout(order, status_id=24, real_amount=120_000, real_currency="KZT")
    assert (await rich.withdrawal())["status"] == "paid"
    assert await rich.balance() == 30_000


async def test_a_late_success_after_a_failure_takes_the_money_again(rich: Shop) -> None:
    order = await accepted(rich)
    await rich.tell_payout(order, status_id=19)
    await accepted(rich, transaction_id="2002", amount=150_000)
    await rich.tell_payout(order)
    await rich.tell_payout(order)
    assert await rich.balance() == -100_000, "the bank has paid: this is a debt"
    assert (await rich.withdrawal(order))["status"] == "paid"


async def test_a_failure_after_a_success_gives_nothing(rich: Shop) -> None:
    order = await accepted(rich)
    await rich.tell_payout(order)
    await rich.tell_payout(order, status_id=6)
    assert await rich.balance() == 50_000
    assert (await rich.withdrawal())["status"] == "paid"


async def test_money_that_the_bank_sent_back_is_the_players_again(rich: Shop) -> None:
    order = await accepted(rich)
    await rich.tell_payout(order)
    for _ in range(2):
        await rich.tell_payout(order, type_id=5, transaction_id=2002)
    assert await rich.balance() == 150_000
    assert (await rich.withdrawal())["status"] == "returned"
    assert (await rich.state())["effects"]["debited"] == 0, "it is no refund of a deposit"


@pytest.mark.parametrize("order", [*itertools.permutations(["paid", "returned", "again"])], ids="-".join)
def test_what_came_back_and_was_paid_after_all_is_taken_once_more(
    order: tuple[str, ...], now: datetime
) -> None:
    books = Books(demo_players("KZT"))
    player = books.player("aigerim")
    player.balance = Money(100, "KZT")
    asked = Withdrawal("out_1", "1", "aigerim", Money(100, "KZT"), "purse", "0", now)
    merchant_withdrawals.reserve(books, asked)
    messages = {
        "paid": Webhook("1", "out_1", "aigerim", Money(100, "KZT"), type_id=11, status_id=4),
        "returned": Webhook("2", "out_1", "aigerim", Money(100, "KZT"), type_id=5, status_id=4),
        "again": Webhook("3", "out_1", "aigerim", Money(100, "KZT"), type_id=11, status_id=4),
    }
    for step in (*order, *order):
        merchant_withdrawals.apply(books, messages[step], now=now)
    assert (player.balance.minor, asked.status) == (0, "paid")
    for number, minor in ((4, 100), (4, 100)):
        back = Webhook(str(number), "out_1", "aigerim", Money(100, "KZT"), type_id=5, status_id=4)
        merchant_withdrawals.apply(books, back, now=now)
        assert (player.balance.minor, asked.status) == (minor, "returned")


async def test_a_withdrawal_from_before_a_restart_is_debited_when_it_was_paid(shop: Shop) -> None:
    assert await shop.tell_payout("out_forgotten", status_id=6) == {"code": 0}
    assert await shop.balance() == 0
    assert await shop.tell_payout("out_other", transaction_id=2009) == {"code": 0}
    assert await shop.balance() == -100_000


async def test_a_webhook_about_another_player_moves_nothing(rich: Shop) -> None:
    order = await accepted(rich)
    answer = await rich.tell_payout(order, site_login="daniyar", status_id=6)
    assert answer == {"code": 500, "error_description": "This withdrawal is another player's"}
    assert (await rich.state())["balances_minor"] == {"aigerim": 50_000, "daniyar": 0, "gulnara": 0}


async def test_a_question_that_comes_after_the_end_reserves_nothing(rich: Shop) -> None:
    """The player cancelled while our answer was lost; then the question comes once more."""
    await rich.tell_payout("", status_id=14)
    answer = (await rich.ask_payout()).json()
    assert answer == {"code": 500, "error_description": "This withdrawal has ended"}
    assert await rich.balance() == 150_000


async def test_what_was_reserved_under_a_lost_answer_is_found_by_the_cashiers_number(rich: Shop) -> None:
    await rich.behave(payout="lost_answer")
    with pytest.raises(httpx.RemoteProtocolError):
        await rich.ask_payout()
    assert await rich.balance() == 50_000
    await rich.tell_payout("", status_id=13)
    assert await rich.balance() == 150_000


STEPS = ["paid", "failed", "returned", "reject"]


@pytest.mark.parametrize("order", [*itertools.permutations(STEPS)], ids="-".join)
def test_in_whatever_order_things_arrive_the_balance_is_that_of_the_end(
    order: tuple[str, ...], now: datetime
) -> None:
    """All four at once contradict each other; no order of them pays the player twice or takes twice."""
    books = Books(demo_players("KZT"))
    player = books.player("aigerim")
    player.balance = Money(100, "KZT")
    asked = Withdrawal("out_1", "1", "aigerim", Money(100, "KZT"), "purse", "0", now)
    merchant_withdrawals.reserve(books, asked)
    messages = {
        "paid": Webhook("1", "out_1", "aigerim", Money(100, "KZT"), type_id=11, status_id=4),
        "failed": Webhook("1", "out_1", "aigerim", Money(100, "KZT"), type_id=11, status_id=6),
        "returned": Webhook("2", "out_1", "aigerim", Money(100, "KZT"), type_id=5, status_id=4),
    }
    for step in order:
        if step != "reject":
            merchant_withdrawals.apply(books, messages[step], now=now + timedelta(seconds=1))
        elif asked.status == "requested":
            merchant_withdrawals.reject(books, "out_1")
    assert player.balance.minor == 100, "what was paid came back"
    assert asked.status == "returned"
    again = [merchant_withdrawals.apply(books, message, now=now) for message in messages.values()]
    assert again == [Effect.REPEATED] * 3
    assert player.balance.minor == 100


async def test_refunds_of_a_deposit_come_in_parts_and_a_won_chargeback_gives_back(shop: Shop) -> None:
    order = (await shop.ask()).json()["external_id"]
    await shop.tell(order)
    await shop.tell(order, type_id=5, transaction_id=1002, amount=50_000)
    assert (await shop.state())["orders"][0]["status"] == "partly_returned"
    await shop.tell(order, type_id=7, transaction_id=1003, amount=100_000)
    state = await shop.state()
    assert (state["orders"][0]["status"], state["balances_minor"]["aigerim"]) == ("returned", 0)
    for status_id in (21, 22, 22):
        await shop.tell(order, type_id=7, transaction_id=1003, amount=100_000, status_id=status_id)
    state = await shop.state()
    assert (state["orders"][0]["status"], state["balances_minor"]["aigerim"]) == ("partly_returned", 100_000)
    await shop.tell(order, type_id=7, transaction_id=1003, amount=100_000, status_id=23)
    assert await shop.balance() == 0, "lost after all"


async def test_a_lost_chargeback_is_taken_once_whether_or_not_its_opening_was_told(shop: Shop) -> None:
    await shop.tell((await shop.ask()).json()["external_id"])
    for status_id in (22, 23, 23, 4):
        await shop.tell("order_1", type_id=7, transaction_id=1003, status_id=status_id)
    assert await shop.balance() == 0


@pytest.mark.parametrize(
    ("manner", "status", "content"),
    [
        ("refuse", 200, {"code": 500, "error_description": "Withdrawals are closed for this player"}),
        ("no_funds", 200, {"code": 402, "error_description": "Not enough funds"}),
        ("redirect", 302, None),
        ("garbage", 200, None),
        ("html", 200, None),
        ("error500", 500, None),
    ],
)
async def test_manners_that_reserve_nothing(rich: Shop, manner: str, status: int, content: object) -> None:
    await rich.behave(payout=manner)
    answer = await rich.ask_payout()
    assert answer.status_code == status
    if content is not None:
        assert answer.json() == content
    assert await rich.balance() == 150_000
    assert (await rich.ask(transaction_id="1009")).json()["code"] == 0, "deposits have their own manner"


@pytest.mark.parametrize("manner", ["hang", "no_answer"])
async def test_manners_of_silence(rich: Shop, manner: str) -> None:
    await rich.behave(payout=manner)
    rich.http.timeout = httpx.Timeout(0.3)
    with pytest.raises((httpx.ReadTimeout, httpx.RemoteProtocolError)):
        await rich.ask_payout()
    assert await rich.balance() == 150_000


@pytest.mark.parametrize("manner", ["slow", "late"])
async def test_manners_of_slowness(rich: Shop, manner: str) -> None:
    await rich.behave(payout=manner)
    answer = await rich.ask_payout()
    assert answer.json()["code"] == 50
    assert answer.elapsed > timedelta(seconds=0.2)


async def test_manners_of_saying_yes_wrongly(rich: Shop) -> None:
    await rich.behave(payout="deposits_yes")
    answer = await rich.ask_payout(amount=1)
    assert (answer.json()["code"], answer.status_code) == (0, 200)
    await rich.behave(payout="no_order")
    assert (await rich.ask_payout(amount=1)).json() == {"code": 50}
    await rich.behave(payout="error_yes")
    answer = await rich.ask_payout(amount=1)
    assert (answer.json()["code"], answer.status_code) == (50, 500)
    assert await rich.balance() == 149_999, "one withdrawal all the time"


async def test_another_order_on_every_repeat_and_the_newest_one_counts(rich: Shop) -> None:
    await rich.behave(payout="other_order")
    orders = [await accepted(rich) for _ in range(3)]
    assert len(set(orders)) == 3
    [asked] = (await rich.state())["withdrawals"]
    assert asked["external_id"] == orders[-1]
    await rich.tell_payout(orders[0])
    assert (await rich.withdrawal())["status"] == "paid"


async def test_the_same_order_for_every_withdrawal(rich: Shop) -> None:
    await rich.behave(payout="same_order")
    assert await accepted(rich, amount=1) == await accepted(rich, amount=2, transaction_id="2002")
    assert await rich.balance() == 149_997


async def test_a_change_of_mind(rich: Shop) -> None:
    await rich.behave(payout="change_of_mind")
    assert (await rich.ask_payout()).json()["code"] == 500
    assert await rich.balance() == 150_000
    await accepted(rich)


async def test_a_withdrawal_opens_the_cashier_where_it_withdraws(shop: Shop, peer: Peer) -> None:
    page = await shop.http.get(f"{shop.url}/withdraw", params={"player": "daniyar", "lang": "kk"})
    assert page.status_code == 502
    assert "Nothing was withdrawn" in page.text
    asked = peer.heard[0]["query"]
    assert (asked["site_login"], asked["language"], asked["force_action"]) == ("daniyar", "kk", "2")
    await shop.http.get(f"{shop.url}/deposit")
    assert "force_action" not in peer.heard[1]["query"]
    answer = await shop.http.post(f"{shop.url}/withdraw", data={"player": "gulnara", "lang": "ru"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/withdraw?player=gulnara&lang=ru")
