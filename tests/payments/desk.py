"""A site whose player has paid in, people at its desk, and what the ledger and the figures say afterwards."""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from app import payments, providers, staff
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.payments.asking import carry_on
from app.plumbing.database import Database
from tests import invariants
from tests.payments.questions import agree
from tests.payments.world import Provider, World, fact, opened

FULL = providers.Cap.DEPOSIT | providers.Cap.STATUS | providers.Cap.CANCEL | providers.Cap.REFUND


def kzt(minor: int) -> Money:
    return Money(minor, "KZT")


@dataclass
class Desk:
    """A world with a desk."""

    world: World
    maker: staff.Operator
    checker: staff.Operator
    second: staff.Operator
    support: staff.Operator
    keys: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def pipes(self) -> Any:  # noqa: ANN401  shorter calls
        return self.world.pipes

    @property
    def site_id(self) -> int:
        return self.world.site_id

    @property
    def provider(self) -> Provider:
        return self.world.provider

    async def deposit(self, theirs: str = "theirs-1", **more: Any) -> str:  # noqa: ANN401
        """A completed deposit of 1,500 tenge; returns its id."""
        await self.world.ask(key=f"form-{next(self.keys)}", **more)
        await self.world.notice(fact(await self.world.reference(), theirs=theirs))
        row = await self.world.payment()
        assert row.sub_status == "completed"
        return str(row.payment_id)

    async def refund(self, deposit_id: str, amount: int | None = None, **more: Any) -> payments.Payment:  # noqa: ANN401
        """Ask for a refund."""
        money = None if amount is None else kzt(amount)
        wish = payments.RefundWish(
            deposit_id, money, more.pop("reason", "wrong amount"), more.pop("key", f"key-{next(self.keys)}")
        )
        return await payments.request_refund(self.pipes, self.site_id, wish, more.pop("by", self.maker))

    async def approve(self, refund_id: str, by: staff.Operator | None = None) -> payments.Payment:
        return await payments.approve_refund(self.pipes, self.site_id, refund_id, by or self.checker)

    async def carry_on(self, payment_id: str) -> None:
        await carry_on(self.pipes, self.site_id, payment_id)

    async def sent(self, deposit_id: str, amount: int | None = None) -> payments.Payment:
        """Ask for a refund, approve it, and let it be sent; as it is then."""
        asked = await self.refund(deposit_id, amount)
        await self.approve(asked.payment_id)
        await self.carry_on(asked.payment_id)
        return await self.found(asked.payment_id)

    async def found(self, payment_id: str) -> payments.Payment:
        async with self.world.database.reading() as reader:
            return await payments.payment(reader, self.site_id, payment_id)

    async def figures(self, payment_id: str) -> tuple[int, int, int, int]:
        """Captured, pending, refunded, charged back."""
        one = await self.found(payment_id)
        return one.captured.minor, one.refund_pending.minor, one.refunded.minor, one.charged_back.minor

    async def balances(self) -> dict[str, int]:
        """Every account that holds something, by its purpose, from the entries themselves."""
        rows = await self.world.rows(
            "SELECT a.purpose, sum(e.amount_minor)::bigint AS total FROM entry e "
            "JOIN account a USING (site_id, account_id) GROUP BY a.purpose"
        )
        return {row.purpose: int(row.total) for row in rows if row.total}

    async def kinds(self, payment_id: str) -> list[str]:
        """What the ledger moved because of a payment, in order."""
        rows = await self.world.rows(
            "SELECT kind FROM transfer WHERE because = :of ORDER BY transfer_id", of=payment_id
        )
        return [str(row.kind) for row in rows]

    async def events(self, payment_id: str) -> list[str]:
        rows = await self.world.rows(
            "SELECT type FROM payment_event WHERE payment_id = :of ORDER BY sequence", of=payment_id
        )
        return [str(row.type) for row in rows]

    async def told(self, number: int) -> list[tuple[int, int]]:
        """What the merchant is told of one transaction: type and status numbers."""
        rows = await self.world.rows(
            "SELECT fields FROM webhook WHERE (fields->>'transaction_id')::bigint = :n ORDER BY sequence",
            n=number,
        )
        return [(row.fields["type_id"], row.fields["status_id"]) for row in rows]


@asynccontextmanager
async def at_desk(
    database: Database, clock: MovableClock, provider: Provider, *, seamless: bool = False
) -> AsyncIterator[Desk]:
    """A desk; at its end the ledger's invariants hold and events are numbered without a gap."""
    provider.caps = FULL
    async with opened(database, clock, provider, seamless=seamless) as world:
        people = []
        async with database.transaction() as tx:
            for login, role in (
                ("maker", staff.Role.FINANCE),
                ("checker", staff.Role.FINANCE),
                ("second", staff.Role.ADMINISTRATOR),
                ("support", staff.Role.SUPPORT),
            ):
                new = staff.NewOperator(login, login, frozenset({role}))
                people.append((await staff.create_operator(tx, new, at=clock.now()))[0])
        maker, checker, second, support = people
        yield Desk(world, maker, checker, second, support)
        await invariants.hold(database)
        gaps = await world.rows(
            "SELECT p.payment_id FROM payment p JOIN payment_event e USING (site_id, payment_id) "
            "GROUP BY p.site_id, p.payment_id, p.sequence "
            "HAVING count(*) <> p.sequence OR max(e.sequence) <> p.sequence"
        )
        assert not gaps
        await agree(world)


async def planted(database: Database, statement: str, **values: object) -> None:
    """Change a row behind everybody's back, or a setting that has no deed yet."""
    async with database.transaction() as tx:
        await tx.execute(text(statement), values)
