"""A deposit that was tried at a second account: late words of the first, and who dies in between."""

import asyncio
from datetime import timedelta

import pytest

from app import payments, providers, staff
from app.plumbing import switches
from tests.payments.accounts import (
    SECOND,
    asked,
    cases,
    decided,
    left_waiting,
    switch_off,
    tries,
    why,
)
from tests.payments.questions import days, questioned
from tests.payments.world import (
    ACCOUNT,
    AMOUNT,
    REFUSED,
    UNKNOWN,
    Provider,
    World,
    fact,
    just,
    paid,
)

pytestmark = pytest.mark.usefixtures("through_both")
State = providers.State


@pytest.mark.parametrize("by_notice", [True, False])
async def test_a_late_success_of_the_first_after_the_second_has_paid_is_a_case(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str], by_notice: bool
) -> None:
    first, next_one = both_tried
    await world.notice(fact(next_one, theirs="second-1"), account=SECOND)
    assert (await world.payment()).sub_status == "completed"
    provider.statuses, second.statuses = [paid("main-1")], [paid("second-1")]
    if by_notice:
        await world.notice(fact(first, theirs="main-1"))
    else:
        await asked(world)
    found = await world.payment()
    assert (found.sub_status, found.attention) == ("completed", "second_payment")
    assert (await world.credited(), await cases(world)) == (AMOUNT.minor, ["second_payment"])
    await world.notice(fact(first, theirs="main-1"), mark="again")
    await asked(world)
    assert (await world.credited(), await cases(world)) == (AMOUNT.minor, ["second_payment"])


async def test_a_late_success_of_the_first_while_the_second_waits_is_a_case_and_no_credit(
    world: World, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, next_one = both_tried
    await world.notice(fact(first, theirs="main-1"))
    found = await world.payment()
    assert (found.sub_status, found.attention) == ("awaiting_player", "second_payment")
    assert (await world.credited(), await cases(world)) == (0, ["second_payment"])
    await world.notice(fact(next_one, theirs="second-1"), account=SECOND)
    assert (await world.payment()).sub_status == "completed"
    assert await world.credited() == AMOUNT.minor


async def test_while_it_is_open_the_earlier_provider_is_asked_too(
    world: World, provider: Provider, both_tried: tuple[str, str]
) -> None:
    """Who tells nobody is found out by the question."""
    provider.statuses = [paid("main-1")]
    await asked(world)
    assert await cases(world) == ["second_payment"]
    assert await world.credited() == 0


async def test_the_firsts_decline_again_and_a_late_doubt_change_nothing(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, _ = both_tried
    before = await world.payment()
    await world.notice(fact(first, "failed", code="91"))
    await world.notice(fact(first, "unknown"))
    await world.notice(fact(first, "cancelled"))
    now = await world.payment()
    assert (now.sub_status, now.sequence, now.attention) == ("awaiting_player", before.sequence, None)
    assert len(second.orders) == 1


async def test_where_nothing_came_by_the_second_a_late_success_of_the_first_is_credited_once(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    """At the account where the money is; and what the second then says is an earlier attempt's word."""
    first, next_one = both_tried
    await world.notice(fact(next_one, "failed"), account=SECOND)
    provider.statuses, second.statuses = [paid("main-1")], [just(State.FAILED)]
    await world.notice(fact(first, theirs="main-1"))
    found = await world.payment()
    assert (found.sub_status, found.is_late, found.attention) == ("completed", True, None)
    assert (found.account, found.present_attempt) == (ACCOUNT, first)
    assert (found.provider_reference, await world.credited()) == ("main-1", AMOUNT.minor)
    [entry] = await world.rows(
        "SELECT owner FROM account JOIN entry USING (site_id, account_id) WHERE purpose = 'provider_clearing'"
    )
    assert entry.owner == ACCOUNT
    await world.notice(fact(next_one, "failed"), mark="again", account=SECOND)
    assert ((await world.payment()).sub_status, await cases(world)) == ("completed", [])
    await world.notice(fact(next_one, theirs="second-1"), account=SECOND)
    assert (await world.payment()).sub_status == "completed"
    assert (await world.credited(), await cases(world)) == (AMOUNT.minor, ["second_payment"])


async def test_a_late_success_of_the_first_that_its_provider_denies_credits_nothing(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, next_one = both_tried
    await world.notice(fact(next_one, "failed"), account=SECOND)
    second.statuses = [just(State.FAILED)]
    await world.notice(fact(first, theirs="main-1"))
    found = await world.payment()
    assert (found.sub_status, found.attention, await world.credited()) == ("declined", None, 0)


async def test_a_silent_first_keeps_its_question_open_whatever_the_second_says(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, next_one = both_tried
    await world.notice(fact(next_one, "failed"), account=SECOND)
    provider.statuses, second.statuses = [UNKNOWN], [just(State.FAILED)]
    await world.notice(fact(first, theirs="main-1"))
    found = await world.payment()
    assert (found.sub_status, found.attention) == ("declined", "unconfirmed")
    assert found.ask_at is not None
    provider.statuses = [paid("main-1")]
    await asked(world)
    assert ((await world.payment()).sub_status, await world.credited()) == ("completed", AMOUNT.minor)


async def test_the_firsts_late_success_leaves_the_question_about_a_silent_second(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    """Both declined, both were paid. The second said so by notice, and is silent when it is asked."""
    _, next_one = both_tried
    await world.notice(fact(next_one, "failed"), account=SECOND)
    provider.statuses, second.statuses = [paid("main-1")], [UNKNOWN]
    await world.notice(fact(next_one, theirs="second-1"), account=SECOND)
    found = await world.payment()
    assert (found.sub_status, found.account, found.attention) == ("completed", ACCOUNT, "unconfirmed")
    second.statuses = [paid("second-1")]
    world.clock.advance(timedelta(hours=7))
    assert await payments.sweep_due(world.pipes) == 1
    await asked(world)
    assert (await cases(world), await world.credited()) == (["second_payment"], AMOUNT.minor)
    await days(world, 4)
    assert (await world.payment()).ask_at is None


async def test_what_the_earlier_one_brought_is_credited_by_people_at_its_own_account(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, next_one = both_tried
    await world.notice(fact(first, theirs="main-1"))  # while the second may still be paid: a case
    await world.notice(fact(next_one, "failed"), account=SECOND)
    assert (await world.payment()).sub_status == "declined"
    people = []
    async with world.database.transaction() as tx:
        for login in ("anna", "boris"):
            new = staff.NewOperator(login, login.title(), frozenset({staff.Role.FINANCE}))
            people.append((await staff.create_operator(tx, new, at=world.clock.now()))[0])
    async with world.database.reading() as reader:
        [case] = await payments.cases_of_site(reader, world.site_id)
    proposal = payments.Proposal(payments.Resolution.ACCEPTED, "the statement", "ab" * 32, AMOUNT)
    await payments.propose_resolution(world.pipes, world.site_id, case.case_id, people[0], proposal)
    await payments.decide_case(world.pipes, world.site_id, case.case_id, people[1], staff.Verdict.APPROVE)
    found = await world.payment()
    assert (found.sub_status, found.account, found.present_attempt) == ("completed", ACCOUNT, first)
    assert await world.credited() == AMOUNT.minor


class Died(BaseException):
    """The process is gone."""


async def test_who_dies_between_storing_the_next_attempt_and_sending_it_sends_nothing_anew(
    world: World, provider: Provider, second: Provider
) -> None:
    provider.answers = [REFUSED]

    async def dies(_: providers.DepositOrder) -> None:
        second.orders.clear()  # it never got there
        raise Died

    second.during_deposit, second.statuses = dies, [just(State.NOT_FOUND)]
    with pytest.raises(Died):
        await world.ask()
    found = await world.payment()
    assert (found.sub_status, found.account) == ("submitted", SECOND)
    assert [one.account for one in await tries(world)] == [ACCOUNT, SECOND]
    provider.statuses, second.during_deposit = [REFUSED], None
    world.clock.advance(timedelta(seconds=30))
    await payments.sweep_due(world.pipes)
    await asked(world)
    assert (second.orders, (await world.payment()).sub_status) == ([], "submitted")
    assert ("status", (await tries(world))[1].attempt_id) in second.asked
    world.clock.advance(timedelta(minutes=3))
    await asked(world)
    assert (second.orders, (await world.payment()).sub_status) == ([], "provider_error")


async def test_who_dies_before_the_next_attempt_is_stored_loses_only_time(
    world: World, provider: Provider, second: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.answers = provider.statuses = [REFUSED]

    async def dies(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr("app.payments.deposit_sending._send_on", dies)
        with pytest.raises(Died):
            await world.ask()
    found = await world.payment()
    assert (found.sub_status, found.next_account, second.orders) == ("submitted", SECOND, [])
    assert found.ask_at is not None
    assert await payments.sweep_due(world.pipes) == 1
    await asked(world)
    found = await world.payment()
    assert (found.sub_status, found.account, len(second.orders)) == ("completed", SECOND, 1)
    assert await world.credited() == AMOUNT.minor


async def test_of_several_who_would_send_it_on_one_does(
    world: World, provider: Provider, second: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await left_waiting(world, provider, monkeypatch)
    await asyncio.gather(*(asked(world) for _ in range(6)))
    assert len(second.orders) == 1
    assert await world.credited() == AMOUNT.minor


async def test_what_stands_against_the_next_attempt_when_it_is_due_ends_it(
    world: World, provider: Provider, second: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await left_waiting(world, provider, monkeypatch)
    async with world.database.transaction() as tx:
        await switches.set_switch(
            tx, world.site_id, payments.DEPOSITS, stopped=True, reason="", by="t", at=world.clock.now()
        )
    await asked(world)
    found = await world.payment()
    assert (found.sub_status, found.reason_code, second.orders) == ("declined", "91", [])
    assert await why(world) == [SECOND, "deposits are stopped"]


async def test_a_second_that_was_switched_off_meanwhile_is_not_asked(
    world: World, provider: Provider, second: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await left_waiting(world, provider, monkeypatch)
    await switch_off(world, SECOND)
    await asked(world)
    assert ((await world.payment()).sub_status, second.orders) == ("declined", [])
    assert (await why(world))[-1] == f"switched off: {SECOND}"


async def test_money_that_went_back_by_one_try_leaves_the_question_about_the_other(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    """Both were cancelled or refused; both notices say paid. People send back what came by the first."""
    first, other = both_tried
    second.statuses = [just(State.CANCELLED)]
    provider.statuses = [just(State.FAILED)]
    await world.notice(fact(other, "cancelled"), mark="a", account=SECOND)
    assert (await world.payment()).sub_status == "by_player"
    world.clock.advance(5)
    second.statuses = [UNKNOWN]
    await world.notice(fact(other, theirs="theirs-2"), mark="b", account=SECOND)
    assert await questioned(world) == [other]
    await world.notice(fact(first, theirs="theirs-1"), mark="c")
    assert await cases(world) == ["second_payment"]
    await decided(world, payments.Resolution.MONEY_RETURNED)
    assert await questioned(world) == [other], "its provider has not answered, and nobody decided about it"
