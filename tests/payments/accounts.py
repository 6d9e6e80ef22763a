"""A site whose deposits go through several provider accounts, each at a provider of its own."""

from typing import Any

import pytest
from sqlalchemy import text

from app import methods, payments, providers
from app.providers.gateways import GATEWAYS
from tests.payments.world import ACCOUNT, REFUSED, Provider, World, paid

SECOND, THIRD = "second", "third"


def listed(monkeypatch: pytest.MonkeyPatch, name: str) -> Provider:
    """Another provider among the gateways, which has collected whenever it is asked."""
    told = Provider(name, answers=[paid(f"{name}-1")], statuses=[paid(f"{name}-1")])
    monkeypatch.setitem(GATEWAYS, told.name, told)
    return told


async def through_both_accounts(world: World) -> None:
    """The site's order is main, then second; the third account is there."""
    async with world.database.transaction() as tx:
        for name in (SECOND, THIRD):
            await providers.open_account(
                tx,
                world.site_id,
                name,
                gateway=name,
                base_url=f"https://{name}.example.com",
                credentials={"secret": "s"},
            )
    await order(world, ACCOUNT, SECOND)


async def order(world: World, *accounts: str) -> None:
    async with world.database.transaction() as tx:
        await methods.order_accounts(tx, world.site_id, "card", "KZT", accounts)


async def tries(world: World) -> list[Any]:
    return await world.rows("SELECT * FROM attempt ORDER BY number")


async def why(world: World) -> list[str]:
    """Why each attempt was made, or none was made."""
    rows = await world.rows("SELECT detail FROM payment_event ORDER BY sequence")
    return [
        str(row.detail.get("next_account") or row.detail["why_last"])
        for row in rows
        if "next_account" in row.detail or "why_last" in row.detail
    ]


async def asked(world: World) -> None:
    found = await world.payment()
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)


async def cases(world: World) -> list[str]:
    async with world.database.reading() as reader:
        return [one.kind.value for one in await payments.cases_of_site(reader, world.site_id)]


async def switch_off(world: World, name: str) -> None:
    async with world.database.transaction() as tx:
        await tx.execute(
            text("UPDATE provider_account SET enabled = false WHERE account = :name"), {"name": name}
        )


async def left_waiting(world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.answers = provider.statuses = [REFUSED]

    async def nothing(*_: object) -> None:
        return

    with monkeypatch.context() as patched:
        patched.setattr("app.payments.deposit_sending._send_on", nothing)
        await world.ask()
