"""How many card numbers the bank is asked about for one player in a day: at once, and whatever it says."""

import asyncio

import pytest

from app import providers
from app.payments.trials import NEW_AT_MOST
from tests.cashier import withdrawing
from tests.cashier.withdrawing import Browser, errors_of
from tests.payments import conftest
from tests.payments.stage import Bank, Stage

bank = conftest.bank
stage = conftest.stage
browser = withdrawing.browser
AT_ONCE = 18  # below the pace of one player
SECONDS = 5  # between two forms: the pace of one player in the long run
DAY = 24 * 3600


def card(number: int) -> str:
    """A number that passes Luhn's rule."""
    digits = f"411111000{number:06d}"
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::-2])
    return digits + str(-(doubled + sum(int(digit) for digit in digits[-2::-2])) % 10)


async def tried(browser: Browser, number: int) -> int:
    more = {"method": "card", "to_card_number": card(number), "form_token": f"form-{number}"}
    return (await browser.review(**more)).status_code


async def test_no_more_new_cards_a_day_however_fast_they_are_sent(
    browser: Browser, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.fund()
    at_once = Bank.tokenise

    async def tokenise(*asked: object) -> providers.Tokenised | providers.ProviderError:
        await asyncio.sleep(0.3)  # the bank takes its time
        return await at_once(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(Bank, "tokenise", tokenise)
    first = await asyncio.gather(*(tried(browser, number) for number in range(NEW_AT_MOST - 1)))
    assert first == [200] * (NEW_AT_MOST - 1)
    stage.clock.advance(200)  # the player's bucket of forms is full again
    more = await asyncio.gather(*(tried(browser, NEW_AT_MOST + number) for number in range(AT_ONCE)))
    assert sorted(more) == [200] + [422] * (AT_ONCE - 1)
    assert len(await stage.rows("SELECT 1 FROM instrument WHERE method = 'card'")) == NEW_AT_MOST


async def test_declined_cards_are_counted_too_for_a_day(
    browser: Browser, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.fund()
    asked: list[object] = []

    async def tokenise(*what: object) -> providers.ProviderError:
        asked.append(what[-1])
        return providers.ProviderError("14", "no such card")

    monkeypatch.setattr(Bank, "tokenise", tokenise)
    for number in range(NEW_AT_MOST + 3):
        stage.clock.advance(SECONDS)
        assert await tried(browser, number) == 422
    assert len(asked) == NEW_AT_MOST
    page = await browser.review(method="card", to_card_number=card(0))
    said = "You have entered too many new details today. Choose the ones that you used before."
    assert errors_of(page) == {"form": said}
    stage.clock.advance(DAY)
    browser.key = await withdrawing.key_of(stage)
    assert await tried(browser, 0) == 422
    assert len(asked) == NEW_AT_MOST + 1
    assert (
        len(await stage.rows("SELECT 1 FROM instrument_trial")) < NEW_AT_MOST
    )  # those of yesterday are gone
