"""The desk from the command line: people come and go, and what waits and what was noted is read."""

import asyncio
import json
import re

from sqlalchemy import text
from typer.testing import CliRunner, Result

from app import cli, merchants, staff
from app.plumbing.database import Database
from app.staff import Role
from tests.staff.desk import CONTENT, REJECT, SUBJECT, Desk


async def run(url: str, *words: object, **environment: str) -> Result:
    """A command, in a thread: it has an event loop of its own."""

    def invoked() -> Result:
        env = {"CASHIER_DATABASE_URL": url, "LOGNAME": "oper ator", **environment}
        return CliRunner().invoke(cli.program, [str(word) for word in words], env=env)

    return await asyncio.to_thread(invoked)


async def said(url: str, *words: object, **environment: str) -> str:
    done = await run(url, *words, **environment)
    assert done.exit_code == 0, (done.output, done.exception)
    return str(done.stdout)


async def test_people_come_and_go(desk: Desk, clone_url: str) -> None:
    told = await said(clone_url, "operator", "create", "aigerim", "--role", "finance", "--role", "fraud")
    token = told.split()[-1]
    assert re.fullmatch(r"ck_staff_[0-9A-Za-z]{43}", token)
    more = ("--role", "support", "--site", desk.site_id, "--name", "Bolat B.", "--json")
    made = json.loads(await said(clone_url, "operator", "create", "bolat", *more))
    assert made.keys() == {"operator_id", "login", "token"}
    async with desk.database.reading() as reader:
        assert (await staff.authentic(reader, token)).roles == frozenset({Role.FINANCE, Role.FRAUD})
        assert (await staff.authentic(reader, made["token"])).name == "Bolat B."
    renewed = (await said(clone_url, "operator", "token", "aigerim")).strip()
    assert await said(clone_url, "operator", "disable", "bolat") == "disabled\n"
    assert await said(clone_url, "operator", "disable", "bolat") == "was disabled before\n"
    listed = await said(clone_url, "operator", "list")
    assert re.fullmatch(
        r"aigerim  opr_\w+  finance, fraud  all sites\n"
        rf"bolat  {made['operator_id']}  support  sites {desk.site_id}  disabled\n",
        listed,
    )
    assert not any(secret in listed for secret in (token, renewed, made["token"]))
    actors = {line.actor for line in await desk.diary(staff.HOUSE)}
    assert actors == {"machine:oper_ator"}


async def test_who_looks_after_operators(desk: Desk, clone_url: str) -> None:
    boss, token = await desk.operator_and_token("boss", Role.ADMINISTRATOR)
    create = ("operator", "create", "aigerim", "--role", "finance")
    await said(clone_url, *create, CASHIER_OPERATOR_TOKEN=token)
    assert (await desk.diary(staff.HOUSE))[0].actor == boss.actor
    _, weak = await desk.operator_and_token("weak", *(set(Role) - {Role.ADMINISTRATOR}))
    _, local = await desk.operator_and_token("local", Role.ADMINISTRATOR, sites=frozenset({desk.site_id}))
    for wrong, refusal in (
        (weak, staff.NotPermitted),
        (local, staff.NotPermitted),
        ("ck_staff_none", staff.OperatorNotAuthentic),
    ):
        for words in (create, ("operator", "token", "boss"), ("operator", "disable", "boss")):
            done = await run(clone_url, *words, "--token", wrong)
            assert isinstance(done.exception, refusal)
    async with desk.database.reading() as reader:
        assert await staff.authentic(reader, token) == boss


async def test_what_cannot_be_is_a_sentence(desk: Desk, clone_url: str) -> None:
    for words, refusal in (
        (("operator", "create", "A!", "--role", "finance"), staff.BadOperator),
        (("operator", "create", "aigerim", "--role", "finance", "--site", 1), merchants.SiteNotFound),
        (("operator", "disable", "nobody"), staff.OperatorNotFound),
        (("approvals", 1), merchants.SiteNotFound),
    ):
        done = await run(clone_url, *words)
        assert isinstance(done.exception, refusal)
    assert (await run(clone_url, "operator", "create", "aigerim")).exit_code == 2
    assert (await run(clone_url, "operator", "create", "aigerim", "--role", "king")).exit_code == 2


async def test_what_waits_and_what_was_noted(desk: Desk, clone_url: str, owner_database: Database) -> None:
    asked = await desk.ask(desk.wish(people=2))
    (line,) = (await said(clone_url, "approvals", desk.site_id)).splitlines()
    assert line.startswith(f"payout  {SUBJECT}  {asked.approval_id}  asked by player:ply_1  needs 2 of 2  ")
    assert json.loads(line[line.index("{") :]) == CONTENT
    await desk.vote(await desk.operator("aigerim"), REJECT)
    assert await said(clone_url, "approvals", desk.site_id) == ""
    newest, first = (await said(clone_url, "diary", desk.site_id)).splitlines()
    assert first.startswith("1  2026-11-21 12:00:00  player:ply_1  approval.opened  wdr_1  {")
    assert "approval.reject" in newest
    assert "not the player's card" in newest
    assert await said(clone_url, "diary", desk.site_id, "--limit", 1) == f"{newest}\n"
    assert await said(clone_url, "diary", desk.site_id, "--before", 2) == f"{first}\n"
    assert await said(clone_url, "diary", desk.site_id, "--subject", "wdr_2") == ""
    assert (await said(clone_url, "diary", desk.site_id, "--verify")).startswith("2 lines, sealed up to ")
    async with owner_database.transaction() as tx:
        await tx.execute(text("SET LOCAL session_replication_role = replica"))
        await tx.execute(text("UPDATE diary SET actor = 'system' WHERE deed = 'approval.reject'"))
    done = await run(clone_url, "diary", desk.site_id, "--verify")
    assert done.exit_code == 1
    assert "line 2 is not what was sealed" in done.stderr
