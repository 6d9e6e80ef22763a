"""The provider's number: one is one payment's, with one sum; no number is nobody's."""

from app import payments
from tests.payments.casework import R, conflicted_deposit, only, open_cases, raised, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.world import UNKNOWN, fact, paid


async def test_another_amount_under_a_number_that_is_taken_calls_a_person(desk: Desk) -> None:
    """The number stays with the payment that has it; the notice is read, not retried until it is dead."""
    first = await desk.deposit()
    await desk.world.ask(key="again")
    await desk.world.notice(fact(await desk.world.reference(), minor=120_000))
    second = await desk.found((await desk.world.payment()).payment_id)
    assert (second.sub_status.value, second.provider_reference) == ("conflicted", None)
    assert (await desk.found(first)).provider_reference == "theirs-1"
    its = await only(desk)
    assert (its.kind.value, its.payment_id, its.about) == ("reference_reused", second.payment_id, "theirs-1")
    assert its.theirs["amount"] == "1200.00 KZT"
    assert await desk.world.credited() == 150_000


async def test_a_refund_of_another_amount_under_a_number_that_is_taken_calls_a_person(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = desk.provider.statuses = [paid("back-1", kzt(50_000))]
    first = await desk.sent(deposit, 50_000)
    await desk.carry_on(first.payment_id)
    desk.provider.answers = desk.provider.statuses = [paid("back-1", kzt(40_000))]
    second = await desk.sent(deposit, 60_000)
    await desk.carry_on(second.payment_id)
    second = await desk.found(second.payment_id)
    assert (second.sub_status.value, second.attention) == ("conflicted", payments.Attention.REFERENCE_REUSED)
    assert second.provider_reference is None
    assert await desk.figures(deposit) == (150_000, 60_000, 50_000, 0)


async def test_what_people_accepted_is_the_sum_that_a_later_word_is_held_against(desk: Desk) -> None:
    deposit = await conflicted_deposit(desk)
    reference = await desk.world.reference()
    await resolve(desk, (await only(desk)).case_id, R.ACCEPTED, amount=kzt(120_000))
    # The same again is no news.
    await desk.world.notice(fact(reference, minor=120_000), mark="again")
    assert await open_cases(desk) == []
    # The whole sum is: 300 tenge of the player's are missing, or the provider is wrong. Told twice, one case.
    for mark in ("whole", "whole once more"):
        await desk.world.notice(fact(reference), mark=mark)
    its = await only(desk)
    assert (its.kind.value, its.theirs["amount"]) == ("amount_differs", "1500.00 KZT")
    found = await desk.found(deposit)
    assert (found.sub_status.value, found.captured, found.attention) == (
        "completed",
        kzt(120_000),
        payments.Attention.AMOUNT_DIFFERS,
    )
    assert await desk.world.credited() == 120_000


async def test_no_number_is_nobodys(desk: Desk) -> None:
    """Another deposit, which has no number yet, stands in nobody's way."""
    await desk.world.ask(key="another")
    desk.provider.answers = desk.provider.statuses = [UNKNOWN]
    await desk.world.ask(key="doubt")
    doubtful = (await desk.world.payment()).payment_id
    its = await raised(desk, doubtful)
    await resolve(desk, its.case_id, R.PAID)
    now_is = await desk.found(doubtful)
    assert (now_is.sub_status.value, now_is.provider_reference) == ("completed", None)
    assert await desk.world.credited() == 150_000
    assert await open_cases(desk) == []
