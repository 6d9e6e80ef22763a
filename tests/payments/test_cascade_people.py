"""A deposit at two provider accounts: disputes of an earlier attempt, and what people decide of which."""

from dataclasses import replace

import pytest

from app import payments
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import SECOND, THIRD, asked, cases, decided, order, raised, tries, why
from tests.payments.world import ACCOUNT, AMOUNT, REFUSED, Provider, State, World, awaiting, fact, just, paid

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


async def failed_at_both(world: World, provider: Provider, second: Provider, next_one: str) -> None:
    provider.statuses = second.statuses = [just(State.FAILED)]
    await world.notice(fact(next_one, "failed"), account=SECOND)
    assert (await world.payment()).sub_status == "declined"


@pytest.mark.parametrize("number", ["", "same-1"])
async def test_what_people_say_of_the_present_attempt_is_booked_at_its_account(
    world: World, provider: Provider, second: Provider, number: str
) -> None:
    """Without a number, and with one that both providers gave."""
    provider.answers = provider.statuses = [replace(REFUSED, provider_reference=number or None)]
    pending = replace(just(State.PROCESSING), provider_reference=number or None)
    second.answers = second.statuses = [pending]
    await world.deposit()
    assert {one.provider_reference for one in await tries(world)} == {number or None}
    await decided(world, R.PAID, its=await raised(world), provider_reference=number)
    found, (first, next_one) = await world.payment(), await tries(world)
    assert (found.sub_status, found.account, found.present_attempt) == (
        "completed",
        SECOND,
        next_one.attempt_id,
    )
    assert (await owners(world), await world.credited()) == ([SECOND], AMOUNT.minor)
    assert (first.said_paid, next_one.said_paid) == (False, True)


async def test_what_people_say_of_an_earlier_attempts_number_is_kept_with_that_attempt(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, next_one = both_tried
    await world.notice(fact(first, theirs="main-1"))
    await failed_at_both(world, provider, second, next_one)
    await decided(world, R.PAID)
    found, (one, other) = await world.payment(), await tries(world)
    assert (found.account, found.present_attempt, found.provider_reference) == (ACCOUNT, first, "main-1")
    assert (await owners(world), await world.credited()) == ([ACCOUNT], AMOUNT.minor)
    assert ("attachment_sha256" in one.answer, "attachment_sha256" in other.answer) == (True, False)


@pytest.mark.parametrize("resolution", [R.ACCEPTED, R.PAID])
async def test_another_deposits_number_at_the_earlier_account_is_refused_in_words(
    world: World, provider: Provider, second: Provider, resolution: payments.Resolution
) -> None:
    provider.answers = provider.statuses = [paid("main-1")]
    assert (await world.deposit()).account == ACCOUNT
    provider.answers = provider.statuses = [REFUSED]
    second.answers = second.statuses = [awaiting("https://second.example.com/2")]
    await world.ask(key="another")
    _, first, next_one = await world.rows(
        "SELECT attempt_id FROM attempt JOIN payment p USING (site_id, payment_id) "
        "ORDER BY p.number, attempt.number"
    )
    await world.notice(fact(first.attempt_id, theirs="main-1"))
    await failed_at_both(world, provider, second, next_one.attempt_id)
    with pytest.raises(ResolutionImpossible):
        await decided(world, resolution, amount=AMOUNT if resolution is R.ACCEPTED else None)
    found = await world.payment()
    assert (found.sub_status, found.account, await world.credited()) == ("declined", SECOND, AMOUNT.minor)


async def test_people_speak_of_the_attempt_that_was_paid_late_and_not_of_the_last(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, next_one = both_tried
    await failed_at_both(world, provider, second, next_one)
    provider.statuses = [paid("main-1")]
    await world.notice(fact(first, theirs="main-1"))
    assert (await world.payment()).present_attempt == first
    await decided(world, R.NOT_PAID, its=await raised(world))
    one, other = await tries(world)
    assert ((await world.payment()).sub_status, await world.credited()) == ("reversed", 0)
    assert ("attachment_sha256" in one.answer, "attachment_sha256" in other.answer) == (True, False)


async def test_a_notice_of_nobody_is_matched_to_the_attempt_at_its_account(
    world: World, provider: Provider, second: Provider, both_tried: tuple[str, str]
) -> None:
    first, next_one = both_tried
    await failed_at_both(world, provider, second, next_one)
    await world.notice(fact("att_nobodys", theirs="main-9"))
    await decided(world, R.MATCHED, payment_id=(await world.payment()).payment_id)
    found = await world.payment()
    assert (found.sub_status, found.account, found.present_attempt) == ("completed", ACCOUNT, first)
    assert (await owners(world), await world.credited()) == ([ACCOUNT], AMOUNT.minor)
    assert [one.said_paid for one in await tries(world)] == [True, False]


@pytest.mark.parametrize("is_paid", [True, False])
@pytest.mark.parametrize("what", ["paid", "failed", "disputed"])
async def test_no_notice_is_matched_to_an_earlier_attempt_while_the_present_one_counts(
    world: World, both_tried: tuple[str, str], what: str, is_paid: bool
) -> None:
    _, next_one = both_tried
    if is_paid:
        await world.notice(fact(next_one, theirs="second-1"), account=SECOND)
    told = {"paid": fact("att_x", theirs="main-9"), "failed": fact("att_x", "failed")}
    await world.notice(told.get(what) or disputed("att_x"))
    before = await world.payment()
    with pytest.raises(ResolutionImpossible, match="came through main, it went by second"):
        await decided(world, R.MATCHED, payment_id=before.payment_id)
    assert (await world.payment()).sequence == before.sequence
    assert await world.rows("SELECT * FROM dispute") == []
