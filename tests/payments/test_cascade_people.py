"""A deposit at two provider accounts: disputes of an earlier attempt, and what people decide of which."""

import pytest

from app import payments
from tests.payments.accounts import SECOND, THIRD, asked, cases, decided, order, why
from tests.payments.world import ACCOUNT, AMOUNT, REFUSED, Provider, World, fact

pytestmark = pytest.mark.usefixtures("through_both")
R = payments.Resolution


def disputed(reference: str, number: str = "D-1") -> dict[str, object]:
    return fact(reference, dispute={"number": number, "stage": "opened", "minor": AMOUNT.minor})


async def owners(world: World) -> list[str]:
    """At which providers' accounts something was booked."""
    rows = await world.rows(
        "SELECT owner FROM account JOIN entry USING (site_id, account_id) WHERE purpose = 'provider_clearing'"
    )
    return [row.owner for row in rows]


async def test_a_dispute_of_an_earlier_attempt_takes_nothing_of_what_the_present_one_brought(
    world: World, both_tried: tuple[str, str]
) -> None:
    first, next_one = both_tried
    await world.notice(fact(next_one, theirs="second-1"), account=SECOND)
    await world.notice(fact(first, theirs="main-1"))
    await world.notice(disputed(first), mark="dispute")
    found = await world.payment()
    assert (found.sub_status, found.charged_back_minor, found.account) == ("completed", 0, SECOND)
    assert (await world.credited(), await owners(world)) == (AMOUNT.minor, [SECOND])
    assert await cases(world) == ["second_payment", "second_payment"], "the payment, and its dispute"
    assert await world.rows("SELECT * FROM dispute") == []


@pytest.mark.parametrize("when", ["before the second declines", "after it, and nothing is sent yet"])
async def test_who_has_ever_said_paid_keeps_a_deposit_from_every_other_account(
    world: World,
    second: Provider,
    third: Provider,
    both_tried: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    """Also where people have noted it, so that no case stands against it any more."""
    first, next_one = both_tried
    await order(world, ACCOUNT, SECOND, THIRD)
    second.statuses = [REFUSED]

    async def says_paid() -> None:
        await world.notice(fact(first, theirs="main-1"))
        assert await cases(world) == ["second_payment"]
        await decided(world, R.NOTED)
        assert (await world.payment()).attention is None

    async def nothing(*_: object) -> None:
        return

    if when.startswith("before"):
        await says_paid()
    else:
        with monkeypatch.context() as patched:
            patched.setattr("app.payments.deposit_sending._send_on", nothing)
            await world.notice(fact(next_one, "failed", code="91"), account=SECOND)
        assert (await world.payment()).next_account == THIRD
        await says_paid()
    await asked(world)
    await asked(world)
    assert ((await world.payment()).sub_status, third.orders) == ("declined", [])
    assert (await why(world))[-1] == f"{ACCOUNT} said before that it was paid"
