"""Who opens a site and makes or ends its secrets is a line of its diary, and no secret is in it."""

import json

import pytest
from sqlalchemy import text

from app import staff
from app.staff import Role
from app.wallet import modes
from tests.staff.desk import Desk
from tests.staff.test_command import run, said

ADDRESSES = ("--callout-url", "https://shop.example.com/c", "--notify-url", "https://shop.example.com/n")


async def test_who_opened_a_site(desk: Desk, clone_url: str) -> None:
    boss, token = await desk.operator_and_token("boss", Role.ADMINISTRATOR)
    create = ("site", "create", "--name", "Tulpar", "--currency", "kzt", *ADDRESSES, "--json")
    made = json.loads(await said(clone_url, *create, "--token", token))
    [line] = await desk.diary(made["site_id"])
    assert (line.actor, line.deed, line.subject) == (boss.actor, "site.created", "site")
    assert line.detail == {"name": "Tulpar", "currencies": ["KZT"]}


async def test_who_changed_what_signs(desk: Desk, clone_url: str) -> None:
    boss, token = await desk.operator_and_token("boss", Role.ADMINISTRATOR)
    salt = (await said(clone_url, "site", "rotate-salt", desk.site_id, "--token", token)).strip()
    await said(clone_url, "site", "rotate-salt", desk.site_id)
    newest, first = await desk.diary()
    assert (first.actor, first.deed, first.subject) == (boss.actor, "site.salt_rotated", "site")
    assert newest.actor == "machine:oper_ator"
    assert salt not in str(first)


async def test_who_made_a_token_and_who_ended_it(desk: Desk, clone_url: str) -> None:
    boss, token = await desk.operator_and_token("boss", Role.ADMINISTRATOR)
    create = ("token", "create", desk.site_id, "play", "--label", "acme", "--token", token)
    secret = (await said(clone_url, *create)).strip()
    its_id = (await said(clone_url, "token", "list", desk.site_id)).splitlines()[-1].split()[0]
    revoke = ("token", "revoke", desk.site_id, its_id, "--token", token)
    assert await said(clone_url, *revoke) == "revoked: play\n"
    assert (await run(clone_url, *revoke)).exit_code == 1  # it is over: nothing was done, nothing is noted
    ended, made = await desk.diary()
    detail = {"scope": "play", "label": "acme"}
    assert (made.actor, made.deed, made.subject, made.detail) == (
        boss.actor, "api_token.created", its_id, detail
    )  # fmt: skip
    assert (ended.actor, ended.deed, ended.subject, ended.detail) == (
        boss.actor, "api_token.revoked", its_id, detail
    )  # fmt: skip
    assert secret not in str(made)


async def test_who_decided_who_keeps_the_balances(
    desk: Desk, clone_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modes, "_WAIT_SECONDS", 0)
    boss, token = await desk.operator_and_token("boss", Role.ADMINISTRATOR)
    url = "https://shop.example.com/wallet"
    mode = ("site", "wallet-mode", desk.site_id, "--token", token)
    await said(clone_url, *mode, "--callback-url", url, "--dry-run")
    assert await desk.diary() == []
    await said(clone_url, *mode, "--callback-url", url)
    await said(clone_url, *mode)
    assert [(line.actor, line.deed, line.detail) for line in await desk.diary()] == [
        (boss.actor, "site.wallet_mode", {"before": url, "now": ""}),
        (boss.actor, "site.wallet_mode", {"before": "", "now": url}),
    ]


async def test_who_decided_what_a_site_is_told(desk: Desk, clone_url: str) -> None:
    boss, token = await desk.operator_and_token("boss", Role.ADMINISTRATOR)
    await said(clone_url, "site", "tell", desk.site_id, "every-change", "--token", token)
    added = await said(clone_url, "webhooks", "endpoint", "add", desk.site_id, "https://shop.example.com/e")
    endpoint_id = added.split()[0].rstrip(":")
    await said(clone_url, "webhooks", "endpoint", "test", desk.site_id, endpoint_id)
    async with desk.database.reading() as reader:
        webhook_id = await reader.scalar(text("SELECT webhook_id FROM webhook"))
    await said(clone_url, "webhooks", "replay", desk.site_id, webhook_id, "--token", token)
    events = ("replay-events", desk.site_id, endpoint_id, "--since", "2026-01-01", "--until", "2026-01-02")
    await said(clone_url, "webhooks", *events, "--token", token)
    assert [
        (line.deed, line.subject, line.detail) for line in await desk.diary() if line.actor == boss.actor
    ] == [
        (
            "endpoint.events_replayed",
            endpoint_id,
            {"since": "2026-01-01T00:00:00+00:00", "until": "2026-01-02T00:00:00+00:00", "types": []},
        ),
        ("webhook.replayed", webhook_id, {}),
        ("site.notified_of", "site", {"of": "every-change"}),
    ]
    for nobodys in (("replay", "whd_none"), ("replay-events", "whe_none", "--since", "2026-01-01")):
        verb, its_id, *more = nobodys
        assert (await run(clone_url, "webhooks", verb, desk.site_id, its_id, *more)).exit_code == 1
    assert len(await desk.diary()) == 4


async def test_who_listed_a_game(desk: Desk, clone_url: str) -> None:
    boss, token = await desk.operator_and_token("boss", Role.ADMINISTRATOR)
    add = ("wallet", "game", "add", desk.site_id, "acme", "slot", "--name", "Slot", "--off", "--token", token)
    await said(clone_url, *add)
    [line] = await desk.diary()
    assert (line.actor, line.deed, line.subject) == (boss.actor, "game.listed", "slot")
    assert line.detail == {"platform": "acme", "name": "Slot", "url": "", "is_enabled": False}


async def test_who_may_not_does_none_of_it(desk: Desk, clone_url: str) -> None:
    _, weak = await desk.operator_and_token("weak", *(set(Role) - {Role.ADMINISTRATOR}))
    before = await said(clone_url, "token", "list", desk.site_id)
    its_id = before.split()[0]
    for words in (
        ("site", "create", "--name", "Tulpar", "--currency", "KZT", *ADDRESSES),
        ("site", "rotate-salt", desk.site_id),
        ("site", "wallet-mode", desk.site_id, "--callback-url", "https://shop.example.com/wallet"),
        ("token", "create", desk.site_id, "wallet"),
        ("token", "revoke", desk.site_id, its_id),
        ("site", "tell", desk.site_id, "every-change"),
        ("webhooks", "replay", desk.site_id, "whd_none"),
        ("webhooks", "replay-events", desk.site_id, "whe_none", "--since", "2026-01-01"),
        ("wallet", "game", "add", desk.site_id, "acme", "slot", "--name", "Slot"),
    ):
        done = await run(clone_url, *words, "--token", weak)
        assert isinstance(done.exception, staff.NotPermitted), words
    assert await said(clone_url, "token", "list", desk.site_id) == before
    assert await desk.diary() == []


@pytest.mark.parametrize("words", ["player block SITE aigerim", "switch stop SITE deposits", "jobs revive 1"])
async def test_no_reason_has_the_number_of_a_card(desk: Desk, clone_url: str, words: str) -> None:
    told = words.replace("SITE", str(desk.site_id)).split()
    done = await run(clone_url, *told, "--reason", "charged back on 4242 4242 4242 4242")
    assert isinstance(done.exception, staff.BadReason), done.output
    assert await desk.diary() == []
