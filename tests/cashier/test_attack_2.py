"""Attack: cards that the bank declines count for nothing, so a thief tries out as many as he has."""

from typing import Any

import pytest

from app import providers
from app.payments.payouts import NEW_AT_MOST
from tests.cashier import withdrawing
from tests.cashier.test_attack_1 import card
from tests.cashier.withdrawing import Browser
from tests.payments import conftest
from tests.payments.stage import Bank, Stage

bank = conftest.bank
stage = conftest.stage
browser = withdrawing.browser
SECONDS = 5  # between two forms: the pace of one player in the long run


async def test_declined_cards_are_counted_too(
    browser: Browser, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.fund()
    tried: list[str] = []

    async def tokenise(*asked: Any) -> providers.ProviderError:
        tried.append(asked[-1].masked)
        return providers.ProviderError("14", "no such card")

    monkeypatch.setattr(Bank, "tokenise", tokenise)
    for number in range(3 * NEW_AT_MOST):
        stage.clock.advance(SECONDS)
        await browser.review(method="card", to_card_number=card(number), form_token=f"form-{number}")
    assert len(tried) <= NEW_AT_MOST, f"{len(tried)} numbers were asked about in {SECONDS * len(tried)} s"
