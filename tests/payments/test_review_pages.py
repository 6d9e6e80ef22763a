"""Whose money a case is about."""

from app import payments
from app.payments.model import CaseKind
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import SECOND, decided
from tests.payments.casework import R
from tests.payments.world import ACCOUNT, World, fact, paid


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
