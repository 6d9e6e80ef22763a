"""A page that is open still when another try is credited late, and whose money a case is about."""

from datetime import timedelta

from app import payments
from app.payments.model import CaseKind
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import SECOND, asked, cases, decided
from tests.payments.casework import R
from tests.payments.questions import days
from tests.payments.world import ACCOUNT, UNKNOWN, Provider, World, fact, paid


async def test_the_page_of_an_expired_try_is_asked_about_once_the_first_is_credited_late(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    """The page of the second could not be closed at the end; its player pays, and the notice is lost."""
    second.cancels = [UNKNOWN]
    world.clock.advance(timedelta(minutes=31))
    await asked(world)
    assert (await world.payment()).sub_status == "expired"
    provider.statuses = [paid("theirs-1")]
    await world.notice(fact(both_tried[0], theirs="theirs-1"))
    assert (await world.payment()).sub_status == "completed"
    second.statuses = [paid("second-1")]
    await days(world, 3)
    assert await cases(world) == ["second_payment"]


async def test_what_people_accept_of_the_first_is_not_booked_at_the_second(
    world: World, both_tried: tuple[str, str]
) -> None:
    """The first says that it was paid, under no number; of the second another sum came."""
    await world.notice(fact(both_tried[0], theirs=None))
    await world.notice(fact(both_tried[1], theirs="second-1", minor=120_000), account=SECOND)
    assert (await world.payment()).sub_status == "conflicted"
    async with world.database.reading() as reader:
        found = await payments.cases_of_site(reader, world.site_id)
    [its] = [one for one in found if one.kind is CaseKind.SECOND_PAYMENT]
    assert its.attempt_id == both_tried[0]
    try:
        await decided(world, R.ACCEPTED, its=its, amount=paid().amount)
    except ResolutionImpossible:
        return  # they are told to name the number
    now = await world.payment()
    assert (now.account, now.present_attempt) == (ACCOUNT, both_tried[0])
