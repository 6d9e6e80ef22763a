"""A case names the attempt that its evidence was about, and what people decide of it is about that one."""


import pytest

from app import payments
from app.payments.model import CaseKind
from tests.payments.accounts import SECOND, raised, tries
from tests.payments.banks import another_bank, sent, through_both_banks
from tests.payments.callers import calling
from tests.payments.stage import Bank, Stage
from tests.payments.world import AMOUNT, World, fact

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
