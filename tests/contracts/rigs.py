"""The rigs of the suite: for each gateway, its provider on a real socket, and how it is told to behave."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import httpx

from app.demo import provider as sandbox_provider
from app.demo.provider_orders import ProviderSettings
from app.kernel import ids
from app.kernel.clock import MovableClock, SystemClock
from app.kernel.masking import CardNumber
from app.kernel.money import Money
from app.plumbing.http import HttpClient
from app.providers.contract import (
    DepositOrder,
    Gateway,
    PayoutOrder,
    ProviderAccount,
    ProviderError,
    RawNotice,
    RefundOrder,
    Report,
    Result,
    Tokenised,
)
from app.providers.gateways import GATEWAYS
from tests.demo.servers import started
from tests.payments.peers import Heard, Manner, answering, serving

SECRET = "a-secret-of-the-account"  # never in what a gateway returns
CARD = "4111111111111111"
Out = TypeVar("Out", PayoutOrder, RefundOrder, PayoutOrder | RefundOrder)
# What an order is to do, in words of this suite; each rig says how its provider is told.
APPROVE, DECLINE, CANCEL, NEEDS_PLAYER = "approve", "decline", "cancel", "needs_player"
PENDING, SILENT, GARBAGE, WRONG_AMOUNT = "pending", "silent", "garbage", "wrong_amount"


class ToldTo(Protocol):
    """Tells a provider how to behave about a payout or a refund."""

    def __call__(self, order: Out, what: str) -> Out: ...


@dataclass
class Rig:
    """A gateway, an account of ours, and the provider's end of it."""

    gateway: Gateway
    http: HttpClient
    account: ProviderAccount
    notices: list[Heard]
    choose: Callable[[DepositOrder, str], DepositOrder]
    orders: Callable[[], Awaitable[list[dict[str, Any]]]]
    answer: Callable[[str], dict[str, Any]]  # one about our reference that says paid, to be spoilt
    notice_url: str
    told_to: "ToldTo"
    test_card: str  # with which players pay unless they choose another

    def order(self, what: str = NEEDS_PLAYER, amount: Money | None = None) -> DepositOrder:
        made = DepositOrder(
            reference=f"att_{ids.secret(16)}",
            amount=amount or Money(150_000, "KZT"),
            description="Altyn Games, 100000001",
            player_reference="ply_1",
            language="en",
            return_url="https://cashier.example.com/back",
            notice_url=self.notice_url,
        )
        return self.choose(made, what)

    def payout(self, reference: str) -> PayoutOrder:
        """A payout of the sum of `order()` to a telephone."""
        return PayoutOrder(
            reference=reference,
            amount=Money(150_000, "KZT"),
            method="mobile_operator",
            destination={"phone": "+77011234567"},
            description="Altyn Games, 100000002",
            player_reference="ply_1",
            language="en",
            notice_url=self.notice_url,
        )

    def refund_of(self, original: DepositOrder, reference: str) -> RefundOrder:
        return RefundOrder(reference, original.reference, "sbx_1", original.amount, "wished", self.notice_url)

    async def ask(self, order: DepositOrder) -> Result:
        return await self.gateway.deposit(self.http, self.account, order)

    async def status(self, reference: str) -> Result:
        return await self.gateway.status(self.http, self.account, reference)

    async def cancel(self, reference: str) -> Result:
        return await self.gateway.cancel(self.http, self.account, reference)

    async def noticed(self) -> RawNotice:
        async with asyncio.timeout(5):
            while not self.notices:  # noqa: ASYNC110  what is waited for is in another server
                await asyncio.sleep(0.02)
        heard = self.notices[-1]
        return RawNotice(heard.path, heard.headers, heard.body)

    async def reports(self, least: int) -> list[Report]:
        """The facts of all notices so far, at least so many."""
        async with asyncio.timeout(5):
            while len(self.notices) < least:  # noqa: ASYNC110  what is waited for is in another server
                await asyncio.sleep(0.02)
        raw = [RawNotice(heard.path, heard.headers, heard.body) for heard in self.notices]
        return [report for notice in raw for report in self.gateway.parse(self.account, notice)]

    async def told(self, manner: Callable[[str], Manner]) -> dict[str, Result]:
        """What the gateway makes of one manner of answering, for each of its calls."""
        order = self.order()
        async with (
            serving(manner(order.reference)) as server,
            HttpClient(SystemClock(), allowed_private_peers={server.peer}) as http,
        ):
            there = replace(self.account, base_url=server.url)
            return {
                "deposit": await self.gateway.deposit(http, there, order),
                "pay_out": await self.gateway.pay_out(http, there, self.payout(order.reference)),
                "refund": await self.gateway.refund(http, there, self.refund_of(order, order.reference)),
                "status": await self.gateway.status(http, there, order.reference),
                "cancel": await self.gateway.cancel(http, there, order.reference),
            }

    async def said(self, manner: Manner) -> tuple[Money | None, Tokenised | ProviderError]:
        """What the gateway makes of one manner of answering about a balance and a card."""
        async with (
            serving(manner) as server,
            HttpClient(SystemClock(), allowed_private_peers={server.peer}) as http,
        ):
            there = replace(self.account, base_url=server.url)
            return (
                await self.gateway.balance(http, there, "KZT"),
                await self.gateway.tokenise(http, there, CardNumber(CARD)),
            )


async def sandbox_rig(stack: AsyncExitStack, clock: MovableClock) -> Rig:
    listener = await stack.enter_async_context(serving(answering({"received": True})))
    settings = ProviderSettings(
        public_url="https://pay.example.com",
        merchants={"us": SECRET},
        notice_peers=frozenset({listener.peer}),
        clock=clock,
        short_pause_seconds=0.05,
        long_pause_seconds=30,
        hang_seconds=2,
        notice_delays_seconds=(),
    )
    server = await started(sandbox_provider.create_app(settings))
    stack.push_async_callback(server.stop)
    account = ProviderAccount(101, "main", "sandbox", server.url, "", {"account": "us", "secret": SECRET})
    scripts = {PENDING: "pending_then_approve", SILENT: "never_answer", GARBAGE: "garbage_answer"}

    def choose(order: DepositOrder, what: str) -> DepositOrder:
        return replace(order, description=f"[script:{scripts.get(what, what)}] {order.description}")

    def told_to(order: Out, what: str) -> Out:
        mark = f"[script:{scripts.get(what, what)}]"
        if isinstance(order, RefundOrder):
            return replace(order, reason=f"{mark} {order.reason}")
        return replace(order, description=f"{mark} {order.description}")

    async def orders() -> list[dict[str, Any]]:
        async with httpx.AsyncClient(trust_env=False) as client:
            found: list[dict[str, Any]] = (await client.get(f"{server.url}/demo/state")).json()["orders"]
            return found

    def answer(reference: str) -> dict[str, Any]:
        paid = {"id": "sbx_1", "status": "approved", "amount_minor": 150_000, "currency": "KZT"}
        return {**paid, "reference": reference, "code": "00", "message": "Approved"}

    host, port = "127.0.0.1", int(server.url.rpartition(":")[2])
    http = await stack.enter_async_context(HttpClient(clock, allowed_private_peers={(host, port)}))
    notice_url = f"{listener.url}/notices/101/main"
    return Rig(
        gateway=GATEWAYS["sandbox"],
        http=http,
        account=account,
        notices=listener.heard,
        choose=choose,
        orders=orders,
        answer=answer,
        notice_url=notice_url,
        told_to=told_to,
        test_card="4242424242424242",
    )


RIGS = {"sandbox": sandbox_rig}

Spoil = Callable[[dict[str, Any]], object]
SPOILT: dict[str, Spoil] = {
    "nothing": lambda _: b"",
    "text": lambda _: b"ok",
    "html": lambda _: b"<html>approved</html>",
    "not UTF-8": lambda _: b'{"status": "approved\xff"}',
    "half": lambda paid: json.dumps(paid).encode()[:-5],
    "list": lambda paid: [paid],
    "null": lambda _: b"null",
    "deep": lambda _: b"[" * 60_000,
    "another order's": lambda paid: {**paid, "reference": "att_of_somebody_else"},
    "no reference": lambda paid: {**paid, "reference": None},
    "no id": lambda paid: {**paid, "id": None},
    "number for id": lambda paid: {**paid, "id": 7},
    "id with NUL": lambda paid: {**paid, "id": "sbx\x00"},
    "endless id": lambda paid: {**paid, "id": "s" * 5_000},
    "no amount": lambda paid: {**paid, "amount_minor": None},
    "text for amount": lambda paid: {**paid, "amount_minor": "150000"},
    "float for amount": lambda paid: {**paid, "amount_minor": 150_000.0},
    "true for amount": lambda paid: {**paid, "amount_minor": True},
    "no money": lambda paid: {**paid, "amount_minor": 0},
    "negative": lambda paid: {**paid, "amount_minor": -150_000},
    "too much": lambda paid: {**paid, "amount_minor": 10**15 + 1},
    "far too much": lambda paid: json.dumps(paid).replace("150000", "1" + "0" * 400).encode(),
    "infinite": lambda paid: json.dumps(paid).replace("150000", "1e400").encode(),
    "NaN": lambda paid: json.dumps(paid).replace("150000", "NaN").encode(),
    "NaN beside": lambda paid: {**paid, "score": float("nan")},
    "infinity beside": lambda paid: json.dumps(paid).replace("}", ', "x": 1e999}').encode(),
    "half a character": lambda paid: {**paid, "message": "\ud800"},
    "no currency": lambda paid: {**paid, "currency": None},
    "unknown currency": lambda paid: {**paid, "currency": "ZZZ"},
    "lower-case currency": lambda paid: {**paid, "currency": "kzt"},
    "no status": lambda paid: {**paid, "status": None},
    "unknown status": lambda paid: {**paid, "status": "settled"},
    "upper-case status": lambda paid: {**paid, "status": "APPROVED"},
    "list for status": lambda paid: {**paid, "status": ["approved"]},
    "another kind": lambda paid: {**paid, "kind": "loan"},
    "list for kind": lambda paid: {**paid, "kind": ["deposit"]},
    "a card's number for id": lambda paid: {**paid, "id": CARD},
    "two statuses": lambda paid: json.dumps(paid).replace("{", '{"status": "declined", ', 1).encode(),
}
