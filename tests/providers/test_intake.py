"""A batch of notices and their jobs are one statement: all or none, and run again where batches met."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from app import providers
from app.plumbing.database import Built, asyncpg_dsn
from app.providers.intake import read_soon
from tests.demo.servers import hmac_signed
from tests.providers.gate import BODY, SECRET, Gate

JOBS = "SELECT *, convert_from(payload, 'UTF8') AS body FROM queue.pgqueuer ORDER BY id"


def notice(body: bytes, path: str = "/") -> providers.RawNotice:
    return providers.RawNotice(path, {"x-sandbox-signature": hmac_signed(body, SECRET)}, body)


async def taken(gate: Gate, *bodies: bytes) -> None:
    intake, at = providers.Intake(gate.database), gate.clock.now()
    await asyncio.gather(*(intake.take(gate.site_id, "main", notice(body), at=at) for body in bodies))
    await intake.aclose()


async def test_its_job_is_the_one_that_is_left_for_a_forgotten_notice(gate: Gate) -> None:
    """The two are written in different places; the key keeps one of them out while the other is there."""
    await taken(gate, BODY)
    [left] = await gate.rows(JOBS)
    [row] = await gate.rows()
    async with gate.database.transaction() as tx:
        await read_soon(tx, [(gate.site_id, row.notice_id)])
        assert len(await tx.all(text(JOBS))) == 1
        await tx.execute(text("DELETE FROM queue.pgqueuer"))
        await read_soon(tx, [(gate.site_id, row.notice_id)])
    [again] = await gate.rows(JOBS)
    its = {
        "entrypoint",
        "priority",
        "dedupe_key",
        "status",
        "attempts",
        "headers",
        "queue_manager_id",
        "slot",
    }
    assert {name: getattr(left, name) for name in its} == {name: getattr(again, name) for name in its}
    assert json.loads(left.body) == json.loads(again.body)
    assert json.loads(left.body) == {"site_id": gate.site_id, "notice_id": row.notice_id}


async def test_several_notices_are_two_trips(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    rows = Built.rows

    async def counted(self: Built, raw: object, parameters: Mapping[str, Any]) -> list[Any]:
        asked.append(self)
        assert not raw.is_in_transaction()  # type: ignore[attr-defined]  # asyncpg has no types
        return await rows(self, raw, parameters)

    monkeypatch.setattr(Built, "rows", counted)
    await taken(gate, *(BODY + b" " * number for number in range(5)))
    assert len(asked) == 2
    assert await gate.jobs() == len(await gate.rows()) == 5


async def test_a_batch_that_met_another_in_a_ring_is_run_again(gate: Gate, clone_url: str) -> None:
    bodies = [BODY, BODY + b" "]
    await taken(gate, *bodies)
    first, second = sorted(hashlib.sha256(body).hexdigest() for body in bodies)
    count = "UPDATE notice SET arrivals = arrivals + 10 WHERE dedupe_key = $1"
    other = await asyncpg.connect(asyncpg_dsn(clone_url))
    await other.execute("BEGIN")
    await other.execute(count, second)
    taking = asyncio.create_task(taken(gate, *bodies))
    while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110  the server does it
        await asyncio.sleep(0.02)
    await other.execute(count, first)  # who began to wait first is the one that PostgreSQL ends
    await other.execute("COMMIT")
    await other.close()
    await taking
    assert [row.arrivals for row in await gate.rows()] == [12, 12]
    assert await gate.jobs() == 2


async def test_a_notice_whose_job_cannot_be_written_is_not_stored(gate: Gate, clone_url: str) -> None:
    owner = await asyncpg.connect(asyncpg_dsn(clone_url))
    await owner.execute("ALTER TABLE queue.pgqueuer ADD CONSTRAINT full_up CHECK (priority < 1)")
    await owner.close()
    with pytest.raises(asyncpg.CheckViolationError):
        await taken(gate, BODY)
    assert await gate.rows() == []
