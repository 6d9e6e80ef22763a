"""The limits of a policy are of a player's day; and whom nobody lets go by a policy, whatever the amount."""

import asyncio
from datetime import timedelta

import pytest

from app import ledger, payments, players, staff
from app.kernel.money import Money
from app.payments.legs import why_people
from tests.payments.stage import Bank, Stage
from tests.payments.test_payouts_at_once import insisting
from tests.payments.world import ACCOUNT, AMOUNT, fact

LIMIT = Money(100_000, "KZT")


async def asked_of_people(stage: Stage) -> dict[str, int]:
    """How many people are needed, of every withdrawal for which some are."""
    rows = await stage.rows("SELECT subject, people_needed FROM approval")
    return {row.subject: row.people_needed for row in rows}


async def status_of_player(stage: Stage, status: players.PlayerStatus) -> None:
    async with stage.database.transaction() as tx:
        await players.set_status(tx, stage.site_id, "aigerim", status)


async def deposit(stage: Stage) -> str:
    """A completed deposit; returns the provider's reference of it."""
    await stage.ask(key="form-1")
    reference = await stage.reference()
    await stage.notice(fact(reference, theirs="theirs-1"))
    return reference


async def dispute(stage: Stage, reference: str, about: str) -> None:
    told = {"number": "cb-1", "stage": about, "minor": AMOUNT.minor}
    await stage.notice(fact(reference, "unknown", dispute=told), mark=about)


async def test_split_in_forty_it_is_the_same_money(stage: Stage, bank: Bank) -> None:
    await stage.policy(auto_below=LIMIT, second_above=Money(200_000, "KZT"))
    await stage.fund(5_000_000)
    made = []
    for _ in range(5):
        made.append((await stage.withdraw(60_000)).payment_id)
        await stage.work()
    # 600 by itself; 1,200 and 1,800 with one person; from 2,400 on two.
    people = await asked_of_people(stage)
    assert [people.get(one, 0) for one in made] == [0, 1, 1, 2, 2]
    assert len(bank.moved) == 1
    # After a day it counts no more.
    stage.clock.advance(timedelta(hours=24, seconds=1))
    assert (await stage.withdraw(60_000)).sub_status == "approved"


async def test_at_once_they_count_each_other(stage: Stage) -> None:
    await stage.policy(auto_below=LIMIT)
    await stage.fund(5_000_000)
    session = await stage.session()
    await asyncio.gather(*(insisting(stage, session, 60_000, f"form-{number}") for number in range(6)))
    rows = await stage.rows("SELECT sub_status FROM payment WHERE kind = 'payout'")
    assert sum(row.sub_status == "approved" for row in rows) <= 1


async def test_what_did_not_go_does_not_count(stage: Stage, bank: Bank) -> None:
    await stage.policy(auto_below=LIMIT)
    await stage.fund(5_000_000)
    bank.manners = ["declines", "pays"]
    await stage.withdraw(60_000)
    await stage.work()
    session = await stage.session()
    second = await stage.withdraw(60_000)
    assert second.sub_status == "approved"
    await payments.cancel(stage.pipes, stage.site_id, second.payment_id, session.player.player_id)
    assert (await stage.withdraw(60_000)).sub_status == "approved"


async def test_a_long_cooling_moves_them_not_apart(stage: Stage) -> None:
    await stage.policy(auto_below=LIMIT, cooling_seconds=48 * 3600)
    await stage.fund(5_000_000)
    made = [(await stage.withdraw(60_000)).payment_id for _ in range(2)]
    await stage.later(48 * 3600 + 1)
    assert [(await stage.state(one))[0] for one in made] == ["under_review", "under_review"]


async def test_a_blocked_player_is_let_go_by_people_only(stage: Stage, bank: Bank) -> None:
    await stage.policy(cooling_seconds=3600)
    await stage.fund()
    found = await stage.withdraw()
    await status_of_player(stage, players.PlayerStatus.BLOCKED)
    await stage.later(3601)
    assert (await stage.state(found.payment_id))[0] == "under_review"
    assert bank.moved == []
    [event] = await stage.rows("SELECT detail FROM payment_event WHERE sub_status = 'under_review'")
    assert event.detail["doubts"] == ["blocked"]


async def test_a_dispute_and_a_debt_are_for_people(stage: Stage, bank: Bank) -> None:
    await stage.policy(cooling_seconds=3600)
    reference = await deposit(stage)
    found = await stage.withdraw()
    await dispute(stage, reference, "opened")
    assert await stage.owed() == AMOUNT.minor
    await stage.later(3601)
    assert (await stage.state(found.payment_id))[0] == "under_review"
    assert bank.moved == []
    async with stage.database.reading() as reader:
        waits = await payments.payout(reader, stage.site_id, found.payment_id)
        assert await why_people(reader, waits) == ["disputed", "in_debt"]
    await dispute(stage, reference, "lost")
    async with stage.database.reading() as reader:
        assert await why_people(reader, waits) == ["in_debt"]


async def test_a_debt_in_another_currency_too(stage: Stage) -> None:
    session = await stage.session()
    owed = ledger.Demand(
        "tests", "owed", ledger.CHARGEBACK, Money(100, "USD"), session.player.player_id, ACCOUNT, "owed"
    )
    async with stage.database.transaction() as tx:
        await ledger.take(tx, stage.site_id, owed, at=stage.clock.now())
    await stage.fund()
    found = await stage.withdraw(1_000)
    assert found.sub_status == "under_review"
    # Whoever has looked lets it go.
    await payments.approve(stage.pipes, stage.site_id, found.payment_id, await stage.operator("anna"))
    assert (await stage.state(found.payment_id))[0] == "approved"


@pytest.mark.parametrize("field", ["reason_staff", "reason_player"])
async def test_no_card_number_is_written_down(stage: Stage, field: str) -> None:
    await stage.policy(auto_below=None)
    await stage.fund()
    found = await stage.withdraw()
    anna = await stage.operator("anna")
    texts = {"reason_staff": "stolen", "reason_player": "", field: "it was 4111 1111 1111 1111, stolen"}
    why = payments.Refusing(texts["reason_staff"], texts["reason_player"])
    with pytest.raises(staff.BadReason, match=f"{field}: no card number"):
        await payments.reject(stage.pipes, stage.site_id, found.payment_id, anna, why)
    assert (await stage.state(found.payment_id))[0] == "under_review"
