"""A method is offered no more, by command: new payments are refused, and what is under way is left alone."""

from typing import Any

import pytest

from app import merchants, methods, providers, staff
from app.kernel.errors import Refusal
from tests.payments.accounts import order, order_out, through_both_accounts, tries, why, with_accounts
from tests.payments.desk import Desk
from tests.payments.stage import Bank, Stage
from tests.payments.test_deposit_command import run, said
from tests.payments.test_offer_command import first, offering, wrote
from tests.payments.world import HERE, REFUSED, Provider, World, fact

LIMITS = ("--minimum", "600", "--maximum", "90000")


def stop(world: World, *words: object) -> tuple[object, ...]:
    return ("site", "stop-offering", world.site_id, "kzt", *words)


async def noted(world: World) -> list[Any]:
    return await world.rows("SELECT * FROM diary WHERE deed = 'offer.stopped'")


async def test_no_new_deposit_is_taken_and_one_under_way_is_paid(world: World, clone_url: str) -> None:
    await world.ask()
    reference = await world.reference()
    shown = await said(clone_url, *stop(world, "card"))
    assert shown == (
        "card  deposit  KZT  offered no more; "
        "payments under way go on where they are, and no next account is chosen for them\n"
    )
    with pytest.raises(methods.MethodUnavailable):
        await world.ask(key="form-2")
    await world.notice(fact(reference))
    assert (await world.payment()).sub_status == "completed"
    [line] = await noted(world)
    assert (line.subject, line.actor.split(":")[0]) == ("offer:card:KZT:deposit", "machine")
    assert line.detail == {
        "now": None,
        "before": {
            "account": "main",
            "further_accounts": [],
            "minimum_minor": 50_000,
            "maximum_minor": 100_000_000,
            "position": 0,
        },
    }


async def test_where_one_under_way_fails_no_next_account_is_asked(
    world: World, provider: Provider, second: Provider, clone_url: str
) -> None:
    await through_both_accounts(world)
    await world.ask()
    await said(clone_url, *stop(world, "card"))
    provider.statuses = [REFUSED]
    await world.notice(fact(await world.reference(), "failed", code="91"))
    assert (await world.payment()).sub_status == "declined"
    assert await why(world) == ["the method is offered no more"]
    assert (len(await tries(world)), second.orders) == (1, [])


async def test_a_withdrawal_that_waits_is_paid_where_it_was_planned(
    stage: Stage, bank: Bank, clone_url: str
) -> None:
    await stage.fund()
    found = await stage.withdraw()
    await said(clone_url, *stop(stage, "e_wallet", "--direction", "payout"))
    with pytest.raises(methods.MethodUnavailable):
        await stage.withdraw()
    await stage.work()
    assert await stage.state(found.payment_id) == ("completed", None)
    assert len(bank.payouts) == 1


async def test_a_withdrawal_that_fails_goes_nowhere_else(
    stage: Stage, bank: Bank, second: Provider, clone_url: str
) -> None:
    await with_accounts(stage, "second")
    second.caps |= providers.Cap.PAYOUT
    await order_out(stage, "main", "second")
    await stage.fund()
    found = await stage.withdraw()
    await said(clone_url, *stop(stage, "e_wallet", "--direction", "payout"))
    bank.manners, bank.no = ["declines"], HERE
    await stage.work()
    assert (await stage.state(found.payment_id))[0] == "declined"
    assert await why(stage) == ["the method is offered no more"]
    assert second.payouts == []


async def test_only_the_direction_and_currency_that_were_named_end(desk: Desk, clone_url: str) -> None:
    async def offered() -> list[tuple[str, str]]:
        async with desk.world.database.reading() as reader:
            found = await methods.offers(reader, desk.site_id, "KZT")
        return sorted((one.method.code, one.direction.value) for one in found)

    before = await offered()
    await said(clone_url, "site", "offer", desk.site_id, "KZT", "qr", "main", *LIMITS)
    await said(clone_url, *stop(desk.world, "qr"))
    assert await offered() == before


async def test_offered_again_it_has_its_place_and_its_accounts_back(
    world: World, second: Provider, clone_url: str
) -> None:
    await with_accounts(world, "second")
    await order(world, "main", "second")
    offer = ("site", "offer", world.site_id, "KZT", "card", "main", *LIMITS)
    await said(clone_url, *offer, "--position", "7")
    await said(clone_url, *stop(world, "card"))
    await said(clone_url, *offer)
    async with world.database.reading() as reader:
        found = await methods.offer(reader, world.site_id, "KZT", "card")
    assert (found.position, found.accounts) == (7, ("main", "second"))


BAD: list[tuple[tuple[str, ...], type[Refusal], str]] = [
    (("kzt", "qr"), methods.MethodUnavailable, "not available here: qr"),
    (("usd", "card"), methods.MethodUnavailable, "card"),
    (("kzt", "nonsense"), methods.MethodUnavailable, "nonsense"),
    (("kzt", "aggregator", "--direction", "payout"), methods.MethodUnavailable, "aggregator"),
]


@pytest.mark.parametrize(("asked", "refusal", "words"), BAD)
async def test_what_is_not_offered_cannot_end(
    world: World, clone_url: str, asked: tuple[str, ...], refusal: type[Refusal], words: str
) -> None:
    failed = await run(clone_url, "site", "stop-offering", world.site_id, *asked)
    assert isinstance(failed.exception, refusal)
    assert words in str(failed.exception)
    assert await noted(world) == []


async def test_what_has_ended_ends_once(world: World, clone_url: str) -> None:
    await said(clone_url, *stop(world, "card"))
    assert isinstance((await run(clone_url, *stop(world, "card"))).exception, methods.MethodUnavailable)
    assert len(await noted(world)) == 1


async def test_a_site_that_there_is_not_offers_nothing(world: World, clone_url: str) -> None:
    failed = await run(clone_url, "site", "stop-offering", 9, "KZT", "card")
    assert isinstance(failed.exception, merchants.SiteNotFound)


async def test_who_may_not_ends_nothing(world: World, clone_url: str) -> None:
    async with world.database.transaction() as tx:
        new = staff.NewOperator("weak", "Weak", frozenset({staff.Role.FINANCE}))
        _, token = await staff.create_operator(tx, new, at=world.clock.now())
    failed = await run(clone_url, *stop(world, "card", "--token", token))
    assert isinstance(failed.exception, staff.NotPermitted)
    assert await noted(world) == []
    await world.ask()


async def test_what_ends_is_what_another_offered_meanwhile(desk: Desk, clone_url: str) -> None:
    async with first(
        desk, clone_url, offering(desk, "card", 700), "stop-offering", desk.site_id, "KZT", "card"
    ):
        pass
    one, other = await wrote(desk)
    assert other == {"now": None, "before": one["now"]}
