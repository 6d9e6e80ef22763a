"""Keys asked for again: a captured request, a crowd of requests, and what time makes forgotten."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from app import merchants, players
from app.main import merchant_api
from app.players import jobs
from app.plumbing.queue import Worker
from tests.demo.servers import sha1_signed
from tests.players import test_keys
from tests.players.test_keys import OBTAIN, PERSONAL, Door

door = test_keys.door


@pytest.fixture
async def narrow(door: Door, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    """The same site behind a door that lets three through at once and one a second."""
    monkeypatch.setattr("app.players.routes.KEYS_AT_ONCE", 3)
    monkeypatch.setattr("app.players.routes.KEYS_PER_SECOND", 1.0)
    transport = httpx.ASGITransport(merchant_api(door.pipes))
    async with httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as client:
        yield replace(door, client=client)


async def forgotten(door: Door) -> None:
    """What the worker does every ten minutes."""
    worker = Worker(door.pipes.database)
    jobs.register(worker, door.pipes)
    for name in ("players.forget_sessions", "players.forget_claims"):
        seconds, forget = worker._tasks[name]
        assert seconds == 600
        await forget()


async def test_a_replayed_request_gives_a_key_and_brings_nothing_old_back(door: Door) -> None:
    captured = door.fields(language="en", mode="mobile", **PERSONAL)
    first = (await door.get(captured)).json()["key"]
    newer = {"user_phone": "+77019999999", "user_email": "new@example.com", "user_city": "Алматы"}
    await door.key(**newer)
    answers = [
        await door.get(captured),
        await door.client.post(OBTAIN, json=captured),
        await door.client.post(OBTAIN, data=captured),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    keys = {answer.json()["key"] for answer in answers}
    assert len(keys | {first}) == 4
    for key in keys:
        session = await door.use(key)
        assert session.player.personal == {**PERSONAL, **newer}
        # The key itself is as it was asked for.
        assert (session.language, session.wishes) == ("en", {"mode": "mobile"})
    assert await door.count("player") == 1


async def test_a_request_that_was_refused_is_not_yet_seen(door: Door) -> None:
    wanted = door.fields(currency="EUR", **PERSONAL)
    assert (await door.get(wanted)).status_code == 422
    async with door.pipes.database.transaction() as tx:
        await tx.execute(text("UPDATE site SET currencies = currencies || ARRAY['EUR']"))
    assert (await door.use((await door.get(wanted)).json()["key"])).player.personal == PERSONAL


async def test_one_sites_requests_are_not_taken_for_anothers(door: Door) -> None:
    """What is seen is seen of a site: the same salt and fields elsewhere are another request."""
    await door.key(**PERSONAL)
    theirs = {**door.fields(**PERSONAL), "site_id": door.other.site_id}
    theirs.pop("signature")
    answer = await door.get(sha1_signed(theirs, door.other.salt))
    assert (await door.use(answer.json()["key"])).player.personal == PERSONAL


async def test_keys_older_than_twelve_hours_are_forgotten(door: Door) -> None:
    await door.key()
    door.clock.advance(timedelta(hours=6))
    await door.key()
    door.clock.advance(timedelta(hours=6))
    await forgotten(door)
    assert await door.count("cashier_session") == 2
    door.clock.advance(1)
    await forgotten(door)
    assert await door.count("cashier_session") == 1
    assert await door.count("player") == 1


async def test_claims_older_than_sixty_days_are_forgotten(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_AT_ONCE", 1)  # some by each statement, until none is left
    async with door.pipes.database.transaction() as tx:
        for key, age in (("young", timedelta(days=60)), ("old", timedelta(days=60, seconds=1))):
            await tx.execute(
                text(
                    "INSERT INTO claim (site_id, scope, key, fingerprint, claimed_at) "
                    "VALUES (:site_id, 'deposit:ply_1', :key, 'x', :at)"
                ),
                {"site_id": door.created.site_id, "key": key, "at": door.clock.now() - age},
            )
    await forgotten(door)
    async with door.pipes.database.reading() as reader:
        assert [row.key for row in await reader.all(text("SELECT key FROM claim"))] == ["young"]


async def test_after_the_burst_a_site_is_told_to_wait(narrow: Door) -> None:
    for number in range(3):
        await narrow.key(site_login=f"player-{number}")
    for answer in (
        await narrow.get(narrow.fields()),
        await narrow.client.post(OBTAIN, json=narrow.fields()),
        await narrow.client.post("/v1/get_session_key/", json=narrow.fields()),
    ):
        assert answer.status_code == 429
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.json() == {
            "success": False,
            "errors": "Too many requests; try again in 1 s.",
            "code": 429,
        }
    assert await narrow.count("cashier_session") == 3
    # Another site's players are let in, and the first's again in time.
    theirs = {**narrow.fields(), "site_id": narrow.other.site_id}
    theirs.pop("signature")
    assert (await narrow.get(sha1_signed(theirs, narrow.other.salt))).status_code == 200
    narrow.clock.advance(1)
    await narrow.key()
    assert (await narrow.get(narrow.fields())).status_code == 429


async def test_a_refused_request_may_be_sent_again_as_it_is(narrow: Door) -> None:
    """It was not served, so it was not seen: what it tells of the player still counts."""
    for _ in range(3):
        await narrow.key(user_city="Алматы")
    captured = narrow.fields(**PERSONAL)
    assert (await narrow.get(captured)).status_code == 429
    narrow.clock.advance(1)
    session = await narrow.use((await narrow.get(captured)).json()["key"])
    assert session.player.personal == {**PERSONAL, "user_city": "Алматы"}


async def test_who_cannot_sign_uses_nothing_up(narrow: Door) -> None:
    good = narrow.fields()
    wrong = {**good, "signature": "0" * 40}
    for _ in range(10):
        assert (await narrow.get(wrong)).status_code == 401
    for _ in range(3):
        assert (await narrow.get(good)).status_code == 200
    # Nor does the empty bucket tell him that there is such a site.
    assert (await narrow.get(good)).status_code == 429
    assert (await narrow.get(wrong)).status_code == 401


async def test_a_key_brings_its_site_as_it_stands(door: Door) -> None:
    """Whole, with both salts; and of the site that opened it, whatever else there is."""
    keys = [await door.key(), await door.key()]
    async with door.pipes.database.transaction() as tx:
        site_id = door.created.site_id
        for _ in range(2):
            await merchants.rotate_salt(tx, site_id, at=door.clock.now())
        await tx.execute(text("UPDATE site SET name = 'renamed' WHERE site_id = :its"), {"its": site_id})
    for key in keys:
        async with door.pipes.database.singly() as tx:
            session, site = await players.use_key(tx, key, now=door.clock.now())
            assert site == await merchants.site(tx, session.player.site_id)
        assert (site.site_id, site.name, len(site.salts)) == (site_id, "renamed", 2)
