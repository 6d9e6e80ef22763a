"""Operators on a real database: let in with a token that is shown once, and sent away for good."""

import hashlib
import re

import pytest
from sqlalchemy import text

from app import merchants, staff
from app.staff import BadOperator, LoginTaken, NewOperator, OperatorNotAuthentic, OperatorNotFound, Role
from tests.staff.desk import Desk


async def test_an_operator_comes_in_with_the_token(desk: Desk) -> None:
    made, token = await desk.operator_and_token("aigerim", Role.FINANCE, Role.FRAUD)
    assert re.fullmatch(r"ck_staff_[0-9A-Za-z]{43}", token)
    assert (made.roles, made.sites, made.enabled) == (frozenset({Role.FINANCE, Role.FRAUD}), None, True)
    async with desk.database.reading() as reader:
        assert await staff.authentic(reader, token) == made
        assert await staff.operator(reader, made.operator_id) == made
        for wrong in ("", token[:-1], token + "x", token.upper(), made.operator_id):
            with pytest.raises(OperatorNotAuthentic):
                await staff.authentic(reader, wrong)


async def test_the_token_is_nowhere_in_the_open(desk: Desk) -> None:
    made, token = await desk.operator_and_token("aigerim")
    async with desk.database.reading() as reader:
        tables = await reader.all(
            text("SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'")
        )
        for table in tables:
            rows = await reader.all(text(f'SELECT t::text AS row FROM "{table.name}" t'))  # noqa: S608  our own tables
            assert not [
                row.row for row in rows if token in row.row or token.removeprefix("ck_staff_") in row.row
            ]
        kept = await reader.scalar(text("SELECT token_hash FROM operator"))
    assert kept == hashlib.sha256(token.encode()).digest()
    assert token not in repr(made)


async def test_an_operator_of_some_sites(desk: Desk) -> None:
    made = await desk.operator("aigerim", sites=frozenset({desk.site_id}))
    assert made.sites == frozenset({desk.site_id})
    with pytest.raises(merchants.SiteNotFound):
        await desk.operator("bolat", sites=frozenset({desk.site_id, 999}))


async def test_a_login_is_somebodys_for_ever(desk: Desk) -> None:
    first = await desk.operator("aigerim")
    async with desk.database.transaction() as tx:
        assert await staff.disable_operator(tx, first.operator_id, at=desk.now)
    with pytest.raises(LoginTaken, match="aigerim"):
        await desk.operator("aigerim")
    with pytest.raises(BadOperator, match="login"):
        await desk.operator("Aigerim Smagulova")


async def test_a_disabled_operator_cannot_come_in(desk: Desk) -> None:
    made, token = await desk.operator_and_token("aigerim", Role.ADMINISTRATOR)
    async with desk.database.transaction() as tx:
        assert await staff.disable_operator(tx, made.operator_id, at=desk.now) is True
        assert await staff.disable_operator(tx, made.operator_id, at=desk.now) is False
    async with desk.database.reading() as reader:
        with pytest.raises(OperatorNotAuthentic):
            await staff.authentic(reader, token)
        assert (await staff.operator(reader, made.operator_id)).enabled is False
        assert [(one.login, one.enabled) for one in await staff.operators_of(reader)] == [("aigerim", False)]


async def test_a_new_token_ends_the_one_before(desk: Desk) -> None:
    made, old = await desk.operator_and_token("aigerim")
    async with desk.database.transaction() as tx:
        new = await staff.new_token(tx, made.operator_id, at=desk.now)
    async with desk.database.reading() as reader:
        assert await staff.authentic(reader, new) == made
        with pytest.raises(OperatorNotAuthentic):
            await staff.authentic(reader, old)


async def test_whom_nobody_knows(desk: Desk) -> None:
    async with desk.database.transaction() as tx:
        with pytest.raises(OperatorNotFound):
            await staff.new_token(tx, "opr_none", at=desk.now)
        with pytest.raises(OperatorNotFound):
            await staff.disable_operator(tx, "opr_none", at=desk.now)
        with pytest.raises(OperatorNotFound):
            await staff.operator(tx, "opr_none")


async def test_the_house_notes_who_comes_and_goes(desk: Desk) -> None:
    new = NewOperator("aigerim", "Aigerim", frozenset({Role.FINANCE}), frozenset({desk.site_id}))
    async with desk.database.transaction() as tx:
        made, _ = await staff.create_operator(tx, new, at=desk.now, by="machine:root")
        token = await staff.new_token(tx, made.operator_id, at=desk.now, by="machine:root")
        await staff.disable_operator(tx, made.operator_id, at=desk.now, by="machine:root")
    lines = await desk.diary(staff.HOUSE)
    assert [line.deed for line in lines] == [
        "operator.disabled",
        "operator.token_replaced",
        "operator.created",
    ]
    assert {(line.actor, line.subject) for line in lines} == {("machine:root", made.operator_id)}
    assert lines[-1].detail == {"login": "aigerim", "roles": ["finance"], "sites": [desk.site_id]}
    assert token not in str(lines)


async def test_somebody_who_was_sent_away_gets_no_new_token(desk: Desk) -> None:
    """It is printed "once" and noted as replaced, and is refused wherever it is shown."""
    gone = await desk.operator("gone")
    async with desk.database.transaction() as tx:
        await staff.disable_operator(tx, gone.operator_id, at=desk.now)
    with pytest.raises(staff.OperatorDisabled):
        async with desk.database.transaction() as tx:
            await staff.new_token(tx, gone.operator_id, at=desk.now)
