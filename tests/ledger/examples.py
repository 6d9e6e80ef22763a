"""Minimal valid requests, and short words for what the tests ask of the ledger."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import text

from app import ledger
from app.kernel.money import Money
from app.ledger.model import Movement
from app.plumbing.database import Database, Transaction

T = TypeVar("T")
SITE = 7
PLAYER = "plr_anna"
PROVIDER = "sandbox"
CASH = ledger.AccountName(PLAYER, ledger.Purpose.PLAYER_CASH, "KZT")
HELD = ledger.AccountName(PLAYER, ledger.Purpose.PLAYER_HELD, "KZT")
CLEARING = ledger.AccountName(PROVIDER, ledger.Purpose.PROVIDER_CLEARING, "KZT")


def kzt(minor: int) -> Money:
    return Money(minor, "KZT")


def deposit(
    key: str, minor: int = 100, *, player: str = PLAYER, because: str = "dep_1"
) -> ledger.PostRequest:
    return ledger.PostRequest(
        source="payments",
        key=key,
        movement=ledger.DEPOSIT_TO_PLAYER,
        amount=kzt(minor),
        source_owner=PROVIDER,
        target_owner=player,
        because=because,
    )


def moving(
    key: str, movement: Movement, minor: int, source: str = PLAYER, target: str = PLAYER
) -> ledger.PostRequest:
    return ledger.PostRequest("tests", key, movement, kzt(minor), source, target, "test")


def holding(key: str, minor: int, *, expires_at: datetime | None = None) -> ledger.HoldRequest:
    return ledger.HoldRequest("payouts", key, PLAYER, kzt(minor), "pay_1", expires_at)


async def posted(
    database: Database, requests: Sequence[ledger.PostRequest], at: datetime, *, site_id: int = SITE
) -> list[ledger.Posted]:
    async def work(tx: Transaction) -> list[ledger.Posted]:
        return await ledger.post(tx, site_id, requests, at=at)

    return await database.retried(work)


async def balance(database: Database, name: ledger.AccountName, *, site_id: int = SITE) -> int:
    async with database.reading() as reader:
        return (await ledger.balance(reader, site_id, name)).minor


async def settled(database: Database) -> None:
    """Wait until no running transaction is older than the last transfer: other tests share the server."""
    while True:
        async with database.reading() as reader:
            if await reader.scalar(
                text(
                    "SELECT coalesce(max(recorded_in), 0) < "
                    "(pg_snapshot_xmin(pg_current_snapshot())::text)::bigint FROM transfer"
                )
            ):
                return
        await asyncio.sleep(0.02)


class _Undo(Exception):
    """Ends a transaction that must leave nothing."""


async def corrupting(tx: Transaction, statements: Sequence[str]) -> None:
    """Change what must not change: as the owner, with every guard and foreign key switched off."""
    await tx.execute(text("SET LOCAL session_replication_role = replica"))
    for statement in statements:
        await tx.execute(text(statement))


async def undone(database: Database, work: Callable[[Transaction], Awaitable[T]]) -> T:
    """Run `work` in a transaction and roll it back."""
    answers: list[T] = []
    try:
        async with database.transaction() as tx:
            answers.append(await work(tx))
            raise _Undo
    except _Undo:
        return answers[0]
