"""The journeys of a deposit: every way one can end, and every way a provider or a merchant can misbehave."""

import asyncio

import pytest
from sqlalchemy import text

from app import providers
from app.demo.facts import ACCOUNT, SECOND_ACCOUNT
from app.providers.gateways import sandbox
from tests import invariants
from tests.stories.conftest import Told
from tests.stories.stage import Stage


async def credited(stage: Stage) -> int:
    """How much the player's account has, in minor units."""
    async with stage.database.reading() as reader:
        found = await reader.scalar(
            text("SELECT sum(balance_minor) FROM account WHERE purpose = 'player_cash'")
        )
    return int(found or 0)


async def test_an_approved_deposit(stage: Stage, told: Told) -> None:
    await stage.deposit("1500")
    await stage.decide("approve")
    await stage.until(lambda: stage.status_is("completed"))
    await stage.look()
    await told()
    assert await credited(stage) == 150_000
    assert (await stage.shop())["balances_minor"]["aigerim"] == 150_000


async def test_a_deposit_in_seamless_mode(stage: Stage, told: Told) -> None:
    async with stage.database.transaction() as tx:
        await tx.execute(text("UPDATE site SET callback_url = 'https://games.example/callback'"))
    stage.tell("the site keeps its players' balances itself")
    await stage.deposit("1500")
    await stage.decide("approve")
    await stage.until(lambda: stage.status_is("completed"))
    await told()
    assert await credited(stage) == 0, "what was paid is the merchant's"


async def test_a_declined_deposit(stage: Stage, told: Told) -> None:
    await stage.deposit("1500")
    await stage.decide("decline")
    await stage.until(lambda: stage.status_is("declined"))
    await stage.look()
    await told()
    assert await credited(stage) == 0


async def test_a_deposit_cancelled_at_the_provider(stage: Stage, told: Told) -> None:
    await stage.deposit("1500")
    await stage.decide("cancel")
    await stage.until(lambda: stage.status_is("by_player"))
    await stage.look()
    await told()


async def test_an_abandoned_deposit_expires(stage: Stage, told: Told) -> None:
    await stage.deposit("1500")
    await stage.pass_time(minutes=10)
    await stage.look()
    await stage.pass_time(minutes=21)
    await stage.look()
    await told()
    assert await credited(stage) == 0


async def test_the_merchant_refuses(stage: Stage, told: Told) -> None:
    await stage.misbehave(callout="refuse")
    await stage.deposit("1500")
    await told()
    assert (await stage.provider())["orders"] == []


async def test_the_merchant_answers_garbage(stage: Stage, told: Told) -> None:
    await stage.misbehave(callout="garbage")
    await stage.deposit("1500")
    await told()
    assert (await stage.provider())["orders"] == []


@pytest.mark.usefixtures("impatient_with_merchants")
async def test_the_merchant_does_not_answer(stage: Stage, told: Told) -> None:
    await stage.misbehave(callout="hang")
    await stage.deposit("1500")
    await told()
    assert (await stage.provider())["orders"] == []


async def test_an_amount_outside_the_limits(stage: Stage, told: Told) -> None:
    low = await stage.deposit("10")
    high = await stage.deposit("5 000 000")
    await told()
    assert low["status_code"] == high["status_code"] == 422


async def test_a_pending_deposit_is_approved_later(stage: Stage, told: Told) -> None:
    await stage.deposit("1500.03")
    await stage.until(lambda: stage.status_is("completed"))
    await told()


async def test_two_notices_one_credit(stage: Stage, told: Told) -> None:
    await stage.deposit("1500.08")
    await stage.until(lambda: stage.status_is("completed"))
    await stage.until(lambda: notices(stage, 2))
    await told()
    assert await credited(stage) == 150_008


async def test_the_same_notice_twice_one_credit(stage: Stage, told: Told) -> None:
    await stage.deposit("1500.09")
    await stage.until(lambda: stage.status_is("completed"))
    await stage.until(lambda: notices(stage, 2))
    await told()
    assert await credited(stage) == 150_009


async def test_the_notice_comes_before_the_answer(stage: Stage, told: Told) -> None:
    await stage.deposit("1500.07")
    await stage.until(lambda: stage.status_is("completed"))
    await told()
    assert await credited(stage) == 150_007


@pytest.mark.usefixtures("impatient_with_providers")
async def test_a_time_out_that_succeeds_later(stage: Stage, told: Told) -> None:
    shown = await stage.deposit("1500.04")
    assert shown["stage"] == "waiting"
    await stage.until(lambda: stage.status_is("completed"))
    await stage.look()
    await told()
    assert await credited(stage) == 150_004


@pytest.mark.usefixtures("impatient_with_providers")
async def test_a_provider_that_never_answers(stage: Stage, told: Told) -> None:
    await stage.deposit("1500.05")
    await stage.pass_time(minutes=5)
    await stage.pass_time(hours=6)
    shown = await stage.look()
    assert not shown["final"], "unknown is an answer: nobody may call it failed"
    await told()


async def test_a_late_success_after_expiry(stage: Stage, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unheard(*_: object) -> providers.Result:
        return providers.Result(providers.State.UNKNOWN)

    monkeypatch.setattr(sandbox.Sandbox, "cancel", unheard)
    shown = await stage.deposit("1500")
    page = shown["continue_url"]
    stage.tell("the provider does not hear our cancel")
    await stage.pass_time(minutes=31)
    assert await stage.status_is("expired")
    answer = await stage.browser.post(page, data={"script": "approve"})
    stage.tell(f"the player pays at the provider's page after all: {answer.status_code}")
    await stage.until(lambda: stage.status_is("completed"))
    await stage.look()
    await told()
    assert await credited(stage) == 150_000


async def test_the_wrong_amount_is_paid(stage: Stage, told: Told) -> None:
    await stage.deposit("1500.12")
    await stage.until(lambda: stage.status_is("conflicted"))
    await stage.look()
    await told()
    assert await credited(stage) == 0


async def test_the_wrong_currency_is_paid(stage: Stage, told: Told) -> None:
    await stage.deposit("1500.13")
    await stage.until(lambda: stage.status_is("conflicted"))
    await told()
    assert await credited(stage) == 0


async def test_a_failure_after_success_is_taken_again_and_a_person_called(stage: Stage, told: Told) -> None:
    await stage.deposit("1500.11")
    await stage.until(lambda: stage.status_is("reversed"))
    await stage.look()
    await told()
    assert await credited(stage) == 0
    shop = await stage.shop()
    assert (shop["balances_minor"]["aigerim"], shop["orders"][0]["status"]) == (0, "returned")


async def test_a_notice_with_a_bad_signature_changes_nothing_and_the_query_does(
    stage: Stage, told: Told
) -> None:
    await stage.deposit("1500.14")
    await stage.pass_time(seconds=6)
    await stage.until(lambda: stage.status_is("completed"))
    await told()


async def test_a_notice_for_nobody_is_kept(stage: Stage, told: Told) -> None:
    await stage.deposit("1500.15")
    await stage.until(lambda: notices(stage, 1))
    async with stage.database.reading() as reader:
        states = [row.state for row in await reader.all(text("SELECT state FROM notice"))]
    stage.tell(f"notices: {states}")
    await told()
    assert "orphan" in states


async def test_the_shop_is_down_and_hears_of_it_later(stage: Stage, told: Told) -> None:
    await stage.misbehave(webhook="error500")
    await stage.deposit("1500")
    await stage.decide("approve")
    await stage.until(lambda: stage.status_is("completed"))
    await stage.pass_time(seconds=50)
    await stage.misbehave(webhook="lost_answer")
    await stage.pass_time(minutes=3)
    await stage.misbehave(webhook="accept")
    await stage.pass_time(minutes=6)
    await told()
    shop = await stage.shop()
    assert shop["balances_minor"]["aigerim"] == 150_000
    assert shop["effects"]["credited"] == 1


async def test_ten_players_at_once(stage: Stage) -> None:
    logins = ["aigerim", "daniyar", "gulnara"]
    keys = [await stage.open_cashier(logins[i % 3]) for i in range(10)]

    async def pay(number: int, key: str) -> None:
        form = {"key": key, "form_token": f"form-{number}", "method": "qr", "amount": "1000.01", "lang": "en"}
        answer = await stage.browser.post("/cashier/deposit", data=form)
        assert answer.status_code == 303

    await asyncio.gather(*(pay(number, key) for number, key in enumerate(keys) for _ in range(2)))
    await stage.settle()
    await stage.until(lambda: all_completed(stage, 10))
    async with stage.database.reading() as reader:
        count = await reader.scalar(text("SELECT count(*) FROM entry"))
    assert count == 20, "two entries for each of ten deposits, although each form was sent twice"
    await invariants.hold(stage.database)
    assert await credited(stage) == 10 * 100_001
    shop = await stage.shop()
    assert sum(shop["balances_minor"].values()) == 10 * 100_001


async def notices(stage: Stage, count: int) -> bool:
    async with stage.database.reading() as reader:
        found = await reader.scalar(
            text("SELECT coalesce(sum(arrivals), 0) FROM notice WHERE state <> 'new'")
        )
    return bool(found >= count)


async def attention(stage: Stage) -> bool:
    async with stage.database.reading() as reader:
        return bool(await reader.scalar(text("SELECT count(*) FROM payment WHERE attention IS NOT NULL")))


async def all_completed(stage: Stage, count: int) -> bool:
    async with stage.database.reading() as reader:
        paid = await reader.scalar(text("SELECT count(*) FROM payment WHERE sub_status = 'completed'"))
        told = await reader.scalar(text("SELECT count(*) FROM webhook WHERE state = 'delivered'"))
    return bool(paid == told == count)


async def test_the_first_account_refuses_and_the_second_collects(stage: Stage, told: Told) -> None:
    await stage.deposit("1500.31", "e_wallet")
    await stage.decide("approve")
    await stage.until(lambda: stage.status_is("completed"))
    await stage.look()
    await told()
    orders = (await stage.provider())["orders"]
    assert [(one["account"], one["status"], one["code"]) for one in orders] == [
        (ACCOUNT, "declined", "91"),
        (SECOND_ACCOUNT, "approved", "00"),
    ]
    assert await credited(stage) == 150_031


async def test_both_accounts_refuse(stage: Stage, told: Told) -> None:
    """The second at its own page: the merchant hears of the last one only."""
    await stage.deposit("1500.31", "e_wallet")
    await stage.decide("refused_here")
    await stage.until(lambda: stage.status_is("declined"))
    await told()
    assert await credited(stage) == 0


async def test_refused_at_the_first_page_the_second_page_is_offered(stage: Stage, told: Told) -> None:
    first = await stage.deposit("1500", "e_wallet")
    # As the player does there; the first provider's notice then leads to the second provider's page.
    answer = await stage.browser.post(first["continue_url"], data={"script": "refused_here"})
    assert answer.status_code == 303
    await stage.until(lambda: orders(stage, 2))
    await stage.until(lambda: stage.status_is("awaiting_player"))
    second = await stage.look()
    assert second["continue_url"] != first["continue_url"]
    await stage.decide("approve")
    await stage.until(lambda: stage.status_is("completed"))
    await told()
    assert await credited(stage) == 150_000


async def orders(stage: Stage, count: int) -> bool:
    return len((await stage.provider())["orders"]) == count
