"""A withdrawal came back and was paid after all: two people say so, and the money follows their word."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from app import payments, staff
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.payments.requests import LegPlan
from app.payments.resolutions import ResolutionImpossible
from app.plumbing.database import Database
from tests import invariants
from tests.payments.stage import FUNDS, Bank, Stage, opened
from tests.payments.world import AMOUNT

R = payments.Resolution
PAID = AMOUNT.minor


@pytest.fixture
async def seamless(database: Database, clock: MovableClock, bank: Bank) -> AsyncIterator[Stage]:
    async with opened(database, clock, bank, seamless=True) as made:
        yield made
        await made.settle()
        await invariants.hold(database)


async def tell(stage: Stage, reference: str, state: str) -> None:
    await stage.store_notice(stage.bank.fact(reference, state), mark=str(next(stage.keys)))
    await stage.work()


async def came_back(stage: Stage, manner: str = "pays") -> tuple[str, str]:
    """A withdrawal that was paid and sent back; its id, and our reference of it."""
    stage.bank.manners = [manner]
    found = await stage.withdraw()
    await stage.work()
    [reference] = await stage.references(found.payment_id)
    await sent_back(stage, found.payment_id, reference)
    return found.payment_id, reference


async def sent_back(stage: Stage, payment_id: str, reference: str) -> None:
    stage.bank.send_back(reference)
    await tell(stage, reference, "returned")
    assert (await stage.state(payment_id))[0] == "returned"


async def paid_after_all(stage: Stage, reference: str) -> None:
    """The bank says that it was paid; asked by us it says so too, and that is a case."""
    stage.bank.take_back(reference)
    await tell(stage, reference, "succeeded")


async def cases(stage: Stage) -> list[payments.Case]:
    async with stage.database.reading() as reader:
        return await payments.cases_of_site(reader, stage.site_id)


async def resolve(stage: Stage, resolution: R, amount: int | None = None, **more: Any) -> None:  # noqa: ANN401
    """Two people end the oldest case."""
    money = None if amount is None else Money(amount, "KZT")
    number = next(stage.keys)
    stage.clock.advance(1)
    maker, checker = await stage.operator(f"maker{number}"), await stage.operator(f"checker{number}")
    proposal = payments.Proposal(resolution, "the bank's statement", "ab" * 32, money, **more)
    case_id = (await cases(stage))[0].case_id
    await payments.propose_resolution(stage.pipes, stage.site_id, case_id, maker, proposal)
    try:
        await payments.decide_case(stage.pipes, stage.site_id, case_id, checker, staff.Verdict.APPROVE)
    except ResolutionImpossible:
        await payments.decide_case(
            stage.pipes, stage.site_id, case_id, checker, staff.Verdict.REJECT, reason="no"
        )
        raise


async def told(stage: Stage) -> list[tuple[int, int, int]]:
    """Type, status and amount of what the merchant is told, each transaction under a number of its own."""
    rows = await stage.rows(
        "SELECT fields FROM webhook ORDER BY (fields->>'transaction_id')::bigint, sequence"
    )
    return [tuple(row.fields[name] for name in ("type_id", "status_id", "real_amount")) for row in rows]


@pytest.mark.parametrize(
    ("spent", "cash", "owed"), [(0, FUNDS - PAID, 0), (FUNDS - 50_000, 0, PAID - 50_000), (FUNDS, 0, PAID)]
)
async def test_the_restored_balance_is_taken_again_or_owed(
    stage: Stage, spent: int, cash: int, owed: int
) -> None:
    await stage.fund()
    payout, reference = await came_back(stage)
    assert await stage.credited() == FUNDS
    if spent:
        await stage.spend(spent)
    await paid_after_all(stage, reference)
    assert await stage.state(payout) == ("returned", "revived")
    assert (await stage.credited(), await stage.owed()) == (FUNDS - spent, 0)
    await resolve(stage, R.PAID)
    now_is = await stage.row(payout)
    assert (now_is.sub_status, now_is.captured_minor, now_is.refunded_minor) == ("completed", PAID, 0)
    assert (now_is.is_late, now_is.attention, await cases(stage)) == (True, None, [])
    assert (await stage.credited(), await stage.owed()) == (cash, owed)
    assert await told(stage) == [(11, 4, PAID), (5, 4, PAID), (11, 4, PAID)]
    [*_, last] = await stage.rows("SELECT * FROM payment_event ORDER BY sequence")
    assert (last.type, last.source, last.amount_minor) == ("withdrawal.late_completed", "settlement", PAID)
    # Told again, by whatever way, it is not taken again.
    for _ in range(3):
        await tell(stage, reference, "succeeded")
    await payments.carry_on(stage.pipes, stage.site_id, payout)
    assert (await stage.credited(), await stage.owed()) == (cash, owed)


async def test_noted_leaves_the_money_where_it_is(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    payout, reference = await came_back(stage)
    bank.words = ["succeeded"]
    await tell(stage, reference, "succeeded")
    await resolve(stage, R.NOTED)
    assert await stage.state(payout) == ("returned", None)
    assert (await stage.credited(), len(await told(stage))) == (FUNDS, 2)


async def test_each_time_moves_the_money_under_a_key_of_its_own(stage: Stage) -> None:
    await stage.fund()
    payout, reference = await came_back(stage)
    await until_quiet(stage, payout, reference, stage.credited, FUNDS)
    assert await told(stage) == [(11, 4, PAID), *([(5, 4, PAID), (11, 4, PAID)] * 3), (5, 4, PAID)]


async def test_nor_does_it_stick_where_the_merchant_keeps_the_balance(seamless: Stage) -> None:
    async def payable() -> int:
        rows = await seamless.rows("SELECT balance_minor FROM account WHERE purpose = 'merchant_payable'")
        return int(rows[0].balance_minor)

    payout, reference = await came_back(seamless)
    await until_quiet(seamless, payout, reference, payable, 0)


async def until_quiet(
    stage: Stage, payout: str, reference: str, balance: Callable[[], Any], there: int
) -> None:
    """Thrice it is paid after all and comes back again; the balance follows each time."""
    for _ in range(3):
        await paid_after_all(stage, reference)
        await resolve(stage, R.PAID)
        assert await cases(stage) == []
        assert (await stage.state(payout), await balance()) == (("completed", None), there - PAID)
        await sent_back(stage, payout, reference)
        assert await balance() == there


@pytest.mark.parametrize("minor", [100_000, 200_000])
async def test_of_another_sum_counts_what_really_went(stage: Stage, bank: Bank, minor: int) -> None:
    await stage.fund()
    payout, reference = await came_back(stage)
    order = bank.book[reference]
    bank.take_back(reference)
    bank.moved.remove((reference, order.amount))
    order.amount = Money(minor, "KZT")
    bank.moved.append((reference, order.amount))
    await tell(stage, reference, "succeeded")
    assert await stage.state(payout) == ("returned", "amount_differs")
    await resolve(stage, R.ACCEPTED, minor)
    now_is = await stage.row(payout)
    assert (now_is.sub_status, now_is.captured_minor, now_is.refunded_minor) == ("completed", minor, 0)
    assert await stage.credited() == FUNDS - minor
    assert (await told(stage))[-1] == (11, 4, minor)
    # And comes back again with that sum; then it was not that which was ordered.
    await sent_back(stage, payout, reference)
    assert await stage.credited() == FUNDS
    await paid_after_all(stage, reference)
    with pytest.raises(ResolutionImpossible, match=f"{minor // 100}.00 KZT was paid and came back"):
        await resolve(stage, R.PAID)
    await resolve(stage, R.ACCEPTED, minor)
    assert await stage.credited() == FUNDS - minor


async def test_another_number_is_another_payment(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    payout, reference = await came_back(stage)
    bank.words = ["succeeded"]
    await tell(stage, reference, "succeeded")
    with pytest.raises(ResolutionImpossible, match="another is another payment"):
        await resolve(stage, R.PAID, provider_reference="bank-99")
    with pytest.raises(ResolutionImpossible, match="nothing would change"):
        await resolve(stage, R.NOT_PAID)
    assert (await stage.state(payout), await stage.credited()) == (("returned", "revived"), FUNDS)


async def test_what_failed_was_paid_late_and_came_back_is_taken_once_more(stage: Stage) -> None:
    """It was given back before it was paid: nothing of it is held any more."""
    await stage.fund()
    stage.bank.manners = ["declines and pays"]
    found = await stage.withdraw()
    await stage.work()
    [reference] = await stage.references(found.payment_id)
    await tell(stage, reference, "succeeded")
    assert await stage.state(found.payment_id) == ("completed", "paid_after_release")
    await resolve(stage, R.NOTED)
    await sent_back(stage, found.payment_id, reference)
    await paid_after_all(stage, reference)
    await resolve(stage, R.PAID)
    assert (await stage.state(found.payment_id))[0] == "completed"
    assert await stage.credited() == FUNDS - PAID


async def in_two_parts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> str:
    """A withdrawal that was paid in parts of 1,000 and 500 tenge."""

    async def split(_tx: object, _site: int, _player: str, leg: LegPlan) -> list[LegPlan]:
        return [
            LegPlan("e_wallet", leg.account, Money(part, "KZT"), {"wallet": name}, f"*{name}", name, None)
            for part, name in ((100_000, "one"), (50_000, "two"))
        ]

    monkeypatch.setattr("app.payments.payouts.looped", split)
    await stage.policy(closed_loop=True)
    await stage.fund()
    found = await stage.withdraw()
    await stage.work()
    return str(found.payment_id)


async def test_of_one_part_only_that_part(stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    payout = await in_two_parts(stage, monkeypatch)
    first, _ = await stage.references(payout)
    bank.send_back(first)
    await tell(stage, first, "returned")
    figures = "SELECT sub_status, captured_minor, refunded_minor FROM payment"
    assert tuple((await stage.rows(figures))[0]) == ("completed", PAID, 100_000)
    await paid_after_all(stage, first)
    await resolve(stage, R.PAID, leg=1)
    assert tuple((await stage.rows(figures))[0]) == ("completed", PAID, 0)
    assert await stage.credited() == FUNDS - PAID
    assert await told(stage) == [(11, 4, PAID), (5, 4, 100_000), (11, 4, 100_000)]


async def test_what_answers_for_one_part_answers_for_no_other(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    payout = await in_two_parts(stage, monkeypatch)
    references = await stage.references(payout)
    for reference in references:
        bank.send_back(reference)
        await tell(stage, reference, "returned")
    for reference in references:
        stage.clock.advance(1)  # the case of the first part is the older one
        await paid_after_all(stage, reference)
    assert len(await cases(stage)) == 2
    await resolve(stage, R.PAID, leg=1)
    [other] = await cases(stage)
    assert (other.kind.value, other.about) == ("revived", bank.book[references[1]].theirs)
    assert await stage.state(payout) == ("completed", "paid_after_release")
    with pytest.raises(ResolutionImpossible, match="nobody has told that a part of it came back"):
        await resolve(stage, R.ACCEPTED, 50_000, leg=1)
    await resolve(stage, R.PAID, leg=2)
    assert (await stage.state(payout), await stage.credited()) == (("completed", None), FUNDS - PAID)
