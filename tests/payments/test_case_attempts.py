"""A case names the attempt that its evidence was about, and what people decide of it is about that one."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app import payments, staff
from app.payments.model import CaseKind
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import SECOND, decided, raised, tries
from tests.payments.banks import PART, another_bank, in_two_parts, parts, sent, through_both_banks
from tests.payments.callers import calling
from tests.payments.questions import questioned
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.world import ACCOUNT, AMOUNT, REFUSED, Provider, State, World, fact, just

R = payments.Resolution


async def named(world: World) -> list[tuple[str, str | None]]:
    """The open cases and the attempts that they name, the oldest first."""
    async with world.database.reading() as reader:
        found = await payments.cases_of_site(reader, world.site_id)
    return [(one.kind.value, one.attempt_id) for one in found]


async def the_case(world: World, kind: CaseKind) -> payments.Case:
    async with world.database.reading() as reader:
        found = await payments.cases_of_site(reader, world.site_id)
    [its] = [one for one in found if one.kind is kind]
    return its


@pytest.fixture
def second_bank(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    return another_bank(bank, monkeypatch)


@pytest.mark.usefixtures("through_both")
async def test_of_a_deposit_each_case_names_its_attempt_and_the_api_says_so(
    world: World, both_tried: tuple[str, str]
) -> None:
    first, next_one = both_tried
    await world.notice(fact(first, theirs="main-1"))
    world.clock.advance(1)
    await world.notice(fact(next_one, theirs="second-1", minor=AMOUNT.minor - 1), account=SECOND)
    world.clock.advance(1)
    await raised(world)
    of_each = [("second_payment", first), ("amount_differs", next_one), ("unresolved", None)]
    assert await named(world) == of_each
    async with calling(world.pipes, world.site_id) as calls:
        _, listed = await calls.get(await calls.person("anna"), "/v1/cases", site_id=world.site_id)
    assert [(one["kind"], one["attempt_id"]) for one in reversed(listed["data"])] == of_each


@pytest.mark.usefixtures("through_both")
async def test_what_people_accept_of_the_first_is_not_booked_at_the_second(
    world: World, both_tried: tuple[str, str]
) -> None:
    """The first says that it was paid, under no number; of the second another sum came."""
    first, next_one = both_tried
    await world.notice(fact(first, theirs=None))
    await world.notice(fact(next_one, theirs="second-1", minor=AMOUNT.minor - 1), account=SECOND)
    assert (await world.payment()).sub_status == "conflicted"
    its = await the_case(world, CaseKind.SECOND_PAYMENT)
    assert its.attempt_id == first
    with pytest.raises(ResolutionImpossible, match=f"name the provider's number of it at {ACCOUNT}"):
        await decided(world, R.ACCEPTED, its=its, amount=AMOUNT)
    world.clock.advance(timedelta(hours=73))  # what was proposed so has lapsed
    await decided(world, R.ACCEPTED, its=its, amount=AMOUNT, provider_reference="main-1")
    now = await world.payment()
    assert (now.sub_status, now.account, now.present_attempt) == ("completed", ACCOUNT, first)
    assert (now.provider_reference, await world.credited()) == ("main-1", AMOUNT.minor)


async def test_of_a_withdrawal_and_of_a_notice_of_nobody(stage: Stage, second_bank: Bank) -> None:
    await through_both_banks(stage)
    stage.bank.manners = ["pays another amount"]
    await sent(stage)
    [only] = await tries(stage)
    await stage.store_notice(stage.bank.fact(only.attempt_id))
    await stage.work()
    stage.clock.advance(1)
    await stage.store_notice(fact("att_of_nobody"))
    await stage.work()
    assert await named(stage) == [("amount_differs", only.attempt_id), ("orphan_notice", None)]


async def test_which_part_of_a_withdrawal_it_is_about_the_case_says(
    stage: Stage, bank: Bank, second_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to name the part; who names another one means that."""
    await through_both_banks(stage)
    await in_two_parts(stage, monkeypatch)
    bank.manners = ["pays", "pays another amount"]
    await sent(stage)
    [_, other] = await tries(stage)
    await stage.store_notice(bank.fact(other.attempt_id))
    await stage.work()
    assert await named(stage) == [("amount_differs", other.attempt_id)]
    really = replace(AMOUNT, minor=AMOUNT.minor - PART - 1)
    with pytest.raises(ResolutionImpossible, match="it is completed"):
        await decided(stage, R.ACCEPTED, amount=really, leg=1)
    its = await the_case(stage, CaseKind.AMOUNT_DIFFERS)
    vera = await stage.operator("vera")
    await payments.decide_case(
        stage.pipes, stage.site_id, its.case_id, vera, staff.Verdict.REJECT, reason="the wrong part"
    )
    stage.clock.advance(1)
    await decided(stage, R.ACCEPTED, amount=really)
    assert [part.state for part in await parts(stage)] == ["completed", "completed"]
    assert await stage.credited() == FUNDS - AMOUNT.minor + 1


@pytest.mark.usefixtures("through_both")
@pytest.mark.parametrize("resolution", [R.ACCEPTED, R.PAID])
async def test_one_number_at_two_providers_is_booked_where_the_case_says(
    world: World, provider: Provider, second: Provider, resolution: R
) -> None:
    """Both declined under the same number; the first collected after all, and only its case knows that."""
    same = "same-1"
    provider.answers = provider.statuses = [replace(REFUSED, provider_reference=same)]
    second.answers = second.statuses = [replace(just(State.PROCESSING), provider_reference=same)]
    await world.deposit()
    first, next_one = await tries(world)
    await world.notice(fact(first.attempt_id, theirs=same))
    second.statuses = [replace(just(State.FAILED), provider_reference=same)]
    await world.notice(fact(next_one.attempt_id, "failed", theirs=same), account=SECOND)
    assert (await world.payment()).sub_status == "declined"
    amount = AMOUNT if resolution is R.ACCEPTED else None
    await decided(world, resolution, amount=amount)
    now = await world.payment()
    assert (now.sub_status, now.account, now.present_attempt) == ("completed", ACCOUNT, first.attempt_id)
    assert await world.credited() == AMOUNT.minor


async def test_not_paid_about_an_earlier_attempt_gives_nothing_of_the_present_one_back(
    stage: Stage, bank: Bank, second_bank: Bank
) -> None:
    """The second has paid. The first says of its own that it is under way, and two people that it is not."""
    await through_both_banks(stage)
    bank.manners = ["declines"]
    found = await sent(stage)
    first, _ = await tries(stage)
    bank.book[first.attempt_id].state = State.PROCESSING
    await stage.store_notice(bank.fact(first.attempt_id, "processing"))
    await stage.work()
    assert await named(stage) == [("revived", first.attempt_id)]
    assert await questioned(stage) == [first.attempt_id]
    await decided(stage, R.NOT_PAID)
    assert await questioned(stage) == []
    assert await stage.state(found.payment_id) == ("completed", None)
    assert await stage.credited() == FUNDS - AMOUNT.minor
    await denied_again(stage, bank, first.attempt_id)
    assert (await named(stage), await stage.state(found.payment_id)) == ([], ("completed", None))
    assert await stage.credited() == FUNDS - AMOUNT.minor


async def denied_again(stage: Stage, bank: Bank, reference: str) -> None:
    """A new case about the same attempt, of which nothing is asked any more."""
    bank.pay(bank.book[reference])
    await stage.store_notice(bank.fact(reference, "succeeded"), mark="paid")
    await stage.work()
    bank.moved.pop()
    await decided(stage, R.NOT_PAID)
