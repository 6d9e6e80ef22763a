"""A site whose deposits go through several provider accounts, each at a provider of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from app import methods, payments, providers, staff
from app.providers.gateways import GATEWAYS
from tests.payments.world import ACCOUNT, REFUSED, Provider, World, paid

SECOND, THIRD = "second", "third"
ELSEWHERE = "https://new.example.org"
ADDRESS, NUMBER = providers.AccountChange(base_url=ELSEWHERE), providers.AccountChange(merchant_id="m-2")


def listed(monkeypatch: pytest.MonkeyPatch, name: str) -> Provider:
    """Another provider among the gateways, which has collected whenever it is asked."""
    told = Provider(name, answers=[paid(f"{name}-1")], statuses=[paid(f"{name}-1")])
    monkeypatch.setitem(GATEWAYS, told.name, told)
    return told


async def with_accounts(world: World, *names: str) -> None:
    """Open accounts of the site, each at the gateway of its name."""
    async with world.database.transaction() as tx:
        for name in names:
            await providers.seed_account(
                tx,
                world.site_id,
                name,
                gateway=name,
                base_url=f"https://{name}.example.com",
                credentials={"secret": "s"},
            )


async def through_both_accounts(world: World) -> None:
    """The site's order is main, then second; the third account is there."""
    await with_accounts(world, SECOND, THIRD)
    await order(world, ACCOUNT, SECOND)


async def order(world: World, *accounts: str) -> None:
    async with world.database.transaction() as tx:
        await methods.order_accounts(tx, world.site_id, "card", "KZT", accounts)


async def order_out(world: World, *accounts: str, method: str = "e_wallet") -> None:
    out = methods.Direction.PAYOUT
    async with world.database.transaction() as tx:
        await methods.order_accounts(tx, world.site_id, method, "KZT", accounts, direction=out)


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


async def switch_off(world: World, name: str, *, enabled: bool = False) -> None:
    async with world.database.transaction() as tx:
        await tx.execute(
            text("UPDATE provider_account SET enabled = :enabled WHERE account = :name"),
            {"name": name, "enabled": enabled},
        )


async def switch_on(world: World, name: str) -> None:
    await switch_off(world, name, enabled=True)


@asynccontextmanager
async def moving(
    world: World,
    name: str = ACCOUNT,
    *,
    change: providers.AccountChange = ADDRESS,
    with_orders: bool = False,
) -> AsyncIterator[None]:
    """Move an account, to `ELSEWHERE` where nothing else is said; it has moved when the block ends."""
    async with world.database.transaction() as tx:
        await payments.move_account(
            tx,
            world.site_id,
            name,
            change,
            with_orders=with_orders,
            by="machine:test",
            at=world.clock.now(),
            allowed_private_peers=frozenset(),
        )
        yield


async def moved(
    world: World,
    name: str = ACCOUNT,
    *,
    change: providers.AccountChange = ADDRESS,
    with_orders: bool = False,
) -> None:
    """Move an account, as `moving` does, and be done."""
    async with moving(world, name, change=change, with_orders=with_orders):
        pass


async def left_waiting(world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.answers = provider.statuses = [REFUSED]

    async def nothing(*_: object) -> None:
        return

    with monkeypatch.context() as patched:
        patched.setattr("app.payments.deposit_sending._send_on", nothing)
        await world.ask()


async def raised(world: World) -> payments.Case:
    """A case that somebody raises about the payment."""
    found, [by] = await world.payment(), await people(world, 1)
    return await payments.raise_case(world.pipes, world.site_id, found.payment_id, by, reason="a letter")


async def decided(
    world: World,
    resolution: payments.Resolution,
    *,
    its: payments.Case | None = None,
    **more: Any,  # noqa: ANN401  fields of a proposal
) -> None:
    """Let two people decide a case: the newest that is open, where none is named."""
    maker, checker = await people(world, 2)
    if its is None:
        async with world.database.reading() as reader:
            its = (await payments.cases_of_site(reader, world.site_id))[-1]
    proposal = payments.Proposal(resolution, "the statement", "ab" * 32, **more)
    await payments.propose_resolution(world.pipes, world.site_id, its.case_id, maker, proposal)
    await payments.decide_case(world.pipes, world.site_id, its.case_id, checker, staff.Verdict.APPROVE)


async def people(world: World, count: int) -> list[staff.Operator]:
    made = []
    async with world.database.transaction() as tx:
        before = len(await staff.operators_of(tx))
        for number in range(before, before + count):
            new = staff.NewOperator(f"person{number}", "A Person", frozenset({staff.Role.FINANCE}))
            made.append((await staff.create_operator(tx, new, at=world.clock.now()))[0])
    return made
