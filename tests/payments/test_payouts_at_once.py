"""Many hands on one player's money: exactly one withdrawal of all of it, and never a debt made by a race."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from app import ledger, payments, players
from app.payments.payouts import TooManyOpenPayouts
from app.plumbing.database import DatabaseDown, is_busy
from tests.payments.stage import FUNDS, Bank, Stage


async def insisting(stage: Stage, session: players.Session, minor: int, key: str) -> Any:  # noqa: ANN401  a row
    """As a client does: what could not be taken now is sent again, with the same form."""
    while True:
        try:
            return await stage.withdraw(minor, session, key=key)
        except (DatabaseDown, DBAPIError) as error:
            if not is_busy(error):
                raise
        await asyncio.sleep(0.1)


async def test_a_hundred_withdrawals_of_everything_at_once(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    session = await stage.session()
    asking = (insisting(stage, session, FUNDS, f"form-{number}") for number in range(100))
    ends = await asyncio.gather(*asking, return_exceptions=True)
    refused = [end for end in ends if isinstance(end, BaseException)]
    assert len(refused) == 99
    assert {type(end) for end in refused} == {ledger.InsufficientFunds}
    assert (await stage.credited(), await stage.held()) == (0, FUNDS)
    await stage.work()
    for _ in range(3):
        # A hundred at once can keep this one process from hearing the merchant in time: it asks again.
        if not bank.moved:
            await stage.later(timedelta(minutes=31))
    assert len(bank.moved) == 1
    assert len({fields["transaction_id"] for fields in stage.merchant.asked}) == 1


async def test_a_hundred_forms_of_one_wish_at_once(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    session = await stage.session()
    done = await asyncio.gather(*(insisting(stage, session, FUNDS, "form") for _ in range(50)))
    assert len({row.payment_id for row in done}) == 1
    await stage.work()
    assert len(bank.moved) == 1


async def test_parts_at_once_never_sum_to_more_than_there_is(stage: Stage, bank: Bank) -> None:
    await stage.fund()
    session = await stage.session()
    part = FUNDS // 4 + 1  # three fit
    asking = (insisting(stage, session, part, f"form-{number}") for number in range(20))
    ends = await asyncio.gather(*asking, return_exceptions=True)
    refused = {type(end) for end in ends if isinstance(end, BaseException)}
    assert refused == {ledger.InsufficientFunds}
    assert await stage.held() == 3 * part
    await stage.work()
    assert len(bank.moved) == 3


async def test_ten_open_are_enough_also_at_once(stage: Stage) -> None:
    await stage.fund()
    session = await stage.session()
    asking = (insisting(stage, session, 1_000, f"form-{number}") for number in range(30))
    ends = await asyncio.gather(*asking, return_exceptions=True)
    refused = [end for end in ends if isinstance(end, BaseException)]
    assert {type(end) for end in refused} == {TooManyOpenPayouts}
    assert len(refused) == 20
    await stage.work()


@pytest.mark.parametrize("turn", range(3))
async def test_everything_at_once_about_one_withdrawal(stage: Stage, bank: Bank, turn: int) -> None:
    """Cancelled, initiated, sent, told and swept in the same moment: it is paid once, or not at all."""
    await stage.policy(needs_initiation=True)
    await stage.fund()
    session = await stage.session()
    found = await stage.withdraw(session=session)
    deeds: list[Awaitable[Any]] = [
        payments.cancel(stage.pipes, stage.site_id, found.payment_id, session.player.player_id),
        *(stage.initiate(found) for _ in range(3)),
        *(payments.carry_on(stage.pipes, stage.site_id, found.payment_id) for _ in range(3)),
        payments.sweep_due(stage.pipes),
    ]
    await asyncio.gather(*deeds[turn * 2 :], *deeds[: turn * 2], return_exceptions=True)
    await stage.work()
    await stage.later(60)
    state, attention = await stage.state(found.payment_id)
    assert attention is None
    assert state in {"by_player", "completed"}
    assert len(bank.moved) == (state == "completed")
    assert await stage.held() == 0
