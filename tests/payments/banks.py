"""A site whose withdrawals go through two provider accounts, each at a bank of its own."""

from dataclasses import replace
from typing import Any

import pytest

from app import methods, providers
from app.kernel.money import Money
from app.payments.requests import LegPlan
from app.providers.gateways import GATEWAYS
from tests.payments.accounts import SECOND, order_out, tries
from tests.payments.stage import Bank, Stage
from tests.payments.world import ACCOUNT, HERE

PART = 100_000  # of a withdrawal in two parts, the first one


def another_bank(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """Another bank, whose payments are counted with the first one's."""
    made = Bank("second", moved=bank.moved, numbers=bank.numbers, no=HERE)
    bank.no = HERE
    monkeypatch.setitem(GATEWAYS, made.name, made)
    return made


async def through_both_banks(stage: Stage) -> None:
    """The site's order is main, then second; the player has money."""
    payout = methods.Direction.PAYOUT
    async with stage.database.transaction() as tx:
        await providers.seed_account(
            tx,
            stage.site_id,
            SECOND,
            gateway=SECOND,
            base_url="https://second.example.com",
            credentials={"secret": "s"},
        )
        for method in ("e_wallet", "card"):
            await methods.order_accounts(
                tx, stage.site_id, method, "KZT", [ACCOUNT, SECOND], direction=payout
            )
    await stage.fund()


async def in_two_parts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every withdrawal goes in two parts."""
    await in_parts(stage, monkeypatch, PART)


async def in_parts(stage: Stage, monkeypatch: pytest.MonkeyPatch, *sums: int) -> None:
    """Every withdrawal goes in parts of these sums, and one of the rest."""

    async def split(_tx: object, _site: int, _player: str, leg: LegPlan) -> list[LegPlan]:
        return [
            replace(
                leg,
                amount=Money(part, "KZT"),
                destination={"wallet": name},
                masked=f"*{name}",
                fingerprint=name,
                instrument_id=None,
            )
            for part, name in zip(
                (*sums, leg.amount.minor - sum(sums)), ("one", "two", "three"), strict=False
            )
        ]

    monkeypatch.setattr("app.payments.payouts.looped", split)
    await stage.policy(closed_loop=True)


async def parts(stage: Stage) -> list[Any]:
    return await stage.rows("SELECT * FROM payout_leg ORDER BY leg")


async def sent(stage: Stage, **wish: Any) -> Any:  # noqa: ANN401  a row
    found = await stage.withdraw(**wish)
    await stage.work()
    return await stage.row(found.payment_id)


async def sent_in_two_parts(
    stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch, *manners: str
) -> list[Any]:
    """A withdrawal in two parts whose only bank has such manners; the tries by then."""
    await in_two_parts(stage, monkeypatch)
    await order_out(stage, ACCOUNT)
    bank.manners = list(manners)
    await sent(stage)
    return await tries(stage)


async def told(stage: Stage, bank: Bank, reference: str, state: str, account: str = ACCOUNT) -> None:
    """A notice of the bank, and what follows from it."""
    await stage.store_notice(bank.fact(reference, state), account=account, mark=str(next(stage.keys)))
    await stage.work()
