"""The database refuses by itself: SQL as the owner of the tables or as the application, past all Python."""

from collections.abc import Mapping

import pytest

from app import staff
from app.plumbing.database import Database, SessionSettings
from app.staff import Role
from tests.staff.desk import CONTENT, PLAYER, REJECT, Desk, attack

DENIED = "permission denied"
AGAIN = "now() + interval '1 day'"

APPROVAL = {
    "site_id": "{site}",
    "approval_id": "'apr_raw'",
    "kind": "'payout'",
    "subject": "'wdr_raw'",
    "content": "'{{}}'",
    "content_hash": r"decode(repeat('00', 32), 'hex')",
    "maker": "'player:ply_1'",
    "people_needed": "1",
    "state": "'open'",
    "made_at": "now()",
    "expires_at": AGAIN,
}
VOTE = {
    "site_id": "{site}",
    "approval_id": "'{approval}'",
    "operator_id": "'{operator}'",
    "maker": "'{maker}'",
    "verdict": "'approve'",
    "reason_staff": "''",
    "reason_player": "''",
    "do_not_tip_off": "false",
    "voted_at": "timestamptz '2026-11-21T12:01:00Z'",
}


def inserting(table: str, row: Mapping[str, str], **facts: object) -> str:
    filled = ", ".join(value.format(**facts) for value in row.values())
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({filled})"  # noqa: S608  our own words


def changing(table: str, change: str) -> str:
    return f"UPDATE {table} SET {change}"  # noqa: S608  our own words


async def test_the_maker_cannot_vote_whoever_writes(desk: Desk, owner_database: Database) -> None:
    boss = await desk.operator("boss", *Role)
    asked = await desk.ask(desk.wish(maker=boss.actor))
    facts = {"site": desk.site_id, "approval": asked.approval_id, "operator": boss.operator_id}
    for database in (owner_database, desk.database):
        honest = inserting("approval_vote", VOTE, maker=boss.actor, **facts)
        assert "ck_approval_vote_maker_is_not_checker" in await attack(database, honest)
        # Naming another maker does not help: the foreign key knows who it was.
        lying = inserting("approval_vote", VOTE, maker=PLAYER, **facts)
        assert "fk_approval_vote_site_id_approval_id_maker" in await attack(database, lying)
    assert (await desk.newest()).votes == ()
    other = await desk.operator("other")
    facts["operator"] = other.operator_id
    assert await attack(owner_database, inserting("approval_vote", VOTE, maker=boss.actor, **facts)) == ""


async def test_nobody_votes_twice_or_on_what_is_decided(desk: Desk, owner_database: Database) -> None:
    aigerim, bolat = await desk.operator("aigerim"), await desk.operator("bolat")
    asked = await desk.ask(desk.wish(people=2))
    facts = {"site": desk.site_id, "approval": asked.approval_id, "maker": PLAYER}
    mine = inserting("approval_vote", VOTE, operator=aigerim.operator_id, **facts)
    assert await attack(owner_database, mine) == ""
    assert "pk_approval_vote" in await attack(owner_database, mine)
    late = dict(VOTE, voted_at="timestamptz '2026-11-22T12:00:00Z'")
    assert "had expired" in await attack(
        owner_database, inserting("approval_vote", late, operator=bolat.operator_id, **facts)
    )
    silent = dict(VOTE, verdict="'reject'")
    assert "rejected_with_a_reason" in await attack(
        owner_database, inserting("approval_vote", silent, operator=bolat.operator_id, **facts)
    )
    await desk.vote(bolat, REJECT)
    third = await desk.operator("third")
    assert "nobody votes on it" in await attack(
        owner_database, inserting("approval_vote", VOTE, operator=third.operator_id, **facts)
    )


async def test_who_was_sent_away_does_not_vote(desk: Desk, owner_database: Database) -> None:
    gone = await desk.operator("gone")
    asked = await desk.ask()
    async with desk.database.transaction() as tx:
        await staff.disable_operator(tx, gone.operator_id, at=desk.now)
    facts = {"site": desk.site_id, "approval": asked.approval_id, "maker": PLAYER}
    for operator_id, said in (
        (gone.operator_id, "is disabled"),
        ("opr_none", "fk_approval_vote_operator_id"),
    ):
        statement = inserting("approval_vote", VOTE, operator=operator_id, **facts)
        assert said in await attack(owner_database, statement)


async def test_only_votes_decide(desk: Desk, owner_database: Database) -> None:
    await desk.ask(desk.wish(people=2))
    await desk.vote(await desk.operator("aigerim"))
    for state, said in (
        ("approved", "has the votes of 1 people and needs 2"),
        ("rejected", "nobody has rejected"),
        ("gone", "ck_approval_state"),
    ):
        statement = changing("approval", f"state = '{state}', decided_at = now()")
        for database in (owner_database, desk.database):
            assert said in await attack(database, statement)
    assert "ck_approval_decided" in await attack(owner_database, "UPDATE approval SET decided_at = now()")
    await desk.vote(await desk.operator("bolat"))
    for state in ("open", "rejected", "withdrawn", "approved"):
        decided = "NULL" if state == "open" else "now()"
        statement = changing("approval", f"state = '{state}', decided_at = {decided}")
        assert "for good" in await attack(owner_database, statement)


CHANGES = (
    "people_needed = 1",
    """content = '{"amount_minor": 1}'""",
    "content_hash = decode(repeat('00', 32), 'hex')",
    "maker = 'system'",
    "subject = 'wdr_other'",
    "kind = 'case'",
    "expires_at = now() + interval '1 year'",
)


async def test_what_was_asked_never_changes(desk: Desk, owner_database: Database) -> None:
    await desk.ask(desk.wish(people=2))
    for change in CHANGES:
        assert "never changes" in await attack(owner_database, changing("approval", change))
        assert DENIED in await attack(desk.database, changing("approval", change))


BORN_WRONG = [
    ({"state": "'approved'"}, "is born open"),
    ({"kind": "'gift'"}, "ck_approval_kind"),
    ({"people_needed": "0"}, "ck_approval_people_needed"),
    ({"people_needed": "6"}, "ck_approval_people_needed"),
    ({"maker": "'somebody'"}, "ck_approval_maker"),
    ({"maker": "'operator:'"}, "ck_approval_maker"),
    ({"content_hash": "''"}, "ck_approval_content_hash"),
    ({"expires_at": "now()"}, "ck_approval_expires_later"),
    ({"site_id": "1"}, "fk_approval_site_id"),
    ({"subject": "'wdr_1'"}, "uq_approval_open"),
]


@pytest.mark.parametrize(("change", "said"), BORN_WRONG)
async def test_an_approval_that_cannot_be(
    desk: Desk, owner_database: Database, change: dict[str, str], said: str
) -> None:
    await desk.ask()
    assert await attack(owner_database, inserting("approval", APPROVAL, site=desk.site_id)) == ""
    row = {**APPROVAL, "approval_id": "'apr_wrong'", "subject": "'wdr_wrong'", **change}
    assert said in await attack(owner_database, inserting("approval", row, site=desk.site_id))


async def test_what_is_written_stays(desk: Desk, owner_database: Database) -> None:
    await desk.ask()
    await desk.vote(await desk.operator("aigerim"))
    for table in ("approval", "approval_vote", "diary", "diary_seal", "operator"):
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):  # noqa: S608  constants
            assert "append-only" in await attack(owner_database, statement)
            assert DENIED in await attack(desk.database, statement)
    for statement in (
        "UPDATE approval_vote SET verdict = 'reject'",
        "UPDATE diary SET actor = 'system'",
        "UPDATE diary_seal SET number = number + 1",
    ):
        assert "append-only" in await attack(owner_database, statement)
        assert DENIED in await attack(desk.database, statement)


FORBIDDEN = (
    "UPDATE operator SET roles = '{administrator}'",
    "UPDATE operator SET sites = NULL",
    "UPDATE operator SET login = 'other'",
    "INSERT INTO diary_seal SELECT site_id, number + 1, entry_id, hash FROM diary_seal",
    "ALTER TABLE approval_vote DROP CONSTRAINT ck_approval_vote_maker_is_not_checker",
    "ALTER TABLE diary DISABLE TRIGGER ALL",
    "DROP TRIGGER approval_is_decided_by_votes ON approval",
    "SET session_replication_role = replica",
)


async def test_the_role_may_not(desk: Desk) -> None:
    await desk.operator("aigerim")
    for statement in FORBIDDEN:
        said = await attack(desk.database, statement)
        assert DENIED in said or "must be owner" in said, statement


async def test_who_was_sent_away_is_never_let_in_again(desk: Desk, owner_database: Database) -> None:
    mallory, token = await desk.operator_and_token("mallory")
    async with desk.database.transaction() as tx:
        await staff.disable_operator(tx, mallory.operator_id, at=desk.now)
    for instant in ("NULL", "disabled_at + interval '1 day'"):
        for database in (owner_database, desk.database):
            said = await attack(database, f"UPDATE operator SET disabled_at = {instant}")  # noqa: S608
            assert "for good" in said
    async with desk.database.reading() as reader:
        with pytest.raises(staff.OperatorNotAuthentic):
            await staff.authentic(reader, token)


async def test_an_operator_that_cannot_be(desk: Desk, owner_database: Database) -> None:
    await desk.operator("aigerim")
    for change, said in (
        ("roles = '{king}'", "ck_operator_roles"),
        ("roles = '{}'", "ck_operator_has_a_role"),
        ("sites = '{}'", "ck_operator_has_a_site"),
        ("login = 'Aigerim'", "ck_operator_login"),
        ("token_hash = 'plain'", "ck_operator_token_hash"),
    ):
        assert said in await attack(owner_database, changing("operator", change))


@pytest.mark.parametrize(
    ("role", "statement", "allowed"),
    [
        ("cashier_reader", "SELECT state, people_needed FROM approval", True),
        ("cashier_reader", "SELECT content FROM approval", False),
        ("cashier_reader", "SELECT verdict FROM approval_vote", True),
        ("cashier_reader", "SELECT reason_staff FROM approval_vote", False),
        ("cashier_reader", "SELECT deed FROM diary", False),
        ("cashier_reader", "SELECT login FROM operator", False),
        ("cashier_auditor", "SELECT content FROM approval", True),
        ("cashier_auditor", "SELECT reason_staff FROM approval_vote", True),
        ("cashier_auditor", "SELECT detail FROM diary", True),
        ("cashier_auditor", "SELECT hash FROM diary_seal", True),
        ("cashier_auditor", "SELECT login, roles FROM operator", True),
        ("cashier_auditor", "SELECT token_hash FROM operator", False),
        ("cashier_auditor", "UPDATE approval SET state = 'withdrawn'", False),
    ],
)
async def test_reports_and_audits(clone_url: str, role: str, statement: str, allowed: bool) -> None:
    async with Database(clone_url, SessionSettings(role=role)) as other:
        said = await attack(other, statement)
    assert (said == "") is allowed
    assert allowed or DENIED in said


async def test_an_approvals_content_is_kept_as_it_was_asked(desk: Desk) -> None:
    await desk.ask()
    assert (await desk.newest()).content == CONTENT
