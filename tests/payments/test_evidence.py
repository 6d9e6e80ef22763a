"""What providers say later: notices, status queries. Money moves once, or a person is called."""

import asyncio
from datetime import timedelta

import pytest

from app import payments, providers
from app.providers import queries as queries_of_providers
from tests.payments.peers import answering
from tests.payments.world import UNKNOWN, Provider, World, awaiting, fact, just, paid

State = providers.State


async def attention(world: World) -> str | None:
    found: str | None = (await world.payment()).attention
    return found


async def notice_state(world: World, notice_id: str) -> str:
    [row] = await world.rows("SELECT state FROM notice WHERE notice_id = :id", id=notice_id)
    return str(row.state)


async def ended(world: World, provider: Provider, state: State) -> str:
    """A deposit that ended without money; returns our reference of it."""
    await world.deposit()
    if state is State.UNKNOWN:  # nobody came: it expires
        provider.statuses = [awaiting()]
        world.clock.advance(timedelta(minutes=30))
        await payments.ask_provider(world.pipes, world.site_id, (await world.payment()).payment_id)
    else:
        await world.notice(fact(await world.reference(), state.value))
    return await world.reference()


async def test_a_notice_credits_once_and_is_read_once(world: World) -> None:
    await world.deposit()
    notice_id = await world.notice(fact(await world.reference()))
    found = await world.payment()
    assert (found.status, found.provider_reference, found.attention) == ("completed", "theirs-1", None)
    assert found.completed_at == world.clock.now()
    assert (found.ask_at, found.expires_at, found.continue_url) == (None, None, None)
    assert await notice_state(world, notice_id) == "read"
    await payments.read_notice(world.pipes, world.site_id, notice_id)
    assert await world.credited() == 150_000
    assert await world.told() == [4]
    [event] = await world.rows("SELECT * FROM payment_event WHERE type = 'deposit.completed'")
    assert (event.source, event.amount_minor, event.currency) == ("notice", 150_000, "KZT")
    assert event.detail["path"] == ["awaiting_player", "crediting", "completed"]


async def test_the_same_notice_twenty_times_at_once(world: World) -> None:
    await world.deposit()
    told = fact(await world.reference())
    notices = await asyncio.gather(*(world.notice(told) for _ in range(20)))
    assert len(set(notices)) == 1
    [row] = await world.rows("SELECT arrivals FROM notice")
    assert row.arrivals == 20
    assert await world.credited() == 150_000
    assert await world.told() == [4]


async def test_twenty_notices_of_one_payment_at_once(world: World) -> None:
    await world.deposit()
    told = fact(await world.reference())
    await asyncio.gather(*(world.notice(told, mark=str(number)) for number in range(20)))
    assert {row.state for row in await world.rows("SELECT state FROM notice")} == {"read"}
    assert await world.credited() == 150_000
    assert await world.told() == [4]
    assert await attention(world) is None


async def test_notice_and_status_query_at_once(world: World, provider: Provider) -> None:
    found = await world.deposit()
    provider.statuses = [paid()]
    told = fact(await world.reference())
    asking = (payments.ask_provider(world.pipes, world.site_id, found.payment_id) for _ in range(8))
    telling = (world.notice(told, mark=str(number)) for number in range(8))
    await asyncio.gather(*asking, *telling)
    assert await world.credited() == 150_000
    assert await world.told() == [4]


async def test_paid_and_declined_at_once_end_in_one_state_with_the_money_right(
    world: World, provider: Provider
) -> None:
    await world.deposit()
    reference = await world.reference()
    provider.statuses = [paid()]
    await asyncio.gather(world.notice(fact(reference)), world.notice(fact(reference, "failed")))
    # Whichever came first, the provider itself was asked, and it says paid.
    assert (await world.payment()).sub_status == "completed"
    assert await world.credited() == 150_000


async def test_a_notice_of_nobody_is_an_orphan(world: World) -> None:
    await world.deposit()
    notice_id = await world.notice(fact("att_nobody"))
    assert await notice_state(world, notice_id) == "orphan"
    async with world.database.reading() as reader:
        [orphan] = await queries_of_providers.orphans(reader, world.site_id)
    assert orphan.notice_id == notice_id
    assert b"att_nobody" in orphan.raw.body
    assert (await world.payment()).sub_status == "awaiting_player"


async def test_one_notice_with_several_facts(world: World) -> None:
    await world.deposit()
    first = await world.reference()
    await world.ask(key="form-2")
    second = await world.reference()
    notice_id = await world.notice(fact(first), fact(second, theirs="theirs-2"), fact("att_nobody"))
    assert await notice_state(world, notice_id) == "orphan"
    assert await world.credited() == 300_000


async def test_another_sites_notice_reaches_no_payment_of_ours(world: World) -> None:
    """The account names the site; a reference of another account is nobody's."""
    await world.deposit()
    reference = await world.reference()
    async with world.database.transaction() as tx:
        await providers.seed_account(
            tx, world.site_id, "second", gateway="told", base_url="https://pay.example.com", credentials={}
        )
    body = b'{"facts": [{"reference": "%s", "state": "succeeded", "minor": 150000, "currency": "KZT"}]}'
    raw = providers.RawNotice("/", {"x-told": "yes"}, body % reference.encode())
    await providers.take_notice(world.database, world.site_id, "second", raw, at=world.clock.now())
    [row] = await world.rows("SELECT notice_id FROM notice WHERE account = 'second'")
    await payments.read_notice(world.pipes, world.site_id, row.notice_id)
    assert await notice_state(world, row.notice_id) == "orphan"
    assert await world.credited() == 0


async def test_an_unreadable_notice_is_kept_and_said_so(world: World) -> None:
    notice_id = await world.notice()
    assert await notice_state(world, notice_id) == "unreadable"
    await payments.read_notice(
        world.pipes, world.site_id, "ntc_nobody"
    )  # a job of a notice that is not there


async def test_only_waiting_for_the_player_expires(world: World, provider: Provider) -> None:
    found = await world.deposit()
    world.clock.advance(timedelta(minutes=29, seconds=59))
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    assert (await world.payment()).sub_status == "awaiting_player"
    world.clock.advance(1)
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    found = await world.payment()
    assert (found.status, found.sub_status) == ("failed", "expired")
    assert provider.asked[-1][0] == "cancel"
    assert await world.told() == [13]


@pytest.mark.parametrize("state", [State.PROCESSING, State.UNKNOWN])
async def test_what_the_provider_works_on_never_expires(
    world: World, provider: Provider, state: State
) -> None:
    provider.answers = provider.statuses = [just(state)]
    before = (await world.deposit()).sub_status
    world.clock.advance(timedelta(days=13))
    await payments.ask_provider(world.pipes, world.site_id, (await world.payment()).payment_id)
    assert (await world.payment()).sub_status == before
    assert await world.told() == []


async def test_the_player_pays_in_the_very_moment_of_expiry(world: World, provider: Provider) -> None:
    found = await world.deposit()
    provider.cancels = [paid()]
    world.clock.advance(timedelta(minutes=30))
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    assert (await world.payment()).sub_status == "completed"
    assert await world.credited() == 150_000


async def test_a_cancel_that_came_too_late_does_not_expire_the_deposit(
    world: World, provider: Provider
) -> None:
    found = await world.deposit()
    provider.cancels = [just(State.PROCESSING)]
    world.clock.advance(timedelta(minutes=30))
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    assert (await world.payment()).sub_status == "provider_pending"


async def test_a_late_success_is_credited_once_the_provider_itself_confirms_it(
    world: World, provider: Provider
) -> None:
    reference = await ended(world, provider, State.UNKNOWN)
    provider.statuses = [paid()]
    await world.notice(fact(reference))
    found = await world.payment()
    assert (found.sub_status, found.is_late) == ("completed", True)
    assert await world.credited() == 150_000
    assert await world.told() == [13, 4]
    assert (await world.events())[-3:] == ["deposit.expired", "payment.attention", "deposit.late_completed"]


@pytest.mark.parametrize("said", [just(State.FAILED), just(State.CANCELLED), UNKNOWN, just(State.NOT_FOUND)])
async def test_a_late_success_that_the_provider_denies_moves_nothing(
    world: World, provider: Provider, said: providers.Result
) -> None:
    reference = await ended(world, provider, State.UNKNOWN)
    provider.statuses = [said]
    await world.notice(fact(reference))
    assert (await world.payment()).sub_status == "expired"
    assert provider.asked[-1][0] == "status"
    assert await world.credited() == 0


async def test_a_declined_deposit_that_was_paid_after_all(world: World, provider: Provider) -> None:
    reference = await ended(world, provider, State.FAILED)
    provider.statuses = [paid()]
    await world.notice(fact(reference))
    assert (await world.payment()).is_late
    assert await world.credited() == 150_000
    assert await world.told() == [6, 4]


async def test_paid_after_the_player_cancelled_calls_a_person(world: World, provider: Provider) -> None:
    reference = await ended(world, provider, State.CANCELLED)
    provider.statuses = [paid()]
    await world.notice(fact(reference))
    assert (await world.payment()).sub_status == "by_player"
    assert await attention(world) == "paid_after_cancel"
    assert await world.credited() == 0
    async with world.database.reading() as reader:
        [listed] = await payments.needing_attention(reader, world.site_id)
    assert listed.payment_id == (await world.payment()).payment_id
    assert (await world.events())[-1] == "payment.attention"


@pytest.mark.parametrize(
    "more", [{"minor": 149_999}, {"minor": 150_001}, {"currency": "USD"}, {"minor": 1_500}], ids=str
)
async def test_another_amount_or_currency_is_a_conflict_and_posts_nothing(
    world: World, provider: Provider, more: dict[str, object]
) -> None:
    await world.deposit()
    await world.notice(fact(await world.reference()) | more)
    found = await world.payment()
    assert (found.status, found.sub_status) == ("processing", "conflicted")
    assert found.attention == "amount_differs"
    assert await world.credited() == 0
    assert await world.told() == []
    # The provider repeating itself, even with the right sum, decides nothing: people do.
    await world.notice(fact(await world.reference()), mark="again")
    assert (await world.payment()).sub_status == "conflicted"
    assert await world.credited() == 0


async def test_paid_twice_under_another_number_calls_a_person(world: World) -> None:
    await world.deposit()
    reference = await world.reference()
    await world.notice(fact(reference))
    await world.notice(fact(reference, theirs="theirs-2"))
    assert await attention(world) == "second_payment"
    assert (await world.payment()).provider_reference == "theirs-1"
    assert await world.credited() == 150_000


@pytest.mark.parametrize(
    ("status", "expected", "state"),
    [
        (just(State.FAILED), "denied_after_success", "reversed"),
        (just(State.CANCELLED), "denied_after_success", "reversed"),
        (paid(), None, "completed"),
        (UNKNOWN, "unconfirmed", "completed"),
        (just(State.NOT_FOUND), "unconfirmed", "completed"),
        (just(State.REVERSED), "taken_back", "completed"),
    ],
    ids=["denied", "cancelled", "confirmed", "unknown", "not found", "taken back"],
)
async def test_a_failure_after_success(
    world: World, provider: Provider, status: providers.Result, expected: str | None, state: str
) -> None:
    await world.deposit()
    reference = await world.reference()
    await world.notice(fact(reference))
    provider.statuses = [status]
    await world.notice(fact(reference, "failed"))
    assert provider.asked[-1][0] == "status"
    assert (await world.payment()).sub_status == state
    assert await attention(world) == expected
    assert await world.credited() == (0 if state == "reversed" else 150_000)


async def test_an_order_that_vanished_calls_a_person_once(world: World, provider: Provider) -> None:
    found = await world.deposit()
    provider.statuses = [just(State.NOT_FOUND)]
    for _ in range(3):
        await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    assert await attention(world) == "order_vanished"
    assert (await world.events()).count("payment.attention") == 1
    assert (await world.payment()).sub_status == "awaiting_player"


async def test_an_order_that_never_arrived_fails_after_the_patience(world: World, provider: Provider) -> None:
    provider.answers, provider.statuses = [UNKNOWN], [just(State.NOT_FOUND)]
    found = await world.deposit()
    for passed, expected in ((119, "unknown"), (1, "provider_error")):
        world.clock.advance(passed)
        await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
        assert (await world.payment()).sub_status == expected
    # Should it have arrived after all, the money is not lost.
    provider.statuses = [paid()]
    await world.notice(fact(await world.reference()))
    assert await world.credited() == 150_000


async def test_unknown_is_asked_until_known(world: World, provider: Provider) -> None:
    provider.answers = [UNKNOWN]
    provider.statuses = [UNKNOWN, UNKNOWN, awaiting("https://pay.example.com/2"), paid()]
    found = await world.deposit()
    seen = []
    for _ in range(4):
        await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
        now_is = await world.payment()
        seen.append((now_is.sub_status, now_is.continue_url))
    page = "https://pay.example.com/2"
    assert seen == [("unknown", None), ("unknown", None), ("awaiting_player", page), ("completed", None)]


async def test_a_deposit_that_was_never_sent_is_asked_of_nobody(world: World, provider: Provider) -> None:
    world.shop.manner = answering({"code": 500, "error_description": "no"})
    found = await world.deposit()
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    assert provider.asked == []


async def test_a_success_under_a_number_that_another_payment_has_calls_a_person(world: World) -> None:
    """payments.md 1.6 rule 10."""
    await world.deposit()
    await world.notice(fact(await world.reference()))
    await world.ask(key="form-2")
    await world.notice(fact(await world.reference()), mark="second")
    assert (await world.payment()).sub_status == "conflicted"
    assert await attention(world) == "reference_reused"
    assert await world.credited() == 150_000


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
async def test_a_late_success_is_not_forgotten_when_the_provider_cannot_be_asked_just_now(
    world: World, provider: Provider, state: State
) -> None:
    reference = await ended(world, provider, state)
    provider.statuses = [UNKNOWN]
    await world.notice(fact(reference))
    found = await world.payment()
    assert found.ask_at is not None or found.attention is not None, "the player's money is lost silently"


async def test_every_reason_for_attention_is_in_the_history(world: World, provider: Provider) -> None:
    await world.deposit()
    reference = await world.reference()
    await world.notice(fact(reference))
    provider.statuses = [just(State.FAILED)]
    await world.notice(fact(reference, theirs="theirs-2"))
    await world.notice(fact(reference, "failed"))
    rows = await world.rows("SELECT detail FROM payment_event WHERE detail ? 'attention'")
    assert {row.detail["attention"] for row in rows} >= {"second_payment", "denied_after_success"}
