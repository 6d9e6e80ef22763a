"""A withdrawal in the queue and after it: what holds it, how it ends, and who is told of what."""

from datetime import timedelta

from sqlalchemy import text

from app import merchants, payments
from app.kernel.money import Money
from app.webhooks import endpoints
from tests.payments.accounts import cases, decided
from tests.payments.banks import sent, told
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import AMOUNT


async def test_the_queue_is_held_while_the_provider_has_not_enough(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    bank.float_minor = AMOUNT.minor - 1
    found = await stage.withdraw()
    await stage.work()
    waiting = await stage.row(found.payment_id)
    assert (waiting.sub_status, waiting.attention) == ("approved", None)
    assert "holds 1499.99 KZT, 1500.00 KZT is needed" in waiting.reason
    assert bank.payouts == []
    bank.float_minor = AMOUNT.minor
    await stage.later(300)
    assert (await stage.state(found.payment_id))[0] == "completed"


async def test_a_stop_or_an_account_switched_off_holds_the_queue(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    found = await stage.withdraw()
    for stop, go, why in (
        (
            "INSERT INTO switch VALUES (0, 'payouts', true, 'drill', 'test', now())",
            "UPDATE switch SET stopped = false",
            "withdrawals are stopped",
        ),
        (
            "UPDATE provider_account SET enabled = false",
            "UPDATE provider_account SET enabled = true",
            "the provider account main is switched off; no other account",
        ),
    ):
        async with stage.database.transaction() as tx:
            await tx.execute(text(stop))
        await stage.later(300)
        assert (await stage.row(found.payment_id)).reason == why
        async with stage.database.transaction() as tx:
            await tx.execute(text(go))
    assert bank.payouts == []
    await stage.later(300)
    assert (await stage.state(found.payment_id))[0] == "completed"


async def test_a_decline_gives_the_money_back(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    bank.manners = ["declines"]
    found = await stage.withdraw()
    await stage.work()
    assert await stage.state(found.payment_id) == ("declined", None)
    assert (await stage.credited(), await stage.held()) == (FUNDS, 0)
    assert await stage.told() == [6]
    assert len(bank.payouts) == 1


async def test_what_the_bank_sends_back_is_the_players_again(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    found = await stage.withdraw()
    await stage.work()
    [reference] = await stage.references(found.payment_id)
    stage.clock.advance(timedelta(days=3))
    bank.send_back(reference)
    await stage.store_notice(bank.fact(reference, "returned"))
    await stage.work()
    done = await stage.row(found.payment_id)
    assert (done.sub_status, done.status, done.refunded_minor) == ("returned", "refunded", 150_000)
    assert await stage.credited() == FUNDS
    # What came back is a transaction of its own, of type 5, under the withdrawal's order number.
    paid, back = [
        row.fields for row in await stage.rows("SELECT fields FROM webhook ORDER BY fields->'transaction_id'")
    ]
    assert [(one["type_id"], one["status_id"], one["amount"]) for one in (paid, back)] == [
        (11, 4, 150_000),
        (5, 4, 150_000),
    ]
    assert back["external_id"] == paid["external_id"]
    assert back["transaction_id"] != paid["transaction_id"]
    # Told twenty times it comes back once.
    for number in range(20):
        await stage.store_notice(bank.fact(reference, "returned"), mark=str(number))
    await stage.work()
    assert await stage.credited() == FUNDS


async def test_what_the_bank_sends_back_short_is_for_people(stage: Stage, bank: Bank) -> None:
    """It kept a fee: how much of it is the player's again, two people say."""
    await stage.fund()
    found = await sent(stage)
    [reference] = await stage.references(found.payment_id)
    stage.clock.advance(timedelta(days=3))
    bank.send_back(reference)
    bank.book[reference].amount = Money(AMOUNT.minor - 1_000, "KZT")
    await told(stage, bank, reference, "returned")
    assert await stage.state(found.payment_id) == ("completed", "amount_differs")
    assert (await cases(stage), await stage.credited()) == (["amount_differs"], FUNDS - AMOUNT.minor)
    await decided(stage, payments.Resolution.NOT_PAID)
    assert await stage.state(found.payment_id) == ("returned", None)
    assert await stage.credited() == FUNDS


async def test_what_came_back_and_is_said_to_be_paid_again_calls_a_person(stage: Stage, bank: Bank) -> None:
    """The player has it again: a notice makes us ask, and the bank's own answer is a case."""
    await stage.fund()
    found = await stage.withdraw()
    await stage.work()
    [reference] = await stage.references(found.payment_id)
    bank.send_back(reference)
    await stage.store_notice(bank.fact(reference, "returned"))
    await stage.work()
    # An old notice that comes late is denied by the bank itself.
    await stage.store_notice(bank.fact(reference), mark="late")
    await stage.work()
    assert await stage.state(found.payment_id) == ("returned", None)
    bank.words = ["succeeded"]
    for mark in ("again", "and again"):
        await stage.store_notice(bank.fact(reference), mark=mark)
        await stage.work()
    assert await stage.state(found.payment_id) == ("returned", "revived")
    async with stage.database.reading() as reader:
        [its] = await payments.cases_of_site(reader, stage.site_id)
    assert (its.kind.value, its.payment_id) == ("revived", found.payment_id)
    assert await stage.credited() == FUNDS


async def test_a_site_that_wants_every_change_hears_every_change(stage: Stage) -> None:
    async with stage.database.transaction() as tx:
        await merchants.set_tell_every_change(tx, stage.site_id, True, at=stage.clock.now())
    await stage.fund()
    await stage.withdraw()
    await stage.work()
    assert await stage.told() == [1, 3, 2, 2, 4]


async def test_every_change_is_an_event_for_who_registered(stage: Stage) -> None:
    async with stage.database.transaction() as tx:
        new = endpoints.NewEndpoint("https://events.example.com/")
        await endpoints.register(tx, stage.site_id, new, at=stage.clock.now())
    await stage.fund()
    stage.bank.manners = ["declines"]
    found = await stage.withdraw()
    await stage.work()
    told = await stage.rows(
        "SELECT type, sequence, object, previous_attributes FROM event ORDER BY sequence, type"
    )
    assert [(row.type, row.sequence) for row in told] == [
        ("withdrawal.requested", 1),
        ("withdrawal.approved", 2),
        ("withdrawal.processing", 3),
        ("transaction.failed", 4),
        ("withdrawal.failed", 4),
    ]
    last = told[-1]
    assert (last.object["id"], last.object["status"], last.object["sub_status"]) == (
        found.payment_id,
        "failed",
        "declined",
    )
    assert last.previous_attributes["sub_status"] == "submitted"
    assert "aigerim77" not in str([row.object for row in told])
