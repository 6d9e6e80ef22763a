"""Attack: a thief tries out the numbers of cards by withdrawal forms that are sent at once."""

import asyncio
from typing import Any

import pytest

from app import providers
from app.payments.payouts import NEW_AT_MOST
from tests.cashier import withdrawing
from tests.cashier.withdrawing import Browser
from tests.payments import conftest
from tests.payments.stage import Bank, Stage

bank = conftest.bank
stage = conftest.stage
browser = withdrawing.browser
AT_ONCE = 18  # below the pace of one player


def card(number: int) -> str:
    """A number that passes Luhn's rule."""
    digits = f"411111000{number:06d}"
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::-2])
    return digits + str(-(doubled + sum(int(digit) for digit in digits[-2::-2])) % 10)


async def test_no_more_new_cards_a_day_however_fast_they_are_sent(
    browser: Browser, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The player is counted before the bank is asked, and written down after; the bank takes its time."""
    await stage.fund()
    at_once = Bank.tokenise

    async def tokenise(*asked: Any) -> providers.Tokenised | providers.ProviderError:
        await asyncio.sleep(0.3)
        return await at_once(*asked)

    monkeypatch.setattr(Bank, "tokenise", tokenise)

    async def tried(number: int) -> int:
        more = {"method": "card", "to_card_number": card(number), "form_token": f"form-{number}"}
        return (await browser.review(**more)).status_code

    assert await asyncio.gather(*map(tried, range(NEW_AT_MOST - 1))) == [200] * (NEW_AT_MOST - 1)
    stage.clock.advance(200)  # the player's bucket of forms is full again
    answers = await asyncio.gather(*(tried(NEW_AT_MOST + number) for number in range(AT_ONCE)))
    taken = await stage.rows("SELECT 1 FROM instrument WHERE method = 'card'")
    assert len(taken) <= NEW_AT_MOST, f"{len(taken)} cards of one player in a day: {sorted(answers)}"
