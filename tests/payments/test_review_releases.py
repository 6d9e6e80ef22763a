"""What a release before has told is not told again by the next."""

from dataclasses import replace
from typing import Any

import pytest

from app.payments import steps
from tests.payments.accounts import cases, decided
from tests.payments.banks import sent
from tests.payments.casework import R
from tests.payments.stage import Bank, Stage


def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events as the release before wrote them: it kept no attempt beside the reason for attention."""
    event_of = steps._event_of

    def without(was: Any, values: Any, step: Any, cause: Any, at: Any) -> dict[str, object]:  # noqa: ANN401
        return event_of(was, values, step, replace(cause, attempt_id=None), at)

    monkeypatch.setattr(steps, "_event_of", without)


async def test_a_case_that_was_noted_before_is_not_opened_again(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was noted; the provider says the same after the upgrade as before."""
    await stage.fund()
    bank.manners = ["accepts"]
    await sent(stage)
    bank.book.clear()
    with monkeypatch.context() as patched:
        as_before(patched)
        await stage.later(3_600)
    assert await cases(stage) == ["order_vanished"]
    await decided(stage, R.NOTED)
    await stage.later(7_200)
    assert await cases(stage) == []
