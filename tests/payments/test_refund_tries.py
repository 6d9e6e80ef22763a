"""Two tries of a refund: the first, which seemed not to have left, is given back after all."""

import pytest

from app import providers
from app.payments.model import CaseKind
from app.payments.resolutions import ResolutionImpossible
from tests.payments.casework import REJECT, R, decide, only, open_cases, propose, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.world import NEVER_LEFT, UNKNOWN, State, just, paid

BACK = 50_000


async def tried(
    desk: Desk, second: providers.Result, said: dict[str, providers.Result]
) -> tuple[str, str, str, str]:
    """The deposit, its refund and both tries; `said` is what the provider answers about each."""
    deposit = await desk.deposit()
    desk.provider.answers = [NEVER_LEFT, second]

    def told(reference: str) -> providers.Result:
        sent = [order.reference for order in desk.provider.refunds]
        return said.get(reference, second if sent.index(reference) else just(State.NOT_FOUND))

    desk.provider.statuses = [told]
    refund = (await desk.sent(deposit, BACK)).payment_id
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    asked = "SELECT attempt_id FROM attempt WHERE payment_id = :of ORDER BY number"
    first, next_one = [row.attempt_id for row in await desk.world.rows(asked, of=refund)]
    return deposit, refund, first, next_one


async def tried_twice(
    desk: Desk, second: providers.Result, said: dict[str, providers.Result]
) -> tuple[str, str, str, str]:
    """The same, and the first was given back."""
    deposit, refund, first, next_one = await tried(desk, second, said)
    said |= {first: paid("back-late", kzt(BACK)), next_one: second}
    desk.world.clock.advance(60)
    await desk.carry_on(refund)
    [its] = [one for one in await open_cases(desk) if one.kind is CaseKind.SECOND_PAYMENT]
    assert its.attempt_id == first
    return deposit, refund, first, next_one


async def test_people_accept_the_first_and_the_decline_of_the_second_undoes_nothing(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    deposit, refund, first, _ = await tried_twice(desk, just(State.FAILED), said)
    await resolve(desk, (await only(desk)).case_id, R.PAID)
    for _ in range(3):
        now = await desk.found(refund)
        assert (now.sub_status.value, now.provider_reference) == ("completed", "back-late")
        assert now.present_attempt == first
        assert await desk.figures(deposit) == (150_000, 0, BACK, 0)
        assert await desk.balances() == {"player_cash": 150_000 - BACK, "provider_clearing": BACK - 150_000}
        desk.world.clock.advance(60)
        await desk.carry_on(refund)
    said[first] = just(State.FAILED)  # its own word is a case: two people have said otherwise
    await desk.carry_on(refund)
    await resolve(desk, (await only(desk)).case_id, R.NOT_PAID)
    assert (await desk.found(refund)).sub_status.value == "declined"
    assert await desk.figures(deposit) == (150_000, 0, 0, 0)


@pytest.mark.parametrize("resolution", [R.NOTED, R.NOT_PAID])
async def test_while_the_second_is_paid_nothing_moves_by_the_first(desk: Desk, resolution: R) -> None:
    deposit, refund, _, _ = await tried_twice(desk, paid("back-2", kzt(BACK)), {})
    its = await only(desk)
    await propose(desk, its.case_id, R.PAID)
    with pytest.raises(ResolutionImpossible):
        await decide(desk, its.case_id)
    await decide(desk, its.case_id, REJECT)
    await resolve(desk, its.case_id, resolution)
    assert await open_cases(desk) == []
    assert (await desk.found(refund)).sub_status.value == "completed"
    assert await desk.figures(deposit) == (150_000, 0, BACK, 0)


async def test_people_accept_another_sum_of_the_first_and_it_counts_from_then_on(desk: Desk) -> None:
    """The second is in conflict, with no number; it says no later, and the first has gone all the same."""
    said: dict[str, providers.Result] = {}
    odd = providers.Result(State.SUCCEEDED, None, kzt(BACK - 1))
    deposit, refund, first, next_one = await tried_twice(desk, odd, said)
    [its] = [one for one in await open_cases(desk) if one.kind is CaseKind.SECOND_PAYMENT]
    await resolve(desk, its.case_id, R.ACCEPTED, amount=kzt(BACK))
    assert (await desk.found(refund)).present_attempt == first
    said[next_one] = just(State.FAILED)
    desk.world.clock.advance(60)
    await desk.carry_on(refund)
    assert (await desk.found(refund)).sub_status.value == "completed"
    assert await desk.figures(deposit) == (150_000, 0, BACK, 0)


async def test_a_try_that_another_worker_has_written_meanwhile_is_asked_about_first(desk: Desk) -> None:
    """While one worker waits for an answer about the first, another sends a second that seems not to leave.

    Nobody has a word about that one yet: whoever asked about the first alone sends no third.
    """
    deposit = await desk.deposit()
    desk.provider.answers, desk.provider.statuses = [NEVER_LEFT], [just(State.NOT_FOUND)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    desk.world.clock.advance(600)

    async def another_worker() -> None:
        await desk.carry_on(refund)

    desk.provider.during_status = another_worker
    await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 2
    assert (await desk.found(refund)).sub_status.value == "approved"


async def test_what_was_being_sent_when_the_process_died_is_not_repeated_unasked(desk: Desk) -> None:
    """The first, which seemed not to have left, was paid meanwhile; its notice is lost."""
    said: dict[str, providers.Result] = {}
    deposit = await desk.deposit()
    desk.provider.answers = [NEVER_LEFT]
    desk.provider.statuses = [lambda of: said.get(of, just(State.NOT_FOUND))]
    refund = (await desk.sent(deposit, BACK)).payment_id

    class Died(BaseException):
        pass

    def dies(_: str) -> providers.Result:
        raise Died

    desk.provider.answers = [dies]
    desk.world.clock.advance(600)
    with pytest.raises(Died):
        await desk.carry_on(refund)
    desk.provider.refunds.pop()  # it never got there
    asked = "SELECT attempt_id FROM attempt WHERE payment_id = :of ORDER BY number"
    first, _next_one = [row.attempt_id for row in await desk.world.rows(asked, of=refund)]
    assert (await desk.found(refund)).sub_status.value == "submitted"
    said[first] = paid("back-1", kzt(BACK))
    desk.provider.answers = [paid("back-2", kzt(BACK))]
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 1, "sent again, though the first was paid"


async def test_an_earlier_try_is_asked_before_a_lost_order_is_repeated(desk: Desk) -> None:
    """The second alone is lost; the first, asked in the same turn, was paid, and its notice is lost."""
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await tried(desk, UNKNOWN, said)
    said |= {first: paid("back-1", kzt(BACK)), next_one: just(State.NOT_FOUND)}
    desk.world.clock.advance(600)
    await desk.carry_on(refund)
    assert len(desk.provider.refunds) == 2
    assert (await only(desk)).attempt_id == first
