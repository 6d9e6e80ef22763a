"""What of a withdrawal stays paid, where it has parts, and where the merchant keeps the balance."""

import pytest

from app.kernel.money import Money
from app.payments.resolutions import ResolutionImpossible
from tests.payments.accounts import cases, decided
from tests.payments.banks import parts, sent, sent_in_two_parts, told
from tests.payments.casework import R
from tests.payments.desk import kzt
from tests.payments.stage import FUNDS, Bank, Stage
from tests.payments.test_not_all_back import DAY, back_short
from tests.payments.test_seamless_payouts import payable, seamless
from tests.payments.world import AMOUNT

__all__ = ["seamless"]  # pytest finds the fixture here

FEE = 5_000


async def test_of_one_part_the_other_stays_as_it_is(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.fund()
    first, _ = await sent_in_two_parts(stage, bank, monkeypatch, "pays")
    before, other = await parts(stage)
    assert (before.state, other.state) == ("completed", "completed")
    stage.clock.advance(DAY)
    back_short(stage, bank, first.attempt_id, before.captured_minor - FEE)
    await told(stage, bank, first.attempt_id, "returned")
    assert await cases(stage) == ["amount_differs"]
    with pytest.raises(ResolutionImpossible):
        await decided(stage, R.ACCEPTED, amount=Money(before.captured_minor, "KZT"), leg=1)


async def test_of_one_part_the_rest_is_the_players_again(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.fund()
    first, _ = await sent_in_two_parts(stage, bank, monkeypatch, "pays")
    before, other = await parts(stage)
    stage.clock.advance(DAY)
    came_back = before.captured_minor - FEE
    back_short(stage, bank, first.attempt_id, came_back)
    await told(stage, bank, first.attempt_id, "returned")
    await decided(stage, R.ACCEPTED, amount=kzt(FEE))
    row, now = await stage.payment(), await parts(stage)
    assert [part.captured_minor for part in now] == [FEE, other.captured_minor]
    assert [part.state for part in now] == ["completed", "completed"]
    assert (row.sub_status, row.captured_minor, row.refunded_minor) == (
        "completed",
        AMOUNT.minor,
        came_back,
    )
    assert await stage.credited() == FUNDS - AMOUNT.minor + came_back


async def test_where_the_merchant_keeps_the_balance_it_is_the_merchants(seamless: Stage, bank: Bank) -> None:
    found = await sent(seamless)
    [reference] = await seamless.references(found.payment_id)
    seamless.clock.advance(DAY)
    back_short(seamless, bank, reference, AMOUNT.minor - FEE)
    await told(seamless, bank, reference, "returned")
    assert await payable(seamless) == -AMOUNT.minor
    await decided(seamless, R.ACCEPTED, amount=kzt(FEE))
    assert await payable(seamless) == -FEE
