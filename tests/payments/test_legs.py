"""A withdrawal in two legs: each has its own fate, and the withdrawal's follows from both."""

from datetime import timedelta
from typing import Any

import pytest

from app import payments, providers, staff
from app.kernel import ids
from app.kernel.money import Money
from app.payments.requests import LegPlan
from tests.payments.stage import FUNDS, Bank, Stage

FIRST, SECOND = 100_000, 50_000


@pytest.fixture(autouse=True)
async def two_legs(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked for goes in two parts to two wallets."""

    async def split(_tx: object, _site: int, _player: str, leg: LegPlan) -> list[LegPlan]:
        return [
            LegPlan("e_wallet", leg.account, Money(part, "KZT"), {"wallet": name}, f"*{name}", name, None)
            for part, name in ((FIRST, "one"), (leg.amount.minor - FIRST, "two"))
        ]

    monkeypatch.setattr("app.payments.payouts.looped", split)
    await stage.policy(closed_loop=True)
    await stage.fund()


async def sent(stage: Stage, *manners: str) -> Any:  # noqa: ANN401  a row
    stage.bank.manners = list(manners)
    found = await stage.withdraw()
    await stage.work()
    return await stage.row(found.payment_id)


async def states(stage: Stage, payment_id: str) -> list[str]:
    rows = await stage.rows("SELECT state FROM payout_leg WHERE payment_id = :id ORDER BY leg", id=payment_id)
    return [row.state for row in rows]


async def settled(stage: Stage) -> None:
    for _ in range(5):
        await stage.later(timedelta(hours=3))


async def ended(
    stage: Stage,
    payment_id: str,
    resolution: payments.Resolution,
    *,
    leg: int,
    amount: Money | None = None,
) -> None:
    """Two people look at the oldest case of a withdrawal and end it."""
    maker, checker = await stage.operator(f"maker{leg}"), await stage.operator(f"checker{leg}")
    async with stage.database.reading() as reader:
        about = [one for one in await payments.cases_of_site(reader, stage.site_id) if one.payment_id]
    assert {one.payment_id for one in about} == {payment_id}
    proposal = payments.Proposal(resolution, "the bank's letter", "ab" * 32, amount, leg=leg)
    case_id = about[0].case_id
    await payments.propose_resolution(stage.pipes, stage.site_id, case_id, maker, proposal)
    await payments.decide_case(stage.pipes, stage.site_id, case_id, checker, staff.Verdict.APPROVE)


ENDS = [
    (("pays", "pays"), "completed", FIRST + SECOND, 4),
    (("pays", "declines"), "completed", FIRST, 24),
    (("declines", "pays"), "completed", SECOND, 24),
    (("declines", "declines"), "declined", 0, 6),
    (("pays silently", "pays"), "completed", FIRST + SECOND, 4),
    (("pays", "pays silently"), "completed", FIRST + SECOND, 4),
    (("loses the order", "pays", "pays"), "completed", FIRST + SECOND, 4),
    (("pays", "loses the order", "pays"), "completed", FIRST + SECOND, 4),
    (("never hears", "pays", "pays"), "completed", FIRST + SECOND, 4),
    (("pays", "never hears", "pays"), "completed", FIRST + SECOND, 4),
    (("never hears", "never hears", "pays", "pays"), "completed", FIRST + SECOND, 4),
    (("never hears", "declines", "pays"), "completed", FIRST, 24),
    (("declines", "never hears", "declines"), "declined", 0, 6),
    (("pays and says it never heard", "pays"), "completed", FIRST + SECOND, 4),
]


@pytest.mark.parametrize(("manners", "end", "paid", "told"), ENDS)
async def test_how_it_ends(
    stage: Stage, bank: Bank, manners: tuple[str, ...], end: str, paid: int, told: int
) -> None:
    found = await sent(stage, *manners)
    await settled(stage)
    done = await stage.row(found.payment_id)
    assert (done.sub_status, done.captured_minor, done.attention) == (end, paid, None)
    assert (await stage.credited(), await stage.held()) == (FUNDS - paid, 0)
    assert sum(amount.minor for _, amount in bank.moved) == paid
    assert (await stage.told())[-1] == told
    [*_, webhook] = await stage.rows("SELECT fields FROM webhook ORDER BY sequence")
    assert webhook.fields["amount"] == FIRST + SECOND
    assert webhook.fields["real_amount"] == (paid or FIRST + SECOND)


async def test_one_paid_and_one_open_is_partly_paid(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "pays", "accepts")
    await stage.later(60)
    assert await stage.state(found.payment_id) == ("partly_paid", None)
    assert (await stage.held(), await stage.told()) == (SECOND, [])
    *_, open_one = await stage.references(found.payment_id)
    bank.pay(bank.book[open_one])
    await stage.store_notice(bank.fact(open_one))
    await stage.work()
    assert await stage.state(found.payment_id) == ("completed", None)


async def test_a_leg_that_never_left_does_not_wait_for_the_other(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "never hears", "accepts", "pays")
    assert await states(stage, found.payment_id) == ["planned", "provider_pending"]
    await stage.later(60)
    assert (await states(stage, found.payment_id))[0] == "completed"
    assert (await stage.state(found.payment_id))[0] == "partly_paid"
    assert len(await stage.references(found.payment_id)) == 3
    assert len({order.reference for order in bank.payouts}) == 3
    *_, accepted, _ = bank.payouts
    bank.pay(bank.book[accepted.reference])
    await settled(stage)


async def test_a_conflict_of_one_leg_holds_the_other_back(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "never hears", "pays another amount", "pays")
    await settled(stage)
    assert await stage.state(found.payment_id) == ("conflicted", "amount_differs")
    assert await states(stage, found.payment_id) == ["planned", "conflicted"]
    assert await stage.held() == FIRST + SECOND
    assert len(bank.payouts) == 2
    # Two people end it: what waited is sent.
    bank.send_back(bank.payouts[1].reference)
    await ended(stage, found.payment_id, payments.Resolution.NOT_PAID, leg=2)
    assert await states(stage, found.payment_id) == ["planned", "declined"]
    assert (await stage.state(found.payment_id))[0] == "allocated"
    await stage.work()
    assert await states(stage, found.payment_id) == ["completed", "declined"]
    assert await stage.state(found.payment_id) == ("completed", None)
    assert (await stage.credited(), await stage.held()) == (FUNDS - FIRST, 0)


async def test_of_two_conflicts_one_ends_and_then_the_other(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "pays another amount")
    await settled(stage)
    assert await states(stage, found.payment_id) == ["conflicted", "conflicted"]
    for order in bank.payouts:
        bank.send_back(order.reference)
    bank.moved.clear()
    for leg, resolution, end in (
        (1, payments.Resolution.PAID, "conflicted"),
        (2, payments.Resolution.NOT_PAID, "completed"),
    ):
        await ended(stage, found.payment_id, resolution, leg=leg)
        assert (await stage.state(found.payment_id))[0] == end
    assert (await stage.credited(), await stage.held()) == (FUNDS - FIRST, 0)
    bank.moved.append((bank.payouts[0].reference, Money(FIRST, "KZT")))


async def test_a_leg_that_failed_and_was_paid_changes_the_sum_and_is_told(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "pays", "declines and pays")
    await stage.later(60)
    assert (await stage.state(found.payment_id))[0] == "completed"
    _, lie = await stage.references(found.payment_id)
    await stage.store_notice(bank.fact(lie))
    await stage.work()
    done = await stage.row(found.payment_id)
    assert (done.sub_status, done.attention, done.captured_minor) == (
        "completed",
        "paid_after_release",
        FIRST + SECOND,
    )
    assert await stage.told() == [24, 4]
    assert await stage.credited() == FUNDS - FIRST - SECOND


async def test_one_leg_comes_back_and_then_the_other(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "pays", "pays")
    await stage.later(60)
    for number, (reference, state) in enumerate(
        zip(await stage.references(found.payment_id), ("completed", "returned"), strict=True), 1
    ):
        bank.send_back(reference)
        await stage.store_notice(bank.fact(reference, "returned"))
        await stage.work()
        assert await stage.state(found.payment_id) == (state, None)
        assert len(await stage.told()) == 1 + number
    assert await stage.credited() == FUNDS
    told = await stage.rows("SELECT fields, payment_id FROM webhook ORDER BY fields->'transaction_id'")
    back = [row.fields for row in told][1:]
    # None of them is of the same subject as another: a later one must not overtake what was never heard.
    assert len({row.payment_id for row in told}) == len(told) == 3
    assert [(one["type_id"], one["status_id"], one["amount"]) for one in back] == [
        (5, 4, FIRST),
        (5, 4, SECOND),
    ]
    assert len({one["transaction_id"] for one in back}) == 2


async def test_taken_back_by_staff_when_neither_left(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "never hears", "never hears")
    assert found.sub_status == "allocated"
    anna = await stage.operator("anna")
    await payments.cancel_for_staff(stage.pipes, stage.site_id, found.payment_id, anna, reason="asked for")
    assert (await stage.credited(), await stage.held()) == (FUNDS, 0)
    await settled(stage)
    assert len(bank.payouts) == 2


async def test_another_amount_under_a_number_that_is_taken_calls_a_person(stage: Stage, bank: Bank) -> None:
    await sent(stage, "pays", "pays")
    bank.numbers = iter([2, 3])
    found = await sent(stage, "pays another amount", "pays")
    await settled(stage)
    assert await states(stage, found.payment_id) == ["conflicted", "completed"]
    assert await stage.state(found.payment_id) == ("conflicted", "reference_reused")
    rows = await stage.rows(
        "SELECT provider_reference AS theirs FROM payout_leg WHERE payment_id = :id ORDER BY leg",
        id=found.payment_id,
    )
    assert [row.theirs for row in rows] == [None, "bank-3"]


async def test_no_number_is_nobodys(stage: Stage, bank: Bank) -> None:
    """Two parts of which nobody knows: the proof for one has no number, and the other has none either."""
    bank.words = ["nothing"]
    found = await sent(stage, "pays silently")
    by = await stage.operator("raiser")
    await payments.raise_case(stage.pipes, stage.site_id, found.payment_id, by, reason="for two weeks")
    await ended(stage, found.payment_id, payments.Resolution.PAID, leg=1)
    assert await states(stage, found.payment_id) == ["completed", "unknown"]
    bank.words = ["truth"]
    await settled(stage)
    assert await states(stage, found.payment_id) == ["completed", "completed"]


async def test_each_account_numbers_its_own_payments(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of a withdrawal names one account and one number, which may be of two different parts."""
    async with stage.database.transaction() as tx:
        await providers.seed_account(
            tx,
            stage.site_id,
            "other",
            gateway=bank.name,
            base_url="https://pay.example.com",
            credentials={"secret": ids.secret()},
        )

    async def split(_tx: object, _site: int, _player: str, leg: LegPlan) -> list[LegPlan]:
        parts = ((FIRST, "one", leg.account), (leg.amount.minor - FIRST, "two", "other"))
        return [
            LegPlan("e_wallet", account, Money(part, "KZT"), {"wallet": name}, f"*{name}", name, None)
            for part, name, account in parts
        ]

    first = await sent(stage, "pays", "pays")
    assert (await stage.row(first.payment_id)).provider_reference == "bank-2"
    monkeypatch.setattr("app.payments.payouts.looped", split)
    bank.numbers = iter([50, 2])
    found = await sent(stage, "pays", "pays")
    assert await states(stage, found.payment_id) == ["completed", "completed"]
    assert await stage.state(found.payment_id) == ("completed", None)
    assert (await stage.credited(), await stage.held()) == (FUNDS - 2 * (FIRST + SECOND), 0)


async def test_another_sum_of_one_part_is_accepted_beside_the_other(stage: Stage) -> None:
    found = await sent(stage, "pays another amount", "pays")
    assert (found.sub_status, await states(stage, found.payment_id)) == (
        "conflicted",
        ["conflicted", "completed"],
    )
    accepted = payments.Resolution.ACCEPTED
    await ended(stage, found.payment_id, accepted, leg=1, amount=Money(FIRST - 1, "KZT"))
    done = await stage.row(found.payment_id)
    assert (done.sub_status, done.captured_minor, done.attention) == ("completed", FIRST + SECOND - 1, None)
    assert (await stage.held(), await stage.credited()) == (0, FUNDS - FIRST - SECOND + 1)
    [reference, _] = await stage.references(found.payment_id)
    stage.bank.send_back(reference)
    await stage.notice(stage.bank.fact(reference, "returned"))
    done = await stage.row(found.payment_id)
    assert (done.sub_status, done.refunded_minor) == ("completed", FIRST - 1)
    assert await stage.credited() == FUNDS - SECOND


@pytest.mark.parametrize(
    ("resolution", "beside"),
    [
        (payments.Resolution.ACCEPTED, SECOND - 10_000),
        (payments.Resolution.PAID, SECOND),
        (payments.Resolution.NOT_PAID, 0),
    ],
)
async def test_a_part_paid_with_another_sum_after_the_end_is_peoples(
    stage: Stage, bank: Bank, resolution: payments.Resolution, beside: int
) -> None:
    found = await sent(stage, "pays", "declines")
    await settled(stage)
    *_, failed = await stage.references(found.payment_id)
    order = bank.book[failed]
    order.state, order.amount = providers.State.SUCCEEDED, Money(SECOND - 10_000, "KZT")
    await stage.store_notice(bank.fact(failed))
    await stage.work()
    assert await stage.state(found.payment_id) == ("completed", "amount_differs")
    assert await states(stage, found.payment_id) == ["completed", "conflicted"]
    assert await stage.credited() == FUNDS - FIRST
    if beside:
        bank.moved.append((failed, Money(beside, "KZT")))  # what people find out
    await stage.store_notice(bank.fact(failed), mark="again")
    await stage.work()
    amount = order.amount if resolution is payments.Resolution.ACCEPTED else None
    await ended(stage, found.payment_id, resolution, leg=2, amount=amount)
    paid = FIRST + beside
    done = await stage.row(found.payment_id)
    assert (done.sub_status, done.captured_minor, done.attention) == ("completed", paid, None)
    assert (await stage.credited(), await stage.held()) == (FUNDS - paid, 0)
    told = await stage.rows("SELECT fields FROM webhook ORDER BY sequence")
    assert [row.fields["real_amount"] for row in told] == ([FIRST, paid] if beside else [FIRST])


async def test_while_a_part_is_in_conflict_another_does_not_come_alive_in_silence(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def split(_tx: object, _site: int, _player: str, leg: LegPlan) -> list[LegPlan]:
        parts = {"one": FIRST, "two": SECOND - 20_000, "three": 20_000}
        return [
            LegPlan("e_wallet", leg.account, Money(part, "KZT"), {"wallet": name}, f"*{name}", name, None)
            for name, part in parts.items()
        ]

    monkeypatch.setattr("app.payments.payouts.looped", split)
    found = await sent(stage, "pays", "declines", "declines")
    await settled(stage)
    _, two, three = await stage.references(found.payment_id)
    bank.book[two].state, bank.book[two].amount = providers.State.SUCCEEDED, Money(1_000, "KZT")
    bank.moved.append((two, Money(1_000, "KZT")))
    await stage.store_notice(bank.fact(two))
    await stage.work()
    bank.book[three].state = providers.State.PROCESSING
    await stage.store_notice(bank.fact(three, "processing"))
    await stage.work()
    # Nothing of it is held again while nobody would ask; people are called.
    assert await states(stage, found.payment_id) == ["completed", "conflicted", "declined"]
    assert (await stage.credited(), await stage.held()) == (FUNDS - FIRST, 0)
    async with stage.database.reading() as reader:
        cases = await payments.cases_of_site(reader, stage.site_id)
    assert sorted(one.kind.value for one in cases) == ["amount_differs", "illegal_change"]
    differs = next(one for one in cases if one.kind.value == "amount_differs")
    maker, checker = await stage.operator("maker"), await stage.operator("checker")
    accepted = payments.Proposal(
        payments.Resolution.ACCEPTED, "letter", "ab" * 32, Money(1_000, "KZT"), leg=2
    )
    await payments.propose_resolution(stage.pipes, stage.site_id, differs.case_id, maker, accepted)
    await payments.decide_case(stage.pipes, stage.site_id, differs.case_id, checker, staff.Verdict.APPROVE)
    done = await stage.row(found.payment_id)
    assert (done.sub_status, done.captured_minor) == ("completed", FIRST + 1_000)


async def test_what_ends_without_money_is_no_second_completion(stage: Stage, bank: Bank) -> None:
    found = await sent(stage, "pays", "declines")
    await settled(stage)
    *_, failed = await stage.references(found.payment_id)
    bank.book[failed].state = providers.State.SUCCEEDED
    bank.book[failed].amount = Money(SECOND - 10_000, "KZT")
    await stage.store_notice(bank.fact(failed))
    await stage.work()
    await ended(stage, found.payment_id, payments.Resolution.NOT_PAID, leg=2)
    rows = await stage.rows("SELECT type FROM payment_event ORDER BY sequence")
    assert [row.type for row in rows].count("withdrawal.completed") == 1


async def test_what_was_paid_comes_back_and_the_rest_is_declined(stage: Stage, bank: Bank) -> None:
    """Nothing of it has gone, so all of it is the player's again."""
    found = await sent(stage, "pays", "accepts")
    paid, open_one = await stage.references(found.payment_id)
    bank.send_back(paid)
    await stage.store_notice(bank.fact(paid, "returned"))
    await stage.work()
    assert (await stage.state(found.payment_id))[0] == "partly_paid"
    bank.book[open_one].state = providers.State.FAILED
    await stage.store_notice(bank.fact(open_one, "failed"))
    await stage.work()
    assert await stage.state(found.payment_id) == ("returned", None)
    assert await states(stage, found.payment_id) == ["returned", "declined"]
    assert (await stage.held(), await stage.credited()) == (0, FUNDS)
    # For the merchant: so much went, and so much came back.
    rows = await stage.rows("SELECT fields FROM webhook ORDER BY (fields->>'type_id')::int DESC, sequence")
    told = [tuple(row.fields[name] for name in ("type_id", "status_id", "real_amount")) for row in rows]
    assert told == [(11, 24, FIRST), (5, 4, FIRST)]
