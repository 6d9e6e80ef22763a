"""The diary: numbers without a gap, a chain that notices every change, and nothing without its deed."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import staff
from app.plumbing.database import Database, Transaction
from app.staff import DiaryReport
from tests.staff.desk import REJECT, SUBJECT, Desk

HANDS = 20


async def noted(desk: Desk, deed: str = "test.done", *, site_id: int | None = None) -> None:
    async with desk.database.transaction() as tx:
        await line(desk, tx, deed, site_id=site_id)


async def line(desk: Desk, tx: Transaction, deed: str, *, site_id: int | None = None) -> str:
    where = desk.site_id if site_id is None else site_id
    detail = {"before": {"z": 1, "a": "ә\u2028"}, "after": None}
    return await staff.note(
        tx, where, actor="system", deed=deed, subject="thing_1", detail=detail, at=desk.now
    )


async def verified(desk: Desk) -> DiaryReport:
    async with desk.database.reading() as reader:
        return await staff.verify_diary(reader, desk.site_id)


async def test_votes_are_in_the_diary_with_who_and_why(desk: Desk) -> None:
    aigerim = await desk.operator("aigerim")
    asked = await desk.ask()
    await desk.vote(aigerim, REJECT)
    rejected, opened = await desk.diary()
    assert (opened.number, opened.actor, opened.deed, opened.subject) == (
        1,
        "player:ply_1",
        "approval.opened",
        SUBJECT,
    )
    assert (rejected.number, rejected.actor, rejected.deed) == (2, aigerim.actor, "approval.reject")
    assert rejected.detail == {
        "approval_id": asked.approval_id,
        "kind": "payout",
        "reason_staff": "not the player's card",
        "reason_player": "Use your own card.",
        "do_not_tip_off": False,
        "state": "rejected",
    }
    assert (await verified(desk)).faults == ()


async def test_a_deed_that_did_not_happen_is_not_noted(desk: Desk) -> None:
    await noted(desk, "first")

    async def failed() -> None:
        async with desk.database.transaction() as tx:
            await line(desk, tx, "second")
            raise LookupError

    with pytest.raises(LookupError):
        await failed()
    await noted(desk, "third")
    assert [(entry.number, entry.deed) for entry in await desk.diary()] == [(2, "third"), (1, "first")]


async def test_numbers_have_no_gap_whoever_writes_at_once(desk: Desk) -> None:
    async def hand(number: int) -> None:
        await noted(desk, f"deed-{number}")
        await noted(desk, f"deed-{number}", site_id=staff.HOUSE)

    await asyncio.gather(*(hand(number) for number in range(HANDS)))
    for site_id in (desk.site_id, staff.HOUSE):
        assert [entry.number for entry in await desk.diary(site_id)] == list(range(HANDS, 0, -1))
    report = await verified(desk)
    assert (report.lines, report.faults) == (HANDS, ())


async def test_the_lock_of_a_diary_is_held_only_at_the_end(desk: Desk) -> None:
    """A deed that has noted something and goes on for long does not keep others from noting."""
    noted_first, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with desk.database.transaction() as tx:
            await line(desk, tx, "slow")
            noted_first.set()
            await may_end.wait()

    ending = asyncio.create_task(slow())
    await noted_first.wait()
    await noted(desk, "quick")
    may_end.set()
    await ending
    assert [entry.deed for entry in await desk.diary()] == ["slow", "quick"]


async def test_pages(desk: Desk) -> None:
    for number in range(5):
        await noted(desk, f"deed-{number}")
    async with desk.database.reading() as reader:
        page = await staff.diary(reader, desk.site_id, limit=2)
        assert [entry.number for entry in page] == [5, 4]
        assert [e.number for e in await staff.diary(reader, desk.site_id, before=4, limit=2)] == [3, 2]
        assert await staff.diary(reader, desk.site_id, subject="thing_2") == []
        assert len(await staff.diary(reader, desk.site_id, subject="thing_1")) == 5


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        ("UPDATE diary SET actor = 'system:x' WHERE deed = 'deed-2'", "line 3 is not what was sealed"),
        ("UPDATE diary SET detail = '{}' WHERE deed = 'deed-2'", "line 3 is not what was sealed"),
        (
            "UPDATE diary SET recorded_at = recorded_at - interval '1 us' WHERE deed = 'deed-2'",
            "line 3 is not",
        ),
        ("DELETE FROM diary_seal WHERE number = 3", "lines 3 to 3 are missing"),
        ("DELETE FROM diary_seal WHERE number = 3", "line 4 is not what was sealed"),
        ("DELETE FROM diary_seal WHERE number = 3", "1 lines were never sealed"),
        (
            "INSERT INTO diary SELECT site_id, 'dia_x', 'system', 'x', 'y', '{}', now() FROM diary LIMIT 1",
            "1 lines were never sealed",
        ),
        ("UPDATE diary_seal SET hash = sha256('x') WHERE number = 5", "line 5 is not what was sealed"),
    ],
)
async def test_tampering_behind_the_triggers_is_found(
    desk: Desk, owner_database: Database, tampering: str, found: str
) -> None:
    for number in range(5):
        await noted(desk, f"deed-{number}")
    honest = await verified(desk)
    assert (honest.lines, honest.faults) == (5, ())
    async with owner_database.transaction() as tx:
        await tx.execute(text("SET LOCAL session_replication_role = replica"))
        if "system:x" in tampering:
            await tx.execute(text("ALTER TABLE diary DROP CONSTRAINT ck_diary_actor"))
        await tx.execute(text(tampering))
    assert found in "; ".join((await verified(desk)).faults)


async def test_what_was_cut_off_changes_the_head(desk: Desk, owner_database: Database) -> None:
    for number in range(3):
        await noted(desk, f"deed-{number}")
    before = await verified(desk)
    async with owner_database.transaction() as tx:
        await tx.execute(text("SET LOCAL session_replication_role = replica"))
        await tx.execute(text("DELETE FROM diary_seal WHERE number = 3"))
        await tx.execute(text("DELETE FROM diary WHERE deed = 'deed-2'"))
    after = await verified(desk)
    assert after.faults == ()
    assert (after.lines, after.head == before.head) == (2, False)


async def test_an_actor_is_written_in_one_way(desk: Desk) -> None:
    for actor in ("somebody", "operator:", "operator:a b", "system:x", ""):
        with pytest.raises(DBAPIError, match="ck_diary_actor"):
            async with desk.database.transaction() as tx:
                await staff.note(tx, desk.site_id, actor=actor, deed="x", subject="y", detail={}, at=desk.now)


async def test_a_card_number_that_got_here_is_masked_and_a_hash_is_not(desk: Desk) -> None:
    hash_ = "4111111111111111" + "a" * 48
    detail = {
        "reason": "card 4111 1111 1111 1111",
        "more": [{"x": "5555555555554444"}],
        "hash": hash_,
        "n": 7,
    }
    async with desk.database.transaction() as tx:
        await staff.note(
            tx, desk.site_id, actor="system", deed="x", subject="thing_1", detail=detail, at=desk.now
        )
    [entry] = await desk.diary()
    assert entry.detail == {
        "reason": "card 411111...1111",
        "more": [{"x": "555555...4444"}],
        "hash": hash_,
        "n": 7,
    }
    assert (await verified(desk)).faults == ()
