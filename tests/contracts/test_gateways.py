"""One suite that every gateway must pass (house.md section 6), against its provider on a real socket.

A gateway enters by a `Rig`: how its provider is raised, and how the provider is told to behave. The provider
of the sandbox gateway is the real one of the demo.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from app.kernel.clock import MovableClock, SystemClock
from app.kernel.money import Money
from app.plumbing.http import HttpClient
from app.providers.contract import (
    BadNotice,
    Cap,
    RawNotice,
    State,
)
from app.providers.gateways import GATEWAYS, sandbox
from tests.contracts.rigs import (
    APPROVE,
    CANCEL,
    CARD,
    DECLINE,
    GARBAGE,
    NEEDS_PLAYER,
    PENDING,
    RIGS,
    SECRET,
    SILENT,
    SPOILT,
    WRONG_AMOUNT,
    Rig,
    Spoil,
)
from tests.demo.servers import hmac_signed
from tests.payments.peers import Manner, answering, dripping, endless, hanging, resetting, serving


@pytest.fixture(params=RIGS)
async def rig(
    request: pytest.FixtureRequest, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rig]:
    monkeypatch.setattr(sandbox, "DEADLINE_SECONDS", 1.0)
    async with AsyncExitStack() as stack:
        yield await RIGS[request.param](stack, clock)


def test_every_gateway_is_in_this_suite() -> None:
    assert RIGS.keys() == GATEWAYS.keys()
    assert all(name == gateway.name for name, gateway in GATEWAYS.items())
    assert all(gateway.caps & (Cap.STATUS | Cap.NOTICE) for gateway in GATEWAYS.values())


async def test_the_player_is_needed(rig: Rig) -> None:
    order = rig.order(NEEDS_PLAYER)
    result = await rig.ask(order)
    assert (result.state, result.amount, result.error) == (State.REQUIRES_ACTION, order.amount, None)
    assert result.next_action is not None
    assert result.next_action.url.startswith("https://pay.example.com/")
    assert result.provider_reference
    assert (await rig.status(order.reference)).state is State.REQUIRES_ACTION


async def test_approved(rig: Rig) -> None:
    order = rig.order(APPROVE)
    result = await rig.ask(order)
    assert (result.state, result.amount, result.error) == (State.SUCCEEDED, order.amount, None)
    assert await rig.status(order.reference) == result
    [report] = rig.gateway.parse(rig.account, await rig.noticed())
    assert (report.reference, report.result.state) == (order.reference, State.SUCCEEDED)
    assert report.result.amount == order.amount
    assert report.result.provider_reference == result.provider_reference
    assert report.occurred_at is not None


@pytest.mark.parametrize(("what", "state"), [(DECLINE, State.FAILED), (CANCEL, State.CANCELLED)])
async def test_not_paid(rig: Rig, what: str, state: State) -> None:
    order = rig.order(what)
    result = await rig.ask(order)
    assert result.state is state
    assert result.error is not None
    assert result.error.code
    assert (await rig.status(order.reference)).state is state
    [report] = rig.gateway.parse(rig.account, await rig.noticed())
    assert report.result.state is state


async def test_pending_then_approved(rig: Rig) -> None:
    order = rig.order(PENDING)
    assert (await rig.ask(order)).state is State.PROCESSING
    [report] = rig.gateway.parse(rig.account, await rig.noticed())
    assert report.result.state is State.SUCCEEDED
    assert (await rig.status(order.reference)).state is State.SUCCEEDED


async def test_another_amount_is_told_as_it_is(rig: Rig) -> None:
    """The gateway repeats what was taken; whether that is right, the core decides."""
    result = await rig.ask(rig.order(WRONG_AMOUNT))
    assert (result.state, result.amount) == (State.SUCCEEDED, Money(75_000, "KZT"))


@pytest.mark.parametrize("what", [SILENT, GARBAGE])
async def test_silence_and_garbage_are_unknown(rig: Rig, what: str) -> None:
    order = rig.order(what)
    for result in (await rig.ask(order), await rig.status(order.reference)):
        assert result.state is State.UNKNOWN
        assert result.error is not None
        assert not result.nothing_was_sent


async def test_the_same_reference_twice_is_one_order(rig: Rig) -> None:
    order = rig.order(NEEDS_PLAYER)
    first, second = await asyncio.gather(rig.ask(order), rig.ask(order))
    assert first == second
    assert [found["reference"] for found in await rig.orders()] == [order.reference]


async def test_the_same_reference_for_another_order_is_never_read_as_ours(rig: Rig) -> None:
    order = rig.order(APPROVE)
    await rig.ask(order)
    other = replace(order, amount=Money(1, "KZT"))
    assert (await rig.ask(other)).state is State.UNKNOWN
    assert len(await rig.orders()) == 1


@pytest.mark.parametrize(
    "amount", [Money(1, "JPY"), Money(150_000, "KZT"), Money(1_234_567, "KWD"), Money(10**15, "KZT")], ids=str
)
async def test_amounts_arrive_in_minor_units_and_come_back_the_same(rig: Rig, amount: Money) -> None:
    result = await rig.ask(rig.order(APPROVE, amount))
    assert (result.state, result.amount) == (State.SUCCEEDED, amount)
    [order] = await rig.orders()
    assert (order["amount_minor"], order["currency"]) == (amount.minor, amount.currency)


async def test_an_order_that_nobody_knows(rig: Rig) -> None:
    assert (await rig.status("att_nobody")).state is State.NOT_FOUND
    assert (await rig.cancel("att_nobody")).state is State.NOT_FOUND
    # A reference is one step of a path, whatever is in it.
    for strange in ("../../healthz", "a/b", "a?b=c", "a#b", "%2e", "a b", "ä"):
        assert (await rig.status(strange)).state in {State.NOT_FOUND, State.UNKNOWN}


async def test_cancelling(rig: Rig) -> None:
    order = rig.order(NEEDS_PLAYER)
    await rig.ask(order)
    for _ in range(2):
        assert (await rig.cancel(order.reference)).state is State.CANCELLED
    assert (await rig.status(order.reference)).state is State.CANCELLED


@pytest.mark.parametrize(("what", "state"), [(APPROVE, State.SUCCEEDED), (DECLINE, State.FAILED)])
async def test_cancelling_too_late_tells_how_the_order_stands(rig: Rig, what: str, state: State) -> None:
    order = rig.order(what)
    await rig.ask(order)
    assert (await rig.cancel(order.reference)).state is state
    assert (await rig.status(order.reference)).state is state


async def test_a_refused_request_is_final_for_what_it_would_have_opened(rig: Rig) -> None:
    refused = {"error": "malformed", "code": "30", "message": "no"}
    results = await rig.told(lambda _: answering(refused, 400))
    final = {name for name, result in results.items() if result.state is State.FAILED}
    assert final == {"deposit", "pay_out", "refund"}
    assert results["status"].state is results["cancel"].state is State.UNKNOWN


async def test_garbage_is_unknown_in_every_call(rig: Rig) -> None:
    for name, spoil in SPOILT.items():

        def spoilt(reference: str, spoil: Spoil = spoil) -> Manner:
            return answering(spoil(rig.answer(reference)))

        results = await rig.told(spoilt)
        assert {result.state for result in results.values()} == {State.UNKNOWN}, name


async def test_no_other_http_status_says_anything(rig: Rig) -> None:
    """Whatever the body says: a proxy may have written it."""
    for status in (
        *(100, 204, 301, 302, 303, 307, 308, 401, 402, 403, 404, 408, 409, 410, 418, 422, 425, 429),
        *(500, 501, 502, 503, 504, 521, 599),
    ):

        def other(reference: str, status: int = status) -> Manner:
            return answering(rig.answer(reference), status, "Location: http://127.0.0.1:1/")

        results = await rig.told(other)
        assert {result.state for result in results.values()} == {State.UNKNOWN}, status


@pytest.mark.parametrize(
    "manner", [hanging, dripping, endless, resetting], ids=lambda manner: manner.__name__
)
async def test_a_broken_connection_is_unknown_within_the_deadline(rig: Rig, manner: Manner) -> None:
    async with asyncio.timeout(10):  # of five calls
        results = await rig.told(lambda _: manner)
    assert {result.state for result in results.values()} == {State.UNKNOWN}
    assert not any(result.nothing_was_sent for result in results.values())


async def test_nobody_there_is_known_not_to_have_been_asked(rig: Rig) -> None:
    async with serving(hanging) as server:
        peer, url = server.peer, server.url
    async with HttpClient(SystemClock(), allowed_private_peers={peer}) as http:
        result = await rig.gateway.deposit(http, replace(rig.account, base_url=url), rig.order())
    assert (result.state, result.nothing_was_sent) == (State.UNKNOWN, True)


async def test_a_tampered_notice_is_refused(rig: Rig) -> None:
    await rig.ask(rig.order(APPROVE))
    notice = await rig.noticed()
    rig.gateway.verify(rig.account, notice)
    reply = rig.gateway.reply(rig.account, notice)
    assert 200 <= reply.status < 300
    [signature] = [
        name for name, value in notice.headers.items() if value == hmac_signed(notice.body, SECRET)
    ]
    good = notice.headers[signature]
    spoilt = {"", "0" * 64, good[:-1], good.upper(), good + "0", f" {good}", "ä" * 64}
    headers = [{**notice.headers, signature: value} for value in spoilt]
    headers.append({name: value for name, value in notice.headers.items() if name != signature})
    bodies = [notice.body + b" ", notice.body[:-1], b"", notice.body.replace(b"150000", b"950000")]
    changed = [replace(notice, headers=given) for given in headers]
    changed += [replace(notice, body=body) for body in bodies]
    for wrong in changed:
        with pytest.raises(BadNotice):
            rig.gateway.verify(rig.account, wrong)


async def test_an_account_without_a_secret_believes_nobody(rig: Rig) -> None:
    """An empty key signs as well as any: whoever knows that there is none could write notices."""
    await rig.ask(rig.order(APPROVE))
    notice = await rig.noticed()
    for credentials in ({}, {"secret": ""}):
        forged = {name: hmac_signed(notice.body, "") for name in notice.headers}
        with pytest.raises(BadNotice):
            rig.gateway.verify(replace(rig.account, credentials=credentials), replace(notice, headers=forged))


async def test_an_unreadable_notice_says_nothing_definite(rig: Rig) -> None:
    told = {**rig.answer("att_1"), "notice_id": "ntc_1", "occurred_at": "2026-11-21T12:00:00+00:00"}
    for name, spoil in SPOILT.items():
        content = spoil(told)
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        for report in rig.gateway.parse(rig.account, RawNotice("/", {}, body)):
            # A notice is about the order it names; what it says of another one's may well be right.
            if report.reference == "att_1":
                assert report.result.state is State.UNKNOWN, name


@pytest.mark.parametrize("at", ["yesterday", "2026-11-21T12:00:00", "", None, 7])
async def test_a_notice_without_a_usable_time_has_none(rig: Rig, at: object) -> None:
    told = {**rig.answer("att_1"), "notice_id": "ntc_1", "occurred_at": at}
    [report] = rig.gateway.parse(rig.account, RawNotice("/", {}, json.dumps(told).encode()))
    assert report.occurred_at is None
    assert report.result.state is State.SUCCEEDED


async def test_no_secret_and_no_card_number_comes_out(rig: Rig) -> None:
    def leaking(reference: str) -> Manner:
        said = {
            **rig.answer(reference),
            "status": "declined",
            "code": f"05 {CARD}",
            "message": f"card {CARD[:4]} {CARD[4:8]} {CARD[8:12]} {CARD[12:]}\r\nX-Forged: yes\x00",
            "card_number": CARD,
            "secret": SECRET,
            "deeper": [{"pan": CARD, "token": SECRET, "text": f"paid with {CARD}"}],
        }
        return answering(said)

    results = await rig.told(leaking)
    assert {result.state for result in results.values()} == {State.FAILED}
    for result in [*results.values(), *(await rig.told(lambda _: resetting)).values()]:
        shown = repr(result) + json.dumps(dict(result.raw))
        digits = "".join(mark for mark in shown if mark.isdigit())
        assert CARD not in digits
        assert SECRET not in shown
        assert "\x00" not in shown
        assert result.error is None or not set(result.error.message) & set("\r\n\x00")
    assert SECRET not in repr(rig.account)
