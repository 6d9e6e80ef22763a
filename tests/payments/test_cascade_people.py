"""A deposit at two provider accounts: disputes of an earlier attempt, and what people decide of which."""

import pytest

from app import payments
from tests.payments.accounts import SECOND, THIRD, cases, listed, through_both_accounts, tries
from tests.payments.world import AMOUNT, REFUSED, Provider, World, awaiting, fact

R = payments.Resolution


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Provider:
    return listed(monkeypatch, SECOND)


@pytest.fixture
def third(monkeypatch: pytest.MonkeyPatch) -> Provider:
    return listed(monkeypatch, THIRD)


@pytest.fixture(autouse=True)
async def through_both(world: World, second: Provider, third: Provider) -> None:
    await through_both_accounts(world)


@pytest.fixture
async def both_tried(world: World, provider: Provider, second: Provider) -> tuple[str, str]:
    """The first refused; the second awaits its player. The references of both."""
    provider.answers, second.answers = [REFUSED], [awaiting("https://second.example.com/2")]
    provider.statuses = [REFUSED]
    second.statuses = [awaiting("https://second.example.com/2")]
    await world.deposit()
    first, next_one = await tries(world)
    return first.attempt_id, next_one.attempt_id


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
