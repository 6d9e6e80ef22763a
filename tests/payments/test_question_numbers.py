"""By which number people name a try, and that a number ends no try but its own."""

from typing import Any

import pytest

from app import payments, providers
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import cases, decided, order_out, raised, tries
from tests.payments.banks import in_two_parts, parts, sent
from tests.payments.casework import R, open_cases, orphan, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.questions import days, questioned
from tests.payments.stage import Bank, Stage
from tests.payments.test_refund_tries import BACK, tried
from tests.payments.test_waiting_questions import HOURS
from tests.payments.world import ACCOUNT, AMOUNT, UNKNOWN, State, fact, just, paid


async def two_tries(stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Both at one account: the first, which seemed not to have left, is said to be under way; of the second
    nobody knows.
    """
    await order_out(stage, ACCOUNT)
    bank.manners = ["never hears", "accepts silently"]
    await sent(stage)
    await stage.later(60)
    first, next_one = await tries(stage)
    said = bank._said

    def says(of: str) -> providers.Result:
        is_unheard = of == first.attempt_id and of not in bank.book
        return providers.Result(State.NOT_FOUND) if is_unheard else said(of)

    monkeypatch.setattr(bank, "_said", says)
    bank.words = ["nothing"]
    stage.clock.advance(5)
    fact: Any = {"reference": first.attempt_id, "state": "processing", "theirs": "bank-a"}
    await stage.store_notice(fact, mark="a")
    await stage.work()
    assert await questioned(stage) == [first.attempt_id]
    return first.attempt_id, next_one.attempt_id


async def test_not_paid_under_the_firsts_number_ends_its_question_and_not_the_second(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_tries(stage, bank, monkeypatch)
    await raised(stage)
    await decided(stage, R.NOT_PAID, provider_reference="bank-a")
    now = await stage.payment()
    assert (now.sub_status, await stage.held()) == ("unknown", AMOUNT.minor)
    assert await questioned(stage) == []


async def test_paid_under_the_firsts_number_is_booked_as_the_first(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, next_one = await two_tries(stage, bank, monkeypatch)
    await raised(stage)
    await decided(stage, R.PAID, provider_reference="bank-a")
    leg = await stage.leg((await stage.payment()).payment_id)
    bank.words = ["truth"]
    bank.pay(bank.book[next_one])  # it is paid as well, and its notice is lost
    for _ in range(4):
        await stage.later(HOURS)
    seen = await cases(stage)
    bank.moved.clear()
    bank.moved.append((first, AMOUNT))
    assert (leg.present_attempt, seen) == (first, ["second_payment"])


async def two_in_doubt(desk: Desk, said: dict[str, providers.Result]) -> tuple[str, str, str, str]:
    """The first is said to be under way (back-1), and not found; of the second nobody knows."""
    deposit, refund, first, next_one = await tried(desk, UNKNOWN, said)
    said |= {first: just(State.NOT_FOUND), next_one: UNKNOWN}
    await desk.world.notice(fact(first, "processing", theirs="back-1"), mark="a")
    assert await questioned(desk.world) == [first]
    assert (await desk.found(refund)).sub_status.value == "unknown"
    return deposit, refund, first, next_one


async def test_of_a_refund_it_does_not_end_the_second_either(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    _, refund, _, _ = await two_in_doubt(desk, said)
    its = await payments.raise_case(desk.pipes, desk.site_id, refund, desk.maker, reason="the bank wrote")
    await resolve(desk, its.case_id, R.NOT_PAID, provider_reference="back-1")
    assert (await desk.found(refund)).sub_status.value == "unknown"
    assert await questioned(desk.world) == []
    assert (await desk.balances())["player_held"] == BACK


async def test_nor_by_the_case_of_the_clock(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    _, refund, _, next_one = await two_in_doubt(desk, said)
    await days(desk.world, 16)
    [its] = await open_cases(desk)
    assert its.kind.value == "unresolved"
    await resolve(desk, its.case_id, R.NOT_PAID, provider_reference="back-1")
    now = await desk.found(refund)
    assert (now.sub_status.value, (await desk.balances())["player_held"]) == ("unknown", BACK)
    # Nobody was asked any more: the second is asked about anew.
    assert (now.is_questioned, now.ask_at is not None) == (True, True)
    assert await questioned(desk.world) == [next_one]


async def test_paid_under_the_firsts_number_lets_the_second_be_asked_about(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await two_in_doubt(desk, said)
    its = await payments.raise_case(desk.pipes, desk.site_id, refund, desk.maker, reason="the bank wrote")
    await resolve(desk, its.case_id, R.PAID, provider_reference="back-1")
    now = await desk.found(refund)
    assert (now.sub_status.value, now.present_attempt) == ("completed", first)
    said |= {first: paid("back-1", kzt(BACK)), next_one: paid("back-2", kzt(BACK))}
    await days(desk.world, 3)
    assert "second_payment" in [one.kind.value for one in await open_cases(desk)]


async def test_a_number_that_nobody_knows_ends_nothing_while_another_try_is_doubted(desk: Desk) -> None:
    """It may be the first one's, which has told none, as well as the second one's."""
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await tried(desk, UNKNOWN, said)
    said |= {first: just(State.NOT_FOUND), next_one: UNKNOWN}
    await desk.world.notice(fact(first, "processing", theirs=None), mark="a")
    its = await payments.raise_case(desk.pipes, desk.site_id, refund, desk.maker, reason="the bank wrote")
    with pytest.raises(ResolutionImpossible, match="back-9 is the number of no try") as refused:
        await resolve(desk, its.case_id, R.NOT_PAID, provider_reference="back-9")
    assert f"name {next_one} or {first}" in str(refused.value)
    assert (await desk.balances())["player_held"] == BACK


async def test_who_has_no_number_is_named_by_our_own_reference(desk: Desk) -> None:
    """First what became of the first, then of the second; each of them is a decision of its own."""
    said: dict[str, providers.Result] = {}
    _, refund, first, next_one = await tried(desk, UNKNOWN, said)
    said |= {first: just(State.NOT_FOUND), next_one: UNKNOWN}
    await desk.world.notice(fact(first, "processing", theirs=None), mark="a")
    for reference, state, held in ((first, "unknown", BACK), (next_one, "declined", 0)):
        its = await payments.raise_case(desk.pipes, desk.site_id, refund, desk.maker, reason="a letter")
        await resolve(desk, its.case_id, R.NOT_PAID, provider_reference=reference)
        assert (await desk.found(refund)).sub_status.value == state
        assert (await desk.balances()).get("player_held", 0) == held
    assert await questioned(desk.world) == []


async def test_so_is_a_try_of_a_withdrawal_that_was_paid(stage: Stage, bank: Bank, next_bank: Bank) -> None:
    bank.manners, next_bank.manners = ["declines"], ["accepts silently"]
    await sent(stage)
    first, next_one = await tries(stage)
    bank.words = next_bank.words = ["nothing"]
    bank.book[first.attempt_id].theirs = ""
    await raised(stage)
    await decided(stage, R.PAID, provider_reference=first.attempt_id)
    leg = await stage.leg(first.payment_id)
    assert (leg.state, leg.account, leg.present_attempt) == ("completed", ACCOUNT, first.attempt_id)
    assert await questioned(stage) == [next_one.attempt_id]
    bank.moved.append((first.attempt_id, AMOUNT))


async def test_another_number_than_the_present_ones_does_not_end_it(stage: Stage, bank: Bank) -> None:
    """Though nothing else is doubted: it is another payment's, or a slip."""
    await stage.fund()
    bank.manners = ["accepts"]
    found = await sent(stage)
    await raised(stage)
    with pytest.raises(ResolutionImpossible, match="name bank-1"):
        await decided(stage, R.NOT_PAID, provider_reference="bank-7")
    assert (await stage.state(found.payment_id))[0] == "provider_pending"


async def test_a_number_that_nobody_knows_clears_no_try_where_two_have_none(
    stage: Stage, bank: Bank, next_bank: Bank
) -> None:
    """The first is said to be under way, the second seemed not to leave us: it may have been either."""
    bank.manners, next_bank.manners = ["never hears"], ["never hears", "pays"]
    await sent(stage)
    first, _ = await tries(stage)
    stage.clock.advance(5)
    bank.words = ["nothing"]
    under_way: Any = {"reference": first.attempt_id, "state": "processing", "theirs": None}
    await stage.store_notice(under_way, mark="a")
    await stage.work()
    assert await questioned(stage) == [first.attempt_id]
    await raised(stage)
    with pytest.raises(ResolutionImpossible, match=f"name {first.attempt_id}"):
        await decided(stage, R.NOT_PAID, provider_reference="letter-4")
    assert await questioned(stage) == [first.attempt_id]


async def test_a_notice_of_nobody_with_the_firsts_number_does_not_end_the_second(desk: Desk) -> None:
    said: dict[str, providers.Result] = {}
    _, refund, _, _ = await two_in_doubt(desk, said)
    its = await orphan(desk, fact("att_of_nobody", "failed", theirs="back-1"))
    with pytest.raises(ResolutionImpossible, match="back-1 is the number of another attempt"):
        await resolve(desk, its.case_id, R.MATCHED, payment_id=refund)
    assert (await desk.found(refund)).sub_status.value == "unknown"
    assert (await desk.balances())["player_held"] == BACK


async def test_who_names_a_try_of_one_part_and_another_part_is_told(
    stage: Stage, bank: Bank, next_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its own part would stay, and the other one end."""
    await in_two_parts(stage, monkeypatch)
    await order_out(stage, ACCOUNT)
    bank.manners, bank.words = ["accepts silently"], ["nothing"]
    await sent(stage)
    one, _ = await tries(stage)
    await raised(stage)
    with pytest.raises(ResolutionImpossible, match=f"{one.attempt_id} is a try of part 1"):
        await decided(stage, R.NOT_PAID, provider_reference=one.attempt_id, leg=2)
    assert [part.state for part in await parts(stage)] == ["unknown", "unknown"]
