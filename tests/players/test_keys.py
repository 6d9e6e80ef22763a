"""How a merchant lets a player in: over HTTP as it is spoken, on a real database."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from sqlalchemy import text

from app import merchants, players
from app.kernel.clock import MovableClock
from app.main import merchant_api
from app.plumbing.database import Database
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes
from tests.demo.servers import sha1_signed

OBTAIN, ALIAS, RESET = "/api/authlink/obtain/", "/v1/get_session_key/", "/api/clear/rotation/"
PERSONAL = {
    "user_email": "aigerim@example.com",
    "user_name": "Айгерим Касымова",
    "user_country": "KZ",
    "user_phone": "+77010000000",
    "birthdate": "01-02-1990",
    "timezone": "Asia/Almaty",
}


@dataclass
class Door:
    """One site, and a client that speaks to the cashier as its server does."""

    pipes: Pipes
    clock: MovableClock
    created: merchants.CreatedSite
    other: merchants.CreatedSite
    client: httpx.AsyncClient

    def fields(self, **more: object) -> dict[str, object]:
        asked = {
            "site_id": self.created.site_id,
            "site_login": "aigerim",
            "customer_ip": "127.0.0.1",
            "currency": "KZT",
        }
        return sha1_signed({**asked, **more}, self.created.salt)

    async def get(self, fields: dict[str, object]) -> httpx.Response:
        return await self.client.get(OBTAIN, params=fields)  # type: ignore[arg-type]

    async def key(self, **more: object) -> str:
        answer = await self.get(self.fields(**more))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["key"])

    async def use(self, key: str) -> players.Session:
        async with self.pipes.database.singly() as tx:
            return (await players.use_key(tx, key, now=self.clock.now()))[0]

    async def count(self, table: str) -> int:
        async with self.pipes.database.reading() as reader:
            return int(await reader.scalar(text(f"SELECT count(*) FROM {table}")))  # noqa: S608  a name of ours


@pytest.fixture
async def door(database: Database, clock: MovableClock) -> AsyncIterator[Door]:
    async with HttpClient(clock) as http:
        pipes = Pipes(database, http, clock, "https://cashier.example.com")
        new = merchants.NewSite(
            name="Altyn Games",
            currencies=("KZT", "USD"),
            callout_url="https://shop.example.com/callout",
            notify_url="https://shop.example.com/notify",
            languages=("ru", "en"),
        )
        async with database.transaction() as tx:
            created = await merchants.create_site(tx, new, at=clock.now())
            other = await merchants.create_site(tx, new, at=clock.now())
        transport = httpx.ASGITransport(merchant_api(pipes))
        async with httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as client:
            yield Door(pipes, clock, created, other, client)


async def test_a_key_by_every_way_of_asking(door: Door) -> None:
    fields = door.fields(language="en", **PERSONAL)
    form = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    answers = [
        await door.get(fields),
        await door.client.post(OBTAIN, json=fields),
        await door.client.post(OBTAIN, content=urlencode(fields), headers=form),
        await door.client.post(ALIAS, json=fields),
        await door.client.post(ALIAS, content=urlencode(fields), headers=form),
        await door.client.post(
            OBTAIN, content=json.dumps({name: str(value) for name, value in fields.items()})
        ),
    ]
    keys = set()
    for answer in answers:
        assert answer.status_code == 200, answer.text
        content = answer.json()
        assert content.keys() == {"success", "errors", "key"}
        assert (content["success"], content["errors"]) == (True, None)
        assert answer.headers["cache-control"] == "no-store"
        keys.add(content["key"])
    assert len(keys) == len(answers)
    # One player, whose every key lives.
    sessions = [await door.use(key) for key in keys]
    assert len({session.player.player_id for session in sessions}) == 1
    assert await door.count("player") == 1


async def test_what_a_key_is_bound_to(door: Door) -> None:
    key = await door.key(
        currency="usd", language="en", deposit_range="1:5-10", mode="mobile", customer_ip="::1", **PERSONAL
    )
    session = await door.use(key)
    assert (session.currency, session.language, session.customer_ip) == ("USD", "en", "::1")
    assert session.wishes == {"deposit_range": "1:5-10", "mode": "mobile"}
    assert (session.player.site_id, session.player.site_login) == (door.created.site_id, "aigerim")
    assert session.player.personal == PERSONAL
    assert "example.com" not in repr(session)
    assert re.fullmatch(rf"{door.created.site_id}-[A-Za-z0-9_-]{{32,}}", key)
    async with door.pipes.database.reading() as reader:
        kept = str(await reader.all(text("SELECT to_jsonb(s)::text FROM cashier_session s")))
    assert key not in kept
    assert key.partition("-")[2] not in kept
    assert key.encode().hex() not in kept
    # A language the site does not speak: its first one.
    assert (await door.use(await door.key(language="fi"))).language == "ru"
    assert (await door.use(await door.key())).language == "ru"


async def test_what_is_told_later_replaces_field_by_field(door: Door) -> None:
    await door.key(**PERSONAL)
    await door.key(user_phone="+77019999999", user_city="Алматы")
    session = await door.use(await door.key())
    assert session.player.personal == {**PERSONAL, "user_phone": "+77019999999", "user_city": "Алматы"}


async def test_a_key_dies_of_idleness_and_of_age(door: Door) -> None:
    idle, used = await door.key(), await door.key()
    for _ in range(12):
        door.clock.advance(timedelta(minutes=60))
        await door.use(used)
    # 12 hours in all: still alive on the second, dead after it; the idle one died long ago.
    door.clock.advance(1)
    for key in (idle, used):
        with pytest.raises(merchants.NotAuthentic):
            await door.use(key)
    fresh = await door.key()
    door.clock.advance(timedelta(minutes=60, seconds=1))
    with pytest.raises(merchants.NotAuthentic):
        await door.use(fresh)


async def test_what_is_no_key(door: Door) -> None:
    key = await door.key()
    head, _, rest = key.partition("-")
    strangers = [
        "",
        "-",
        rest,
        key[:-1],
        key + "A",
        key.swapcase(),
        f"0{key}",
        f" {key}",
        f"{head}--{rest}",
        "²-x",
    ]
    strangers += [f"{door.other.site_id}-{rest}", f"99999999999-{rest}", "\x00", f"{head}-\x00", "-1-x"]
    for stranger in strangers:
        with pytest.raises(merchants.NotAuthentic):
            await door.use(stranger)
    await door.use(key)


async def test_a_new_key_leaves_the_old_alive_and_logins_are_the_sites_own(door: Door) -> None:
    first, second = await door.key(), await door.key()
    assert (await door.use(first)).session_id != (await door.use(second)).session_id
    theirs = {
        "site_id": door.other.site_id,
        "site_login": "aigerim",
        "customer_ip": "127.0.0.1",
        "currency": "KZT",
    }
    answer = await door.get(sha1_signed(theirs, door.other.salt))
    stranger = await door.use(answer.json()["key"])
    assert stranger.player.site_id == door.other.site_id
    assert stranger.player.player_id != (await door.use(first)).player.player_id


async def refused(door: Door, answer: httpx.Response, status: int, word: str = "") -> str:
    """The protocol's own form of a refusal; nothing was stored."""
    assert answer.status_code == status, answer.text
    content = answer.json()
    assert content.keys() == {"success", "errors", "code"}
    assert (content["success"], content["code"]) == (False, status)
    assert word in content["errors"], content
    assert await door.count("player") == await door.count("cashier_session") == 0
    return str(content["errors"])


async def test_not_authentic_is_one_and_the_same_answer(door: Door) -> None:
    good = door.fields()
    wrong = [
        {**good, "signature": "0" * 40},
        {**good, "site_login": "bolat"},
        {**good, "site_id": 999_999_999},
        sha1_signed({**good, "site_id": door.other.site_id}, door.created.salt),
        sha1_signed(good, ""),
    ]
    answers = {await refused(door, await door.get(fields), 401) for fields in wrong}
    async with door.pipes.database.transaction() as tx:
        ours = merchants.issued_signature(door.created.site_id, str(good["signature"]), at=door.clock.now())
        await tx.write(ours)
    answers.add(await refused(door, await door.get(good), 401))
    assert len(answers) == 1


async def test_malformed_requests_name_the_field(door: Door) -> None:
    good = door.fields()
    assert len(good) == 5
    for name in good:
        left = {key: value for key, value in good.items() if key != name}
        await refused(door, await door.get(left), 400, name)
        await refused(door, await door.client.post(OBTAIN, json={**good, name: ""}), 400, name)
    malformed: dict[str, object] = {
        "site_id": "1e3",
        "site_login": "a;b",
        "customer_ip": "localhost",
        "currency": "KZTT",
        "signature": "x",
        "birthdate": "1990-02-01",
        "user_email": "nobody",
        "deposit_range": "5",
        "mode": "full",
        "unknown": "1",
        "Site_login": "a",
        "user_name": "a\x00b",
        "mirror_url": "javascript:x",
    }
    for name, value in malformed.items():
        await refused(door, await door.get({**good, name: value}), 400, name)


async def test_requests_that_could_be_read_in_two_ways(door: Door) -> None:
    good = door.fields()
    query = urlencode(good)
    await refused(door, await door.client.get(f"{OBTAIN}?{query}&currency=USD"), 400, "currency")
    await refused(door, await door.client.get(f"{OBTAIN}?{query}&currency=KZT"), 400, "currency")
    await refused(door, await door.client.get(f"{OBTAIN}?{query}&extra="), 400, "extra")
    body = json.dumps(good)
    for spoilt in (
        body[:-1] + ', "currency": "USD"}',
        body[:-1],
        f"[{body}]",
        "",
        "null",
        body.replace('"KZT"', "null"),
        body.replace('"KZT"', '["KZT"]'),
        body.replace('"KZT"', "true"),
        body.replace('"KZT"', '{"a": {"b": "c"}}'),
        body.replace('"KZT"', "1.5"),
        body.replace('"KZT"', "NaN"),
        "[" * 20_000,
        '{"site_id":' * 5_000,
    ):
        await refused(door, await door.client.post(OBTAIN, content=spoilt), 400)
    xml = {"content-type": "text/xml"}
    await refused(door, await door.client.post(OBTAIN, content=body, headers=xml), 400)


async def test_too_large(door: Door) -> None:
    answer = await door.client.post(OBTAIN, content=b"{" + b" " * 70_000)
    assert answer.status_code == 413
    assert await door.count("player") == 0


async def test_a_currency_that_is_not_offered(door: Door) -> None:
    sentence = await refused(door, await door.get(door.fields(currency="EUR")), 422, "EUR")
    assert "KZT, USD" in sentence


async def test_forgetting_a_players_habits(door: Door) -> None:
    session = await door.use(await door.key())
    async with door.pipes.database.transaction() as tx:
        await tx.write(players.method_remembered(session.player, "card"))

    async def reset(login: str = "aigerim", salt: str = "") -> tuple[int, dict[str, Any]]:
        fields = {"site_id": door.created.site_id, "site_login": login}
        answer = await door.client.post(RESET, json=sha1_signed(fields, salt or door.created.salt))
        return answer.status_code, answer.json()

    assert (await reset(salt="wrong"))[0] == 401
    assert (await door.use(await door.key())).player.last_method == "card"
    assert await reset() == (200, {"error": None, "success": True})
    assert (await door.use(await door.key())).player.last_method == ""
    assert await reset("nobody") == (200, {"error": "User not found", "success": False})
    status, content = await reset("a:b")
    assert (status, content["success"]) == (400, False)
    assert "site_login" in content["error"]


async def test_a_request_for_one_thing_is_not_taken_for_another(door: Door) -> None:
    """The signature names no endpoint: the fields must (trust.md 3.3)."""
    answer = await door.client.post(RESET, json=door.fields())
    assert answer.status_code == 400
    fields = sha1_signed({"site_id": door.created.site_id, "site_login": "aigerim"}, door.created.salt)
    await refused(door, await door.client.post(OBTAIN, json=fields), 400)
