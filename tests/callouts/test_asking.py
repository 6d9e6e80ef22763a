"""Asking the merchant on real sockets: one signed attempt, written down before it is sent."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import standardwebhooks
from sqlalchemy import text
from sqlalchemy.engine import Row

from app import callouts, merchants
from app.callouts import CalloutState, DepositQuestion, PayoutQuestion, operations
from app.kernel.clock import MovableClock, SystemClock
from app.kernel.money import Money
from app.plumbing.breaker import BreakerState
from app.plumbing.database import Database, NetworkInsideTransaction
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes
from tests.payments.peers import (
    SILENCE_SECONDS,
    Heard,
    Manner,
    Server,
    answering,
    dripping,
    endless,
    hanging,
    resetting,
    sending,
    serving,
)

ACCEPTED = {"code": 0, "external_id": "order_1"}
QUESTION = DepositQuestion("dep_1", "100000001", "игрок", Money(150_000, "KZT"), 1, 1, "127.0.0.1", 3)

PAYOUT_ACCEPTED = {"code": 50, "external_id": "704224078"}
PAYOUT = PayoutQuestion(
    *("wdr_1", "100000002", "игрок", Money(400_000, "KZT"), 1, 1),
    customer_purse="555555...4444",
    remember_customer_purse=True,
    customer_ip="127.0.0.1",
)


@dataclass
class Room:
    """A site and its merchant's server."""

    pipes: Pipes
    server: Server
    created: merchants.CreatedSite

    async def ask(self) -> callouts.Answer:
        site, now = await self.site(), self.pipes.clock.now()
        async with self.pipes.database.transaction() as tx:
            written, its_rows = callouts.deposit_question(site, QUESTION, at=now)
            await tx.write(*its_rows)
        heard = await callouts.check_deposit(self.pipes, written)
        await callouts.write_answer(self.pipes.database, heard, at=self.pipes.clock.now())
        return heard.answer

    async def ask_payout(self) -> callouts.Answer:
        return await callouts.request_payout(self.pipes, await self.site(), PAYOUT)

    async def site(self) -> merchants.Site:
        async with self.pipes.database.reading() as reader:
            return await merchants.site(reader, self.created.site_id)

    async def rows(self) -> list[Row[Any]]:
        async with self.pipes.database.reading() as reader:
            return list(await reader.all(text("SELECT * FROM callout ORDER BY callout_id")))


@pytest.fixture
async def room(
    database: Database, clock: MovableClock, request: pytest.FixtureRequest
) -> AsyncIterator[Room]:
    async with serving(answering(ACCEPTED)) as server:
        peers = frozenset({server.peer})
        more = dict(getattr(request, "param", {}))
        used = SystemClock() if more.pop("live", False) else clock
        async with HttpClient(used, allowed_private_peers=peers) as http:
            pipes = Pipes(database, http, used, "https://cashier.example.com")
            new = merchants.NewSite(
                name="Altyn Games",
                currencies=("KZT",),
                callout_url=f"{server.url}/callout?shop=1",
                notify_url=f"{server.url}/notify",
                **more,
            )
            async with database.transaction() as tx:
                created = await merchants.create_site(tx, new, at=used.now(), allowed_private_peers=peers)
            yield Room(pipes, server, created)


def sha1_of(fields: dict[str, Any], salt: str) -> str:
    """The protocol's rule, written out once more."""
    string = "".join(f"{name}:{fields[name]};" for name in sorted(fields) if name != "signature")
    return hashlib.sha1((string + salt).encode(), usedforsecurity=False).hexdigest()


async def test_allowed(room: Room) -> None:
    answer = await room.ask()
    assert (answer.state, answer.external_id) == (CalloutState.ACCEPTED, "order_1")
    [heard] = room.server.heard
    assert heard.path == "/callout?shop=1"
    assert heard.headers["content-type"] == "application/json"
    assert heard.fields["amount"] == 150_000
    assert heard.fields["signature"] == sha1_of(heard.fields, room.created.salt)
    [row] = await room.rows()
    assert (row.state, row.http_status, row.payment_id, row.action) == (
        "accepted",
        200,
        "dep_1",
        "check_deposit",
    )
    assert row.request == {name: value for name, value in heard.fields.items() if name != "signature"}
    assert json.loads(row.answer) == ACCEPTED
    assert heard.headers["webhook-id"] == row.callout_id


@pytest.mark.parametrize("room", [{"message_format": merchants.MessageFormat.FORM}], indirect=True)
async def test_as_a_form(room: Room) -> None:
    await room.ask()
    [heard] = room.server.heard
    assert heard.headers["content-type"] == "application/x-www-form-urlencoded"
    assert heard.fields["site_login"] == "игрок"
    assert heard.fields["signature"] == sha1_of(heard.fields, room.created.salt)


@pytest.mark.parametrize("room", [{"live": True}], indirect=True)
async def test_the_standard_headers_are_right_for_somebody_elses_library(room: Room) -> None:
    await room.ask()
    [heard] = room.server.heard
    library = standardwebhooks.Webhook(room.created.webhook_secret)
    assert library.verify(heard.body.decode(), heard.headers) == heard.fields


async def test_it_is_written_before_it_is_sent_and_known_as_ours(room: Room) -> None:
    seen: list[tuple[str, int | None]] = []

    async def look(heard: Heard) -> None:
        [row] = await room.rows()
        seen.append((row.state, row.http_status))
        async with room.pipes.database.reading() as reader:
            mine = await reader.scalar(
                text("SELECT count(*) FROM issued_signature WHERE signature = :signature"),
                {"signature": heard.fields["signature"]},
            )
        assert mine == 1

    room.server.before = look
    await room.ask()
    assert seen == [("sent", None)]


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        (hanging, "no answer: timed_out"),
        (dripping, "no answer: timed_out"),
        (endless, "no answer: too_large"),
        (resetting, "no answer: broken"),
        (answering(b" " * 65_537), "no answer: too_large"),
        (sending(b"220 mail.example.com ESMTP\r\n\r\n"), "no answer: malformed"),
        (answering(ACCEPTED, 302, "Location: /callout"), "HTTP 302 without a readable answer"),
        (answering(ACCEPTED, 500), "HTTP 500 without a readable answer"),
        (answering({"code": 0}), "accepted without a usable external_id"),
        (answering({"code": 7}), "code 7 is none of the protocol"),
    ],
)
async def test_no_usable_answer_is_unknown(
    room: Room, manner: Manner, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason == "no answer: timed_out":
        monkeypatch.setattr(operations, "DEADLINE_SECONDS", SILENCE_SECONDS)
    room.server.manner = manner
    async with asyncio.timeout(10):
        answer = await room.ask()
    assert (answer.state, answer.reason) == (CalloutState.UNKNOWN, reason)
    assert len(room.server.heard) == 1, "one attempt, and no redirect is followed"
    [row] = await room.rows()
    assert (row.state, row.reason) == ("unknown", reason)


async def test_what_the_merchant_said_is_kept_masked(room: Room) -> None:
    card = "4111111111111111"
    # The card lies across the end of what is kept.
    room.server.manner = answering(b"x" * 19_990 + b" " + card.encode() + b"\x00" + b"y" * 40_000)
    await room.ask()
    [row] = await room.rows()
    assert len(row.answer) == 20_000
    assert card[:9] not in row.answer
    room.server.manner = answering({"code": 500, "error_description": f"card {card} is blocked"})
    answer = await room.ask()
    assert answer.reason == "card 411111...1111 is blocked"
    assert card not in str(await room.rows())


async def test_the_deadline_is_five_seconds(room: Room) -> None:
    assert operations.DEADLINE_SECONDS == 5


async def test_it_is_never_asked_inside_a_transaction(room: Room) -> None:
    async with room.pipes.database.transaction():
        with pytest.raises((NetworkInsideTransaction, RuntimeError)):
            await room.ask()
    assert room.server.heard == []


async def test_a_dead_webhook_address_on_the_same_server_refuses_no_deposit(room: Room) -> None:
    """The breaker of webhooks is not that of callouts."""
    room.server.manner = answering({}, 500)
    peer = f"webhooks 127.0.0.1:{room.server.port}"
    for _ in range(5):
        await room.pipes.http.call("POST", f"{room.server.url}/notify", deadline_seconds=2, peer=peer)
    assert [state.breaker for state in room.pipes.http.peers()] == [BreakerState.OPEN]
    room.server.manner = answering(ACCEPTED)
    assert (await room.ask()).state is CalloutState.ACCEPTED


async def test_a_payout_is_accepted(room: Room) -> None:
    room.server.manner = answering(PAYOUT_ACCEPTED)
    answer = await room.ask_payout()
    assert (answer.state, answer.external_id) == (CalloutState.ACCEPTED, "704224078")
    [heard] = room.server.heard
    assert heard.path == "/callout?shop=1"
    assert heard.fields["action"] == "request_payout"
    assert heard.fields["signature"] == sha1_of(heard.fields, room.created.salt)
    [row] = await room.rows()
    assert (row.state, row.payment_id, row.action) == ("accepted", "wdr_1", "request_payout")
    assert row.request == {name: value for name, value in heard.fields.items() if name != "signature"}
    async with room.pipes.database.reading() as reader:
        assert await callouts.accepted_order(reader, room.created.site_id, "wdr_1") == "704224078"


@pytest.mark.parametrize(
    ("content", "state"),
    [
        ({"code": 402, "error_description": "Not enough funds"}, "no_funds"),
        ({"code": 500, "error_description": "Not enough funds"}, "refused"),
    ],
)
async def test_a_payout_is_refused(room: Room, content: object, state: str) -> None:
    room.server.manner = answering(content)
    answer = await room.ask_payout()
    assert (answer.state, answer.reason) == (state, "Not enough funds")
    [row] = await room.rows()
    assert (row.state, row.reason, row.external_id) == (state, "Not enough funds", "")


async def test_a_payout_is_written_before_it_is_asked_and_a_lost_answer_stays_unknown(room: Room) -> None:
    """The merchant acts, the answer is lost, and the same question comes again: it is told by its number."""
    seen: list[str] = []

    async def look(_: Heard) -> None:
        seen.extend(row.state for row in await room.rows() if row.answered_at is None)

    room.server.before = look
    room.server.manner = resetting
    assert (await room.ask_payout()).state is CalloutState.UNKNOWN
    room.server.manner = answering(ACCEPTED)
    assert (await room.ask_payout()).reason == "code 0 is none of the protocol"
    room.server.manner = answering(PAYOUT_ACCEPTED)
    assert (await room.ask_payout()).state is CalloutState.ACCEPTED
    assert seen == ["sent", "sent", "sent"]
    assert sorted(row.state for row in await room.rows()) == ["accepted", "unknown", "unknown"]
    first, second, third = (heard.fields for heard in room.server.heard)
    assert first == second == third, "the same ids, down to the signature"
    assert first["transaction_id"] == "100000002"
    assert len({heard.headers["webhook-id"] for heard in room.server.heard}) == 3


async def test_a_payout_is_never_asked_inside_a_transaction(room: Room) -> None:
    async with room.pipes.database.transaction():
        with pytest.raises((NetworkInsideTransaction, RuntimeError)):
            await room.ask_payout()
    assert room.server.heard == []
