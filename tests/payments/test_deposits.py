"""A deposit from the player's wish to the provider's page, on a real database and real sockets."""

import asyncio
from datetime import timedelta

import pytest

from app import methods, payments, providers
from app.callouts import operations as asking
from app.kernel.money import CurrencyMismatch, Money
from app.plumbing import switches
from app.plumbing.idempotency import IdempotencyKeyReused
from tests.payments.peers import SILENCE_SECONDS, Manner, answering, hanging, resetting
from tests.payments.world import (
    ACCEPTED,
    AMOUNT,
    NEVER_LEFT,
    UNKNOWN,
    Provider,
    World,
    awaiting,
    fact,
    just,
    opened,
    paid,
)

State = providers.State


async def test_the_players_wish_reaches_the_providers_page(world: World, provider: Provider) -> None:
    token = await world.ask()
    found = await world.payment()
    assert (found.status, found.sub_status) == ("pending", "awaiting_player")
    assert (found.amount_minor, found.currency, found.external_id) == (150_000, "KZT", "order_1")
    assert found.continue_url == "https://pay.example.com/1"
    assert found.expires_at == world.clock.now() + timedelta(minutes=30)
    assert found.ask_at == world.clock.now() + timedelta(seconds=5)
    async with world.database.reading() as reader:
        assert (await payments.payment_of_view(reader, token)).payment_id == found.payment_id
    [order] = provider.orders
    assert (order.reference, order.amount) == (await world.reference(), AMOUNT)
    assert order.return_url == f"https://cashier.example.com/cashier/payment/{token}?returned=yes"
    assert order.notice_url == f"https://cashier.example.com/notices/{world.site_id}/main"
    [heard] = world.shop.heard
    assert heard.fields["action"] == "check_deposit"
    assert (heard.fields["amount"], heard.fields["currency"]) == (150_000, "KZT")
    assert heard.fields["transaction_id"] == str(found.number)
    assert await world.answered() == [("accepted", "order_1")]
    assert await world.events() == ["deposit.created", "deposit.processing", "deposit.action_required"]
    assert await world.told() == []
    assert await world.credited() == 0


async def test_the_try_is_written_before_the_provider_is_asked(world: World, provider: Provider) -> None:
    seen: list[tuple[str, str | None]] = []

    async def look(order: providers.DepositOrder) -> None:
        [row] = await world.rows(
            "SELECT p.sub_status, a.state FROM attempt a JOIN payment p USING (site_id, payment_id) "
            "WHERE a.attempt_id = :reference",
            reference=order.reference,
        )
        seen.append((row.sub_status, row.state))

    provider.during_deposit = look
    await world.ask()
    assert seen == [("submitted", None)]


@pytest.mark.parametrize(
    ("method", "amount", "refusal"),
    [
        ("card", Money(49_999, "KZT"), methods.AmountTooLow),
        ("card", Money(100_000_001, "KZT"), methods.AmountTooHigh),
        ("card", Money(-150_000, "KZT"), methods.AmountTooLow),
        ("card", Money(0, "KZT"), methods.AmountTooLow),
        ("qr", AMOUNT, methods.MethodUnavailable),
        ("nonsense", AMOUNT, methods.MethodUnavailable),
        ("card", Money(150_000, "USD"), CurrencyMismatch),
    ],
)
async def test_a_wish_outside_the_offer_writes_nothing(
    world: World, method: str, amount: Money, refusal: type[Exception]
) -> None:
    session = await world.session()
    wish = payments.DepositWish(method, amount, "form-1", 3)
    with pytest.raises(refusal):
        await payments.request_deposit(world.pipes, session, wish)
    assert await world.rows("SELECT 1 FROM payment") == []
    assert await world.rows("SELECT 1 FROM claim") == []
    assert world.shop.heard == []


async def test_the_merchants_own_limits_count_too(world: World) -> None:
    session = await world.session(deposit_range="1:600-1400")
    with pytest.raises(methods.AmountTooHigh) as refused:
        await world.ask(session)
    assert refused.value.fields["maximum"] == Money(140_000, "KZT")
    await world.ask(session, amount=Money(140_000, "KZT"))


@pytest.mark.parametrize("everywhere", [True, False])
async def test_the_stop_switch(world: World, everywhere: bool) -> None:
    session = await world.session()
    site_id = switches.EVERY_SITE if everywhere else world.site_id

    async def turn(*, stopped: bool) -> None:
        at, name = world.clock.now(), payments.DEPOSITS
        async with world.database.transaction() as tx:
            await switches.set_switch(tx, site_id, name, stopped=stopped, reason="test", by="test", at=at)

    await turn(stopped=True)
    with pytest.raises(payments.DepositsStopped):
        await world.ask(session)
    assert await world.rows("SELECT 1 FROM payment") == []
    await turn(stopped=False)
    await world.ask(session)


async def test_one_form_sent_fifty_times_at_once_is_one_deposit(world: World, provider: Provider) -> None:
    session = await world.session()
    tokens = await asyncio.gather(*(world.ask(session) for _ in range(50)))
    assert len(set(tokens)) == 1
    assert len(await world.rows("SELECT 1 FROM payment")) == 1
    assert len(world.shop.heard) == 1
    assert len(await world.rows("SELECT 1 FROM callout")) == 1
    assert len(provider.orders) == 1


async def test_the_same_key_with_another_wish_is_refused(world: World) -> None:
    session = await world.session()
    await world.ask(session)
    with pytest.raises(IdempotencyKeyReused):
        await world.ask(session, amount=Money(150_001, "KZT"))
    assert len(await world.rows("SELECT 1 FROM payment")) == 1


async def test_form_keys_of_two_players_are_strangers(world: World) -> None:
    tokens = {await world.ask(await world.session(login)) for login in ("aigerim", "bolat")}
    assert len(tokens) == 2
    assert len(await world.rows("SELECT 1 FROM payment")) == 2


async def test_ten_deposits_of_one_player_at_once(world: World) -> None:
    session = await world.session()
    await asyncio.gather(*(world.ask(session, key=f"form-{number}") for number in range(10)))
    rows = await world.rows("SELECT sub_status, number FROM payment")
    assert {row.sub_status for row in rows} == {"awaiting_player"}
    assert len({row.number for row in rows}) == 10


async def test_an_account_that_takes_orders_is_found_with_the_wish(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def asked_again(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("app.payments.deposits.first_account", asked_again)
    assert (await world.deposit()).sub_status == "awaiting_player"


async def test_a_form_sent_again_finds_its_deposit_although_the_method_is_off_now(world: World) -> None:
    session = await world.session()
    token = await world.ask(session)
    async with world.database.transaction() as tx:
        await methods.switch_method(tx, world.site_id, "card", "KZT", enabled=False)
    assert await world.ask(session) == token


async def test_the_merchant_refuses(world: World, provider: Provider) -> None:
    world.shop.manner = answering({"code": 500, "error_description": "User not found"})
    found = await world.deposit()
    assert (found.status, found.sub_status) == ("cancelled", "rejected_by_merchant")
    assert found.reason == "User not found"
    assert await world.answered() == [("refused", "")]
    assert provider.orders == []
    assert await world.told() == [5]


@pytest.mark.parametrize(
    "manner",
    [
        answering(b"<html>fine</html>"),
        answering({"code": 0}),
        answering({"code": 7}),
        answering(ACCEPTED, 500),
        answering(ACCEPTED, 302, "Location: /elsewhere"),
        resetting,
        hanging,
    ],
    ids=["garbage", "no order", "unknown code", "500", "redirect", "reset", "hang"],
)
async def test_a_merchant_that_says_nothing_clear_stops_the_deposit_before_any_money_moves(
    world: World, provider: Provider, manner: Manner, monkeypatch: pytest.MonkeyPatch
) -> None:
    if manner is hanging:
        monkeypatch.setattr(asking, "DEADLINE_SECONDS", SILENCE_SECONDS)
    world.shop.manner = manner
    found = await world.deposit()
    assert (found.status, found.sub_status) == ("failed", "merchant_unreachable")
    assert provider.asked == []
    assert await world.rows("SELECT 1 FROM attempt") == []
    assert await world.told() == [10]
    # A new form is a new try.
    world.shop.manner = answering(ACCEPTED)
    await world.ask(key="form-2")
    assert (await world.payment()).sub_status == "awaiting_player"


@pytest.mark.parametrize(
    ("answer", "sub_status", "told"),
    [
        (awaiting(), "awaiting_player", []),
        (just(State.PROCESSING), "provider_pending", []),
        (just(State.FAILED), "declined", [6]),
        (just(State.CANCELLED), "by_player", [14]),
        (just(State.NOT_FOUND), "submitted", []),
        (UNKNOWN, "unknown", []),
        (NEVER_LEFT, "provider_error", [19]),
    ],
    ids=["needs player", "pending", "declined", "cancelled", "not found", "unknown", "never left"],
)
async def test_the_providers_answer(
    world: World, provider: Provider, answer: providers.Result, sub_status: str, told: list[int]
) -> None:
    provider.answers = [answer]
    found = await world.deposit()
    assert found.sub_status == sub_status
    assert await world.told() == told
    assert await world.credited() == 0
    # A failure is asked about, whoever's word it was: a late success would be money.
    assert (found.ask_at is None) == (told == [14])


async def test_an_answer_that_says_paid_is_confirmed_before_it_credits(
    world: World, provider: Provider
) -> None:
    provider.answers, provider.statuses = [paid()], [paid()]
    found = await world.deposit()
    assert found.sub_status == "completed"
    assert [what for what, _ in provider.asked] == ["deposit", "status"]
    assert (found.provider_reference, found.is_late) == ("theirs-1", False)
    assert await world.credited() == 150_000
    assert await world.told() == [4]


@pytest.mark.parametrize("status", [UNKNOWN, just(State.PROCESSING), just(State.NOT_FOUND)])
async def test_an_answer_that_says_paid_credits_nothing_by_itself(
    world: World, provider: Provider, status: providers.Result
) -> None:
    provider.answers, provider.statuses = [paid()], [status]
    assert (await world.deposit()).sub_status == "provider_pending"
    assert await world.credited() == 0


async def test_the_notice_comes_before_the_answer(world: World, provider: Provider) -> None:
    async def told(order: providers.DepositOrder) -> None:
        await world.notice(fact(order.reference))

    provider.during_deposit = told
    provider.answers = [awaiting()]
    found = await world.deposit()
    assert found.sub_status == "completed"
    assert await world.credited() == 150_000
    assert await world.told() == [4]
    assert found.continue_url is None


@pytest.mark.parametrize("answer", [just(State.FAILED), just(State.CANCELLED)], ids=["declined", "cancelled"])
async def test_an_answer_does_not_overrule_a_notice(
    world: World, provider: Provider, answer: providers.Result
) -> None:
    async def told(order: providers.DepositOrder) -> None:
        await world.notice(fact(order.reference))

    provider.during_deposit = told
    provider.answers, provider.statuses = [answer], [paid()]
    found = await world.deposit()
    assert (found.sub_status, found.attention) == ("completed", None)
    assert provider.asked[-1][0] == "status"
    assert await world.credited() == 150_000


async def test_in_seamless_mode_the_merchant_is_owed(world: World, provider: Provider) -> None:
    provider.answers, provider.statuses = [paid()], [paid()]
    async with opened(world.database, world.clock, provider, seamless=True) as seamless:
        await seamless.ask()
        rows = await seamless.rows(
            "SELECT purpose, owner, balance_minor FROM account WHERE site_id = :site ORDER BY purpose",
            site=seamless.site_id,
        )
    assert [tuple(row) for row in rows] == [
        ("merchant_payable", "site", 150_000),
        ("provider_clearing", "main", -150_000),
    ]


async def test_only_its_token_shows_a_payment(world: World) -> None:
    token = await world.ask()
    strangers = [
        "",
        "-",
        token[:-1],
        token + "A",
        f"9{token}",
        token.replace("-", "", 1),
        "0-x",
        "²-x",
        "\x00",
    ]
    for stranger in strangers:
        async with world.database.reading() as reader:
            with pytest.raises(payments.PaymentNotFound):
                await payments.payment_of_view(reader, stranger)


async def test_the_player_is_remembered_by_the_last_method(world: World) -> None:
    session = await world.session()
    assert session.player.last_method == ""
    await world.ask(session)
    assert (await world.session()).player.last_method == "card"
