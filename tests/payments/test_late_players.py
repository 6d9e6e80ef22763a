"""A deposit that is paid after it was over, and whose player may play no more by then (payments.md 1.5)."""

import pytest

from app import payments, players
from app.payments.model import CaseKind
from tests.payments.casework import R, only, resolve
from tests.payments.desk import Desk, kzt
from tests.payments.world import Provider, World, fact, paid


async def barred(world: World, status: players.PlayerStatus) -> None:
    async with world.database.transaction() as tx:
        await players.set_status(tx, world.site_id, "aigerim", status)


async def paid_late(world: World, provider: Provider, status: players.PlayerStatus) -> None:
    """Declined, and paid after all when its player stands so."""
    await world.ask()
    reference = await world.reference()
    await world.notice(fact(reference, "failed"))
    await barred(world, status)
    provider.statuses = [paid()]
    await world.notice(fact(reference), mark="late")


@pytest.mark.parametrize("status", [players.PlayerStatus.BLOCKED, players.PlayerStatus.CLOSED])
async def test_a_late_success_is_not_credited_to_a_player_who_may_not_play(
    world: World, provider: Provider, status: players.PlayerStatus
) -> None:
    await paid_late(world, provider, status)
    found = await world.payment()
    assert (found.sub_status, found.attention) == ("conflicted", "not_posted")
    await world.notice(fact(await world.reference()), mark="again")
    assert await world.credited() == 0, "told again it is no news, and nobody has decided"


async def test_it_is_credited_to_a_player_who_may(world: World, provider: Provider) -> None:
    await paid_late(world, provider, players.PlayerStatus.ACTIVE)
    assert (await world.payment()).sub_status == "completed"


async def test_what_is_paid_in_time_is_credited_whoever_the_player_is_by_then(
    world: World, provider: Provider
) -> None:
    await world.ask()
    await barred(world, players.PlayerStatus.BLOCKED)
    await world.notice(fact(await world.reference()))
    assert (await world.payment()).sub_status == "completed"


@pytest.mark.parametrize(
    ("resolution", "amount", "ends", "credited"),
    [
        (R.PAID, None, "completed", 150_000),
        (R.ACCEPTED, 150_000, "completed", 150_000),
        (R.MONEY_RETURNED, None, "refunded", 0),
    ],
)
async def test_two_people_decide_whether_the_player_has_it(
    desk: Desk, resolution: payments.Resolution, amount: int | None, ends: str, credited: int
) -> None:
    await paid_late(desk.world, desk.provider, players.PlayerStatus.BLOCKED)
    its = await only(desk)
    assert its.kind is CaseKind.NOT_POSTED
    await resolve(desk, its.case_id, resolution, **({"amount": kzt(amount)} if amount else {}))
    found = await desk.world.payment()
    assert (found.sub_status, found.attention, await desk.world.credited()) == (ends, None, credited)
