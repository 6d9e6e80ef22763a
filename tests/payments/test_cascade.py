"""A deposit at two provider accounts: what the first refuses for certain the second collects, and no more."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app import methods, payments, providers, staff
from app.plumbing import switches
from app.providers.gateways import GATEWAYS
from tests.payments.world import (
    ACCOUNT,
    AMOUNT,
    NEVER_LEFT,
    REFUSED,
    UNKNOWN,
    Provider,
    World,
    awaiting,
    fact,
    just,
    paid,
)

State = providers.State
SECOND, THIRD = "second", "third"


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Provider:
    """Another provider, which has collected whenever it is asked."""
    told = Provider("second", answers=[paid("second-1")], statuses=[paid("second-1")])
    monkeypatch.setitem(GATEWAYS, told.name, told)
    return told


@pytest.fixture
def third(monkeypatch: pytest.MonkeyPatch) -> Provider:
    told = Provider("third", answers=[paid("third-1")], statuses=[paid("third-1")])
    monkeypatch.setitem(GATEWAYS, told.name, told)
    return told


@pytest.fixture(autouse=True)
async def through_both(world: World, second: Provider, third: Provider) -> None:
    """The site's order: main, then second; the third is there."""
    async with world.database.transaction() as tx:
        for name in (SECOND, THIRD):
            await providers.open_account(
                tx,
                world.site_id,
                name,
                gateway=name,
                base_url=f"https://{name}.example.com",
                credentials={"secret": "s"},
            )
    await order(world, ACCOUNT, SECOND)


async def order(world: World, *accounts: str) -> None:
    async with world.database.transaction() as tx:
        await methods.order_accounts(tx, world.site_id, "card", "KZT", accounts)


async def tries(world: World) -> list[Any]:
    return await world.rows("SELECT * FROM attempt ORDER BY number")


async def why(world: World) -> list[str]:
    """Why each attempt was made, or none was made."""
    rows = await world.rows("SELECT detail FROM payment_event ORDER BY sequence")
    return [
        str(row.detail.get("next_account") or row.detail["why_last"])
        for row in rows
        if "next_account" in row.detail or "why_last" in row.detail
    ]


async def asked(world: World) -> None:
    found = await world.payment()
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)


async def cases(world: World) -> list[str]:
    async with world.database.reading() as reader:
        return [one.kind.value for one in await payments.cases_of_site(reader, world.site_id)]


# What the first account answers, and whether the second is asked.
ANSWERS = {
    "refused here": (REFUSED, "completed", 1, [SECOND]),
    "never left": (NEVER_LEFT, "completed", 1, [SECOND]),
    "declined for good": (just(State.FAILED), "declined", 0, ["the decline is final"]),
    "a decline without a reason": (
        providers.Result(State.FAILED),
        "declined",
        0,
        ["the decline is final"],
    ),
    "undeliverable": (
        providers.Result(State.FAILED, error=providers.ProviderError("78", "closed", undeliverable=True)),
        "declined",
        0,
        ["the destination cannot receive"],
    ),
    "cancelled": (just(State.CANCELLED), "by_player", 0, []),
    "time-out": (UNKNOWN, "unknown", 0, []),
    "a time-out that calls itself retryable": (
        providers.Result(State.UNKNOWN, error=providers.ProviderError("t", "", retryable=True)),
        "unknown",
        0,
        [],
    ),
    "pending": (just(State.PROCESSING), "provider_pending", 0, []),
    "awaits its player": (awaiting(), "awaiting_player", 0, []),
    "knows no such order": (just(State.NOT_FOUND), "submitted", 0, []),
    "says it was taken back": (just(State.REVERSED), "unknown", 0, []),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_what_the_first_answers_decides_whether_the_second_is_asked(
    world: World, provider: Provider, second: Provider, what: str
) -> None:
    answer, end, orders, reasons = ANSWERS[what]
    provider.answers, provider.statuses = [answer], [UNKNOWN]
    found = await world.deposit()
    assert (found.sub_status, found.attention) == (end, None)
    assert (len(provider.orders), len(second.orders)) == (1, orders)
    assert await why(world) == reasons
    assert await world.credited() == (AMOUNT.minor if end == "completed" else 0)


async def test_the_second_collects_once_and_all_of_it_is_its_own(
    world: World, provider: Provider, second: Provider
) -> None:
    provider.answers = [REFUSED]
    found = await world.deposit()
    first, next_one = await tries(world)
    assert (found.sub_status, found.account, found.provider_reference) == ("completed", SECOND, "second-1")
    assert (found.present_attempt, found.next_account) == (next_one.attempt_id, None)
    assert [(one.account, one.state, one.is_over) for one in (first, next_one)] == [
        (ACCOUNT, "failed", True),
        (SECOND, "succeeded", False),
    ]
    assert [one.reference for one in provider.orders] == [first.attempt_id]
    assert [one.reference for one in second.orders] == [next_one.attempt_id]
    assert second.orders[0].notice_url.endswith(f"/notices/{world.site_id}/{SECOND}")
    assert second.orders[0].return_url == provider.orders[0].return_url
    assert await world.credited() == AMOUNT.minor
    assert await world.told() == [4], "the merchant hears of the end, once"
    [entry] = await world.rows(
        "SELECT owner FROM account JOIN entry USING (site_id, account_id) WHERE purpose = 'provider_clearing'"
    )
    assert entry.owner == SECOND, "the money is booked where it is"
    assert found.return_url is None, "what has a token in it is not kept beyond the end"


async def test_failed_comes_after_the_last_attempt_only(
    world: World, provider: Provider, second: Provider
) -> None:
    provider.answers, second.answers = [REFUSED], [REFUSED]
    found = await world.deposit()
    assert (found.sub_status, found.status) == ("declined", "failed")
    assert await world.told() == [6]
    assert [name for name in await world.events() if "failed" in name] == ["deposit.failed"]
    assert await why(world) == [SECOND, "no other account"]


async def test_no_account_is_asked_twice_and_no_more_than_the_site_wants(
    world: World, provider: Provider, second: Provider, third: Provider
) -> None:
    for one in (provider, second, third):
        one.answers = [REFUSED]
    await order(world, ACCOUNT, SECOND, THIRD)
    async with world.database.transaction() as tx:
        await payments.set_most_attempts(tx, world.site_id, 2, by=staff.SYSTEM, at=world.clock.now())
    assert (await world.deposit()).sub_status == "declined"
    assert [len(one.orders) for one in (provider, second, third)] == [1, 1, 0]
    assert (await why(world))[-1] == "tried at 2 of at most 2 accounts"


async def test_one_attempt_at_most_switches_it_off(
    world: World, provider: Provider, second: Provider
) -> None:
    provider.answers = [REFUSED]
    async with world.database.transaction() as tx:
        await payments.set_most_attempts(tx, world.site_id, 1, by=staff.SYSTEM, at=world.clock.now())
    assert (await world.deposit()).sub_status == "declined"
    assert second.orders == []


async def test_three_accounts_in_their_order(
    world: World, provider: Provider, second: Provider, third: Provider
) -> None:
    provider.answers, second.answers = [NEVER_LEFT], [REFUSED]
    await order(world, SECOND, ACCOUNT, THIRD)
    assert (await world.deposit()).account == THIRD
    assert [one.account for one in await tries(world)] == [SECOND, ACCOUNT, THIRD]


async def switch_off(world: World, name: str) -> None:
    async with world.database.transaction() as tx:
        await tx.execute(
            text("UPDATE provider_account SET enabled = false WHERE account = :name"), {"name": name}
        )


async def test_an_account_that_is_switched_off_is_passed_by(
    world: World, provider: Provider, second: Provider, third: Provider
) -> None:
    provider.answers = [REFUSED]
    await order(world, ACCOUNT, SECOND, THIRD)
    await switch_off(world, SECOND)
    assert (await world.deposit()).account == THIRD
    assert second.orders == []


async def test_where_the_first_is_switched_off_it_begins_at_the_second(
    world: World, provider: Provider, second: Provider
) -> None:
    await switch_off(world, ACCOUNT)
    assert (await world.deposit()).account == SECOND
    assert (provider.orders, len(second.orders)) == ([], 1)


async def test_where_all_others_are_switched_off_it_ends_and_says_so(
    world: World, provider: Provider
) -> None:
    provider.answers = [REFUSED]
    await switch_off(world, SECOND)
    assert (await world.deposit()).sub_status == "declined"
    assert await why(world) == [f"switched off: {SECOND}"]


async def test_no_answer_means_no_second_attempt_however_it_ends(
    world: World, provider: Provider, second: Provider
) -> None:
    provider.answers, provider.statuses = [UNKNOWN], [UNKNOWN]
    found = await world.deposit()
    provider.statuses = [REFUSED]
    world.clock.advance(timedelta(minutes=5))
    await asked(world)
    assert (await world.payment()).sub_status == "declined"
    assert second.orders == []
    assert await why(world) == ["for a while nobody knew of it"]
    assert len(await tries(world)) == 1, found


async def test_an_order_that_the_first_does_not_find_is_no_definite_failure(
    world: World, provider: Provider, second: Provider
) -> None:
    provider.answers, provider.statuses = [UNKNOWN], [just(State.NOT_FOUND)]
    await world.deposit()
    world.clock.advance(timedelta(minutes=5))
    await asked(world)
    assert (await world.payment()).sub_status == "provider_error"
    assert second.orders == []
    assert await why(world) == ["it ended without a decline"]


async def test_who_said_paid_before_is_not_believed_that_another_may_collect(
    world: World, provider: Provider, second: Provider
) -> None:
    """Its answer said paid, its status pending, then it refuses: money may have moved."""
    provider.answers, provider.statuses = [paid()], [just(State.PROCESSING)]
    assert (await world.deposit()).sub_status == "provider_pending"
    provider.statuses = [REFUSED]
    await asked(world)
    assert (await world.payment()).sub_status == "declined"
    assert second.orders == []
    assert await why(world) == [f"{ACCOUNT} said before that it was paid"]


async def test_after_the_players_decline_at_the_page_the_second_page_is_offered(
    world: World, provider: Provider, second: Provider
) -> None:
    second.answers = [awaiting("https://second.example.com/2")]
    assert (await world.deposit()).sub_status == "awaiting_player"
    provider.statuses = [REFUSED]
    await world.notice(fact(await world.reference(), "failed", code="91"))
    found = await world.payment()
    assert (found.sub_status, found.account) == ("awaiting_player", SECOND)
    assert found.continue_url == "https://second.example.com/2"
    assert second.orders[0].return_url == provider.orders[0].return_url
    assert len(second.orders) == 1


async def test_a_notice_that_its_provider_does_not_confirm_sends_nothing_on(
    world: World, provider: Provider, second: Provider
) -> None:
    """What another would collect is decided by the provider's own answer; and here it was paid."""
    await world.deposit()
    provider.statuses = [UNKNOWN]
    reference = await world.reference()
    await world.notice(fact(reference, "failed", code="91"))
    found = await world.payment()
    assert (found.sub_status, found.next_account, second.orders) == ("submitted", SECOND, [])
    await asked(world)
    assert ((await world.payment()).next_account, second.orders) == (SECOND, [])
    provider.statuses = [paid()]
    await asked(world)
    found = await world.payment()
    assert (found.sub_status, found.account, found.next_account) == ("completed", ACCOUNT, None)
    assert (await world.credited(), second.orders, await cases(world)) == (AMOUNT.minor, [], [])


async def test_the_players_own_refusal_at_the_page_goes_nowhere(
    world: World, provider: Provider, second: Provider
) -> None:
    await world.deposit()
    await world.notice(fact(await world.reference(), "cancelled"))
    assert (await world.payment()).sub_status == "by_player"
    assert second.orders == []


async def test_when_the_players_time_is_over_it_goes_nowhere(
    world: World, provider: Provider, second: Provider
) -> None:
    await world.deposit()
    provider.statuses = [REFUSED]
    world.clock.advance(timedelta(minutes=31))
    await asked(world)
    assert (await world.payment()).sub_status == "declined"
    assert second.orders == []
    assert await why(world) == ["the player's time is over"]


@pytest.fixture
async def both_tried(world: World, provider: Provider, second: Provider) -> tuple[str, str]:
    """The first refused; the second awaits its player. The references of both."""
    provider.answers, second.answers = [REFUSED], [awaiting("https://second.example.com/2")]
    provider.statuses = [REFUSED]
    second.statuses = [awaiting("https://second.example.com/2")]
    await world.deposit()
    first, next_one = await tries(world)
    return first.attempt_id, next_one.attempt_id


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


async def test_what_the_earlier_one_brought_is_credited_by_people_at_its_own_account(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, next_one = both_tried
    await world.notice(fact(next_one, "failed"), account=SECOND)
    assert (await world.payment()).sub_status == "declined"
    await world.notice(fact(first, theirs="main-1"))
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


async def left_waiting(world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.answers = provider.statuses = [REFUSED]

    async def nothing(*_: object) -> None:
        return

    with monkeypatch.context() as patched:
        patched.setattr("app.payments.deposit_sending._send_on", nothing)
        await world.ask()


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


async def test_one_account_keeps_no_address_with_a_token_in_it(world: World) -> None:
    await order(world, ACCOUNT)
    assert (await world.deposit()).return_url is None
