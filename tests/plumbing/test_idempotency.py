"""One key, one effect."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import text

from app.plumbing import idempotency
from app.plumbing.database import Database, Transaction

CONTENT = {"amount": 100, "currency": "KZT"}


async def deed(tx: Transaction, number: int) -> idempotency.Claim:
    """Claim the key and, if it is ours, do something that can be counted."""
    claimed = await idempotency.claim(tx, 1, "test", "key", CONTENT)
    if not claimed.replayed:
        statement = (
            "INSERT INTO switch (site_id, name, stopped, reason, changed_by) VALUES (1, :name, true, '', '')"
        )
        await tx.execute(text(statement), {"name": f"effect {number}"})
        await idempotency.settle(tx, claimed, {"number": number})
    return claimed


async def effects(database: Database) -> int:
    async with database.reading() as reader:
        return int(await reader.scalar(text("SELECT count(*) FROM switch")))


async def test_fifty_at_once_have_one_effect_and_one_receipt(database: Database) -> None:
    async def one(number: int) -> idempotency.Claim:
        async with database.transaction() as tx:
            return await deed(tx, number)

    claimed = await asyncio.gather(*(one(number) for number in range(50)))
    [first] = [number for number, claim in enumerate(claimed) if not claim.replayed]
    assert {claim.receipt["number"] for claim in claimed if claim.receipt is not None} == {first}
    assert sum(claim.replayed for claim in claimed) == 49
    assert await effects(database) == 1


async def test_other_content_under_the_same_key_is_refused(database: Database) -> None:
    async with database.transaction() as tx:
        await deed(tx, 1)
    for other in ({**CONTENT, "amount": 101}, {**CONTENT, "more": None}, {"amount": 100}, {}):
        with pytest.raises(idempotency.IdempotencyKeyReused):
            async with database.transaction() as tx:
                await idempotency.claim(tx, 1, "test", "key", other)
    async with database.transaction() as tx:
        turned = dict(reversed(CONTENT.items()))
        assert (await idempotency.claim(tx, 1, "test", "key", turned)).replayed


async def test_other_sites_scopes_and_keys_are_their_own(database: Database) -> None:
    async with database.transaction() as tx:
        await deed(tx, 1)
        for site_id, scope, key in ((2, "test", "key"), (1, "other", "key"), (1, "test", "other")):
            claimed = await idempotency.claim(tx, site_id, scope, key, CONTENT)
            assert not claimed.replayed


async def test_a_claim_that_rolled_back_never_was(database: Database) -> None:
    with pytest.raises(LookupError):  # noqa: PT012  the transaction is what raises
        async with database.transaction() as tx:
            await deed(tx, 1)
            raise LookupError
    async with database.transaction() as tx:
        assert not (await deed(tx, 2)).replayed
    assert await effects(database) == 1


async def test_who_waits_for_a_claim_that_rolls_back_gets_it(database: Database) -> None:
    claimed, may_fail = asyncio.Event(), asyncio.Event()

    async def fails() -> None:
        async with database.transaction() as tx:
            await deed(tx, 1)
            claimed.set()
            await may_fail.wait()
            raise LookupError

    async def waits() -> idempotency.Claim:
        async with database.transaction() as tx:
            return await deed(tx, 2)

    failing = asyncio.create_task(fails())
    await claimed.wait()
    waiting = asyncio.create_task(waits())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    may_fail.set()
    assert not (await waiting).replayed
    with pytest.raises(LookupError):
        await failing
    assert await effects(database) == 1


async def test_a_claim_without_a_receipt_says_so(database: Database) -> None:
    async with database.transaction() as tx:
        await idempotency.claim(tx, 1, "test", "key", CONTENT)
    async with database.transaction() as tx:
        again = await idempotency.claim(tx, 1, "test", "key", CONTENT)
    assert (again.replayed, again.receipt) == (True, None)


async def busy() -> dict[str, int]:
    raise asyncpg.LockNotAvailableError("canceling statement due to lock timeout")


async def done() -> dict[str, int]:
    return {"number": 1}


async def test_what_the_database_was_too_busy_for_is_done_when_it_comes_again(database: Database) -> None:
    asked = (database, 1, "test", "key", CONTENT)
    with pytest.raises(asyncpg.LockNotAvailableError):
        await idempotency.once(*asked, busy)
    # Something of it may have been done: another request does not get its key.
    with pytest.raises(idempotency.IdempotencyKeyReused):
        await idempotency.once(database, 1, "test", "key", {"amount": 101}, done)
    assert await idempotency.once(*asked, done) == ({"number": 1}, False)
    assert await idempotency.once(*asked, busy) == ({"number": 1}, True)


async def test_what_failed_otherwise_keeps_its_key_for_a_minute(database: Database) -> None:
    async def fails() -> dict[str, int]:
        raise RuntimeError("nobody knows")

    asked = (database, 1, "test", "key", CONTENT)
    with pytest.raises(RuntimeError, match="nobody knows"):
        await idempotency.once(*asked, fails)
    with pytest.raises(idempotency.IdempotencyInProgress):
        await idempotency.once(*asked, done)
