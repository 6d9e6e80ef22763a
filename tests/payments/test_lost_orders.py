"""An order that its provider has known, and knows no more, is never sent a second time: people look."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import payments, providers
from app.payments.cascade import may_be_repeated, says_nothing_came
from app.payments.doubts import MayBePaid
from app.payments.model import Decided
from app.payments.queries import Attempt
from app.providers.gateways import sandbox
from tests.payments.accounts import cases, decided
from tests.payments.banks import sent, told
from tests.payments.casework import R, only
from tests.payments.desk import Desk, kzt, planted
from tests.payments.questions import questioned
from tests.payments.stage import Bank, Stage
from tests.payments.test_refund_tries import BACK
from tests.payments.world import ACCOUNT, NEVER_LEFT, UNKNOWN, State, just, paid

SOON = timedelta(minutes=10)
AT = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "hours", "is_so"),
    [
        ({}, 24, True),
        ({}, 25, False),
        ({}, None, False),
        ({"state": State.UNKNOWN}, 1, True),
        ({"state": State.NOT_FOUND}, 1, True),
        ({"state": State.UNKNOWN, "provider_reference": "theirs-1"}, 1, False),
        ({"state": State.UNKNOWN, "said_paid": True}, 1, False),
        ({"state": State.UNKNOWN, "was_spoken_of": True}, 1, False),
        *(({"state": state}, 1, False) for state in sorted(set(State) - {State.UNKNOWN, State.NOT_FOUND})),
    ],
)
def test_only_what_nothing_was_ever_said_of_may_be_repeated(
    said: dict[str, Any], hours: int | None, *, is_so: bool
) -> None:
    one = Attempt("att_1", "wdr_1", ACCOUNT, 1, is_over=False, **said)
    sent_at = None if hours is None else AT - timedelta(hours=hours)
    assert may_be_repeated(one, sent_at, AT) is is_so


@pytest.mark.parametrize(
    ("said", "is_so"),
    [
        ({}, True),
        ({"state": State.UNKNOWN}, True),
        ({"state": State.UNKNOWN, "provider_reference": "theirs-1"}, False),
        ({"state": State.UNKNOWN, "was_spoken_of": True}, False),
        ({"state": State.PROCESSING}, False),
        ({"state": State.PROCESSING, "decided": Decided.NOT_PAID}, True),
        ({"state": State.FAILED, "provider_reference": "theirs-1"}, True),
        ({"state": State.CANCELLED}, True),
    ],
)
def test_who_has_known_an_order_does_not_say_that_nothing_came_of_it_by_forgetting_it(
    said: dict[str, Any], *, is_so: bool
) -> None:
    one = Attempt("att_1", "wdr_1", ACCOUNT, 1, is_over=True, **said)
    assert says_nothing_came(one, just(State.NOT_FOUND), never_left=False) is is_so
    assert says_nothing_came(one, just(State.FAILED), never_left=False)


async def loses_it(stage: Stage, bank: Bank) -> None:
    """The bank's books are gone; it would pay what is sent again. Nothing is, and one case says why."""
    payouts = len(bank.payouts)
    bank.book.clear()
    bank.manners, bank.words = ["pays"], ["not_found"]
    for _ in range(3):
        await stage.later(SOON)
    assert (await stage.payment()).sub_status == "unknown"
    assert (len(bank.payouts), await cases(stage)) == (payouts, ["order_vanished"])


async def test_what_seemed_not_to_leave_and_was_under_way_is_not_sent_again(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    bank.manners, bank.words = ["pays and says it never heard"], ["processing"]
    found = await sent(stage)
    assert (await stage.payment()).sub_status == "allocated"
    await stage.later(SOON)
    assert await stage.state(found.payment_id) == ("unknown", None)
    await loses_it(stage, bank)


async def test_nor_is_what_was_declined_and_is_under_way_again(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    bank.manners, bank.words = ["declines and pays"], ["processing"]
    found = await sent(stage)
    assert (await stage.payment()).sub_status == "declined"
    [reference] = await stage.references(found.payment_id)
    stage.clock.advance(SOON)
    await told(stage, bank, reference, "processing")
    assert await stage.state(found.payment_id) == ("unknown", None)
    await loses_it(stage, bank)


@pytest.mark.parametrize("manner", ["accepts and asks the player", "accepts and tells but its number"])
async def test_nor_is_what_its_answer_leaves_unknown_though_it_has_it(
    stage: Stage, bank: Bank, manner: str
) -> None:
    await stage.fund()
    bank.manners = [manner]
    found = await sent(stage)
    assert await stage.state(found.payment_id) == ("unknown", None)
    bank.pay(bank.book[(await stage.references(found.payment_id))[0]])
    await loses_it(stage, bank)


@pytest.mark.parametrize("by_notice", [True, False])
async def test_nor_is_what_waits_for_the_player_by_its_word(
    stage: Stage, bank: Bank, *, by_notice: bool
) -> None:
    await stage.fund()
    bank.manners, bank.words = ["pays silently"], ["nothing" if by_notice else "requires_action"]
    found = await sent(stage)
    if by_notice:
        await told(stage, bank, (await stage.references(found.payment_id))[0], "requires_action")
    await stage.later(SOON)
    assert await stage.state(found.payment_id) == ("unknown", None)
    await loses_it(stage, bank)


@pytest.mark.parametrize("word", ["processing", "succeeded", "failed", "returned"])
async def test_nor_is_what_it_has_spoken_of_in_an_answer_that_was_overtaken(
    stage: Stage, bank: Bank, word: str
) -> None:
    """Such an answer moves nothing, but is kept."""
    await stage.fund()
    bank.manners, bank.words = ["pays silently"], [word, "not_found"]
    found = await sent(stage)
    stage.clock.advance(SOON)

    async def overtaken() -> None:
        stage.clock.advance(1)
        now = stage.clock.now()
        await planted(stage.database, "UPDATE payment SET changed_at = :now", now=now)

    bank.during_status = overtaken
    await payments.carry_on(stage.pipes, stage.site_id, found.payment_id)
    assert (await stage.payment()).sub_status == "unknown"
    await loses_it(stage, bank)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (NEVER_LEFT, just(State.PROCESSING)),
        (UNKNOWN, just(State.REQUIRES_ACTION)),
        (just(State.REQUIRES_ACTION), UNKNOWN),
    ],
)
async def test_nor_is_a_refund_that_its_provider_has_known(
    desk: Desk, answer: providers.Result, word: providers.Result
) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [answer, paid("back-2", kzt(BACK))]
    desk.provider.statuses = [word, just(State.NOT_FOUND)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    for _ in range(4):
        desk.world.clock.advance(SOON)
        await desk.carry_on(refund)
    assert ((await only(desk)).kind.value, len(desk.provider.refunds)) == ("order_vanished", 1)
    assert (await desk.found(refund)).sub_status.value == "unknown"
    assert (await desk.balances())["player_held"] == BACK


async def test_what_nothing_was_ever_heard_of_is_sent_again(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    bank.manners, bank.words = ["loses the order", "pays"], ["nothing", "not_found", "truth"]
    found = await sent(stage)
    for _ in range(3):
        await stage.later(SOON)
    assert await stage.state(found.payment_id) == ("completed", None)
    assert len(bank.payouts) == 2


@pytest.mark.parametrize("by_notice", [True, False])
async def test_nor_is_what_told_its_number_in_a_word_that_we_do_not_know(
    stage: Stage, bank: Bank, *, by_notice: bool
) -> None:
    """As the sandbox's gateway reads an unknown status word, or a success without an amount."""
    await stage.fund()
    bank.manners, bank.words = ["pays silently"], ["nothing" if by_notice else "unknown"]
    found = await sent(stage)
    if by_notice:
        await told(stage, bank, (await stage.references(found.payment_id))[0], "unknown")
    await stage.later(SOON)
    assert (await stage.payment()).sub_status == "unknown"
    await loses_it(stage, bank)


@pytest.mark.parametrize("content", [{"status": "settling"}, {"status": "succeeded"}])
def test_so_the_sandbox_reads_it(content: dict[str, object]) -> None:
    read = sandbox._result({"kind": "payout", "id": "bank-7", **content})
    assert (read.state, read.provider_reference) == (State.UNKNOWN, "bank-7")


async def test_nor_is_a_refund_that_told_its_number_so(desk: Desk) -> None:
    deposit = await desk.deposit()
    desk.provider.answers = [UNKNOWN, paid("back-2", kzt(BACK))]
    desk.provider.statuses = [providers.Result(State.UNKNOWN, "back-1", kzt(BACK)), just(State.NOT_FOUND)]
    refund = (await desk.sent(deposit, BACK)).payment_id
    orders = len(desk.provider.refunds)
    for _ in range(4):
        desk.world.clock.advance(SOON)
        await desk.carry_on(refund)
    assert len(desk.provider.refunds) == orders


async def test_nor_is_what_a_notice_tells_of_without_a_number(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    bank.manners, bank.words = ["pays silently"], ["nothing"]
    found = await sent(stage)
    [reference] = await stage.references(found.payment_id)
    await stage.store_notice(bank.fact(reference, "unknown", theirs=None))
    await stage.later(SOON)
    await loses_it(stage, bank)


async def seemed_not_to_leave(stage: Stage, bank: Bank) -> str:
    """Nothing left us, said the transport; its bank has it, says a notice in a word that we do not know."""
    await stage.fund()
    bank.manners, bank.words = ["pays and says it never heard", "pays"], ["nothing"]
    found = await sent(stage)
    assert (await stage.payment()).sub_status == "allocated"
    [reference] = await stage.references(found.payment_id)
    await told(stage, bank, reference, "unknown")
    assert await questioned(stage) == [reference]
    bank.book.clear()
    bank.words = ["not_found"]
    return str(found.payment_id)


async def test_no_other_try_follows_one_whose_bank_has_told_its_number(stage: Stage, bank: Bank) -> None:
    payment_id = await seemed_not_to_leave(stage, bank)
    await stage.later(SOON)
    by = await stage.operator("canceller")
    with pytest.raises(MayBePaid):
        await payments.cancel_for_staff(stage.pipes, stage.site_id, payment_id, by, reason="off")
    for _ in range(16):
        await stage.later(timedelta(days=1))
    assert (len(bank.payouts), await cases(stage)) == (1, ["unresolved"])
    await decided(stage, R.NOT_PAID)
    bank.moved.clear()
    bank.words = ["not_found", "truth"]
    await stage.later(SOON)
    assert await stage.state(payment_id) == ("completed", None)
