"""A card number reaches no table, log or exception, wherever it is planted (trust.md 3.1, row 26).

Numbers are planted into everything that comes from outside and passes these rooms: what a player types as a
destination, what a provider answers, what it notices, and what it says of a card. Then every column of every
table is searched, and everything that was logged.
"""

import json
import logging
import re
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import text

from app import methods, payments, players, providers
from app.kernel.errors import Refusal
from app.kernel.masking import CardNumber
from app.main import create_app
from app.plumbing.database import Transaction
from app.plumbing.http import HttpClient
from app.providers.gateways.sandbox import GATEWAY
from tests.demo.servers import hmac_signed
from tests.payments import conftest
from tests.payments.peers import Manner, Server, answering, hanging, resetting, serving
from tests.payments.world import Provider, World

provider = conftest.provider
world = conftest.world

CARDS = ["4111111111111111", "5555555555554444", "378282246310005", "6011000990139424", "8600492993215991"]
CARD = CARDS[0]
WAYS = [
    *CARDS,
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "4111\u00a01111\u00a01111\u00a01111",
    f"paid with {CARD}.",
    f"\r\n{CARD}\x00",
]


def digits(kept: str) -> str:
    """The text without what may stand between the groups of a number."""
    return "".join(mark for mark in kept if mark.isalnum() or mark in "*.:,")


def assert_none(kept: str, where: str) -> None:
    for number in CARDS:
        assert number not in digits(kept), where


@pytest.fixture
async def searched(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[World]:
    """A world that is searched at its end: all tables, all logs."""
    caplog.set_level(logging.DEBUG)
    yield world
    tables = await world.rows(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    seen = 0
    for table in tables:
        for row in await world.rows(f"SELECT t::text AS kept FROM {table.name} t"):  # noqa: S608  names of our own tables
            seen += 1
            assert_none(row.kept, table.name)
            for written in re.findall(r"\\\\x((?:[0-9a-f]{2})+)", row.kept):  # a bytea is written so
                assert_none(bytes.fromhex(written).decode(errors="replace"), f"{table.name}, as bytes")
    assert seen, "nothing was stored: the search says nothing"
    assert_none(caplog.text, "log")
    assert_none("".join(capsys.readouterr()), "output")


async def account(world: World) -> providers.ProviderAccount:
    async with world.database.reading() as reader:
        return await providers.account(reader, world.site_id, "main")


def shown(refused: BaseException) -> str:
    """All that may be shown of an exception: its text, its data, its traceback with causes."""
    data = f"{getattr(refused, 'fields', '')}{getattr(refused, 'param', '')}{refused.args!r}{refused!r}"
    return "".join(traceback.format_exception(refused)) + data


@pytest.mark.parametrize("way", WAYS, ids=ascii)
async def test_in_what_a_player_types(searched: World, way: str) -> None:
    session = await searched.session()
    fields = [one.name for method in methods.DESTINATION_FIELDS.values() for one in method]
    right = {"iban": "KZ86125KZT5004100100", "iin": "900101300007", "name": "Aigerim"}
    typed: list[tuple[str, dict[str, object]]] = [
        (method, {**right, name: way} if method == "bank_transfer" else {name: way})
        for method in (*methods.CATALOGUE, way)
        for name in (*fields, way, "token")
    ]
    kept = 0
    for method, content in typed:
        try:
            found = methods.read_destination(method, content)
        except Refusal as refused:
            assert_none(shown(refused), "refusal")
            continue
        assert_none(repr(found) + str(found) + found.masked, "destination")
        async with searched.database.transaction() as tx:
            try:
                await remembered(tx, searched, session.player, found)
                kept += 1
            except ValueError as refused:
                assert_none(shown(refused), "refusal to store")
    assert kept <= 3


async def remembered(
    tx: Transaction, world: World, player: players.Player, found: methods.Destination
) -> None:
    at = world.clock.now()
    await methods.remember_instrument(tx, world.site_id, player.player_id, found, account="main", at=at)


@pytest.mark.parametrize("way", WAYS, ids=ascii)
async def test_in_what_a_provider_answers(searched: World, provider: Provider, way: str) -> None:
    """The sandbox gateway reads an answer full of numbers; the core stores what it made of it."""

    def leaking(reference: str, status: str) -> dict[str, object]:
        plain = {"reference": reference, "status": status, "amount_minor": 150_000, "currency": "KZT"}
        inside = {"method": "card", "masked": way, "fingerprint": way, "token": way}
        more = {"code": way, "message": way, "pan": way, way: way, "deep": [{"x": [way]}]}
        return {**plain, **more, "id": "sbx_1", "instrument": inside}

    for status, theirs in (("declined", "sbx_1"), ("approved", way), ("pending", way), ("returned", "sbx_2")):
        async with (
            serving(hanging) as server,
            HttpClient(searched.clock, allowed_private_peers={server.peer}) as http,
        ):
            there = replace(await account(searched), base_url=server.url, credentials={"secret": "s"})

            async def said(
                order: providers.DepositOrder,
                told: tuple[str, str] = (status, theirs),
                server: Server = server,
                http: HttpClient = http,
                there: providers.ProviderAccount = there,
            ) -> None:
                server.manner = answering({**leaking(order.reference, told[0]), "id": told[1]})
                result = await GATEWAY.deposit(http, there, order)
                assert_none(repr(result) + json.dumps(dict(result.raw)), "result")
                provider.answers = [result]

            provider.during_deposit = said
            await searched.ask(key=f"form-{status}")
    assert len(await searched.rows("SELECT 1 FROM attempt WHERE answer IS NOT NULL")) == 4


@pytest.mark.parametrize("way", WAYS, ids=ascii)
async def test_in_what_a_provider_notices(searched: World, way: str) -> None:
    async with searched.database.transaction() as tx:
        await providers.seed_account(
            tx,
            searched.site_id,
            "sandbox",
            gateway="sandbox",
            base_url="https://pay.example.com",
            credentials={"account": "us", "secret": "s"},
        )
    said = {"notice_id": way, "reference": way, "id": way, "status": "approved", "message": way, way: [way]}
    dispute = {"id": way, "stage": "opened", "amount_minor": 1, "currency": "KZT", "reason": way}
    bodies = [
        json.dumps(said),
        json.dumps(said, ensure_ascii=False),
        json.dumps({**said, "dispute": dispute}, ensure_ascii=False),
        json.dumps({**said, "notice_id": "ntc_1", "reference": "att_1", "instrument": {"masked": way}}),
        f"pan={way}&token={way}",
        way,
    ]
    transport = httpx.ASGITransport(create_app(searched.pipes))
    async with httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as client:
        for body in bodies:
            raw = body.encode()
            signed = {"X-Sandbox-Signature": hmac_signed(raw, "s"), "X-Card": CARD}
            answer = await client.post(f"/notices/{searched.site_id}/sandbox", content=raw, headers=signed)
            assert answer.status_code == 200
            assert_none(answer.text, "reply")
    for row in await searched.rows("SELECT notice_id FROM notice"):
        await payments.read_notice(searched.pipes, searched.site_id, row.notice_id)


@pytest.mark.parametrize("number", CARDS)
@pytest.mark.parametrize("status", [201, 200, 400, 401, 500])
async def test_in_what_a_provider_says_of_a_card(searched: World, number: str, status: int) -> None:
    session = await searched.session()
    good = {"token": "tok_a", "fingerprint": "fpr_a", "masked": number}
    manners: list[Manner] = [
        answering({**good, name: number}, status) for name in ("token", "fingerprint", "masked")
    ]
    manners += [answering({"code": number, "message": f"no {number}", number: number}, status), resetting]
    for manner in manners:
        async with (
            serving(manner) as server,
            HttpClient(searched.clock, allowed_private_peers={server.peer}) as http,
        ):
            there = replace(await account(searched), base_url=server.url, credentials={"secret": "s"})
            given = await GATEWAY.tokenise(http, there, CardNumber(number))
            assert_none(repr(given) + str(given), "what the gateway says")
            sent = [heard.body.decode() for heard in server.heard]
            assert all(number in body for body in sent), "to the provider, and to nobody else"
        if isinstance(given, providers.Tokenised):
            typed = methods.read_destination("card", {"number": number})
            async with searched.database.transaction() as tx:
                await remembered(
                    tx, searched, session.player, typed.tokenised(given.token, given.fingerprint)
                )


async def test_the_search_finds_what_is_there(world: World) -> None:
    """Planted by hand: the search itself is not blind."""
    with pytest.raises(AssertionError):
        assert_none('{"x": "4111 1111 1111 1111"}', "text")
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE site_method SET account = :number"), {"number": CARD})
    [row, *_] = await world.rows("SELECT t::text AS kept FROM site_method t")
    with pytest.raises(AssertionError):
        assert_none(row.kept, "table")
