"""A site, its player, its merchant's server on a real socket, and a provider that says what it is told."""
# ruff: noqa: ARG002  the provider keeps the contract, whatever it makes of it

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Row

from app import ledger, merchants, methods, payments, players, providers
from app.kernel import ids
from app.kernel.clock import MovableClock
from app.kernel.masking import CardNumber
from app.kernel.money import Money
from app.plumbing.database import Database
from app.plumbing.http import HttpClient
from app.plumbing.pipes import Pipes
from app.providers.contract import NoticeReply
from tests.payments.peers import Manner, Server, answering, serving

ACCOUNT = "main"
AMOUNT = Money(150_000, "KZT")
ACCEPTED = {"code": 0, "external_id": "order_1"}

State = providers.State
Reply = providers.Result | Callable[[str], providers.Result]


def paid(reference: str = "theirs-1", amount: Money = AMOUNT) -> providers.Result:
    return providers.Result(State.SUCCEEDED, reference, amount, raw={"said": "paid"})


def awaiting(url: str = "https://pay.example.com/1") -> providers.Result:
    return providers.Result(State.REQUIRES_ACTION, "theirs-1", AMOUNT, providers.Redirect(url))


def just(state: State) -> providers.Result:
    error = providers.ProviderError("05", "the provider's words") if state is State.FAILED else None
    return providers.Result(state, error=error)


# About the provider, and not about the player or the card: another account may do it.
HERE = providers.ProviderError("91", "out of service", retryable=True)
REFUSED = providers.Result(State.FAILED, error=HERE)
UNKNOWN = providers.Result(State.UNKNOWN, error=providers.ProviderError("timed_out", "no answer"))
NEVER_LEFT = providers.Result(
    State.UNKNOWN, error=providers.ProviderError("not_connected", "down"), nothing_was_sent=True
)


@dataclass
class Provider:
    """A gateway whose provider is a list of answers; the last one is given for ever."""

    name: str = "told"
    caps: providers.Cap = providers.Cap.DEPOSIT | providers.Cap.STATUS | providers.Cap.CANCEL
    answers: list[Reply] = field(default_factory=lambda: [awaiting()])
    statuses: list[Reply] = field(default_factory=lambda: [awaiting()])
    cancels: list[Reply] = field(default_factory=lambda: [just(State.CANCELLED)])
    asked: list[tuple[str, str]] = field(default_factory=list)
    orders: list[providers.DepositOrder] = field(default_factory=list)
    payouts: list[providers.PayoutOrder] = field(default_factory=list)
    refunds: list[providers.RefundOrder] = field(default_factory=list)
    float_minor: int | None = 10**12
    tokenised: providers.ProviderError | None = None
    during_deposit: Callable[[providers.DepositOrder], Any] | None = None
    # While its answer is on its way, which it has given already; once.
    during_status: Callable[[], Awaitable[object]] | None = None

    async def deposit(
        self, http: HttpClient, account: providers.ProviderAccount, order: providers.DepositOrder
    ) -> providers.Result:
        self.orders.append(order)
        if self.during_deposit is not None:
            await self.during_deposit(order)
        return self._say("deposit", self.answers, order.reference)

    async def pay_out(
        self, http: HttpClient, account: providers.ProviderAccount, order: providers.PayoutOrder
    ) -> providers.Result:
        self.payouts.append(order)
        return self._say("pay_out", self.answers, order.reference)

    async def refund(
        self, http: HttpClient, account: providers.ProviderAccount, order: providers.RefundOrder
    ) -> providers.Result:
        self.refunds.append(order)
        return self._say("refund", self.answers, order.reference)

    async def balance(
        self, http: HttpClient, account: providers.ProviderAccount, currency: str
    ) -> Money | None:
        return None if self.float_minor is None else Money(self.float_minor, currency)

    async def tokenise(
        self, http: HttpClient, account: providers.ProviderAccount, number: CardNumber
    ) -> providers.Tokenised | providers.ProviderError:
        last_four = number.masked[-4:]
        given = providers.Tokenised(f"tok_{last_four}", number.masked, f"fpr_{last_four}")
        return self.tokenised or given

    async def status(
        self, http: HttpClient, account: providers.ProviderAccount, reference: str
    ) -> providers.Result:
        said = self._said(reference)
        if self.during_status is not None:
            meanwhile, self.during_status = self.during_status, None
            await meanwhile()
        return said

    def _said(self, reference: str) -> providers.Result:
        return self._say("status", self.statuses, reference)

    async def cancel(
        self, http: HttpClient, account: providers.ProviderAccount, reference: str
    ) -> providers.Result:
        return self._say("cancel", self.cancels, reference)

    def verify(self, account: providers.ProviderAccount, notice: providers.RawNotice) -> None:
        if notice.headers.get("x-told") != "yes":
            raise providers.BadNotice

    def parse(
        self, account: providers.ProviderAccount, notice: providers.RawNotice
    ) -> list[providers.Report]:
        facts = json.loads(notice.body)["facts"]
        return [
            providers.Report(
                str(number),
                fact["reference"],
                providers.Result(
                    State(fact["state"]),
                    fact.get("theirs", "theirs-1"),
                    Money(fact["minor"], fact["currency"]) if "minor" in fact else None,
                    error=HERE if fact.get("code") == HERE.code else None,
                ),
                None,
                _dispute(fact.get("dispute")),
            )
            for number, fact in enumerate(facts)
        ]

    def reply(self, account: providers.ProviderAccount, notice: providers.RawNotice) -> NoticeReply:
        return NoticeReply(200, b"ok", "text/plain")

    def _say(self, what: str, answers: list[Reply], reference: str) -> providers.Result:
        self.asked.append((what, reference))
        said = answers.pop(0) if len(answers) > 1 else answers[0]
        return said(reference) if callable(said) else said


def _dispute(told: dict[str, Any] | None) -> providers.DisputeReport | None:
    if told is None:
        return None
    return providers.DisputeReport(
        told["number"],
        providers.DisputeStage(told["stage"]),
        Money(told["minor"], told.get("currency", "KZT")),
        "fraud",
        datetime.fromisoformat(told["due_at"]) if "due_at" in told else None,
    )


def accepting() -> Manner:
    """A merchant who allows everything, each under an order number of its own."""
    numbers = itertools.count(1)

    async def accept(writer: asyncio.StreamWriter) -> None:
        await answering({"code": 0, "external_id": f"order_{next(numbers)}"})(writer)

    return accept


def fact(reference: str, state: str = "succeeded", **more: object) -> dict[str, object]:
    """One fact of a notice; paid in full unless told otherwise."""
    full = {"minor": AMOUNT.minor, "currency": AMOUNT.currency} if state == "succeeded" else {}
    return {"reference": reference, "state": state, **full, **more}


@dataclass
class World:
    """What a test does and sees."""

    pipes: Pipes
    clock: MovableClock
    site_id: int
    shop: Server
    provider: Provider

    @property
    def database(self) -> Database:
        return self.pipes.database

    async def session(self, login: str = "aigerim", **wishes: str) -> players.Session:
        fields = {
            "site_login": login,
            "currency": "KZT",
            "customer_ip": "127.0.0.1",
            "language": "en",
            "signature": ids.secret(),  # each request is one of its own, not a replay
            **wishes,
        }
        async with self.database.transaction() as tx:
            site = await merchants.site(tx, self.site_id)
            key = await players.obtain_key(tx, site, fields, at=self.clock.now())
        async with self.database.singly() as tx:
            return (await players.use_key(tx, key, now=self.clock.now()))[0]

    async def ask(
        self, session: players.Session | None = None, *, key: str = "form-1", amount: Money = AMOUNT
    ) -> str:
        session = session or await self.session()
        wish = payments.DepositWish("card", amount, key, 3)
        return await payments.request_deposit(self.pipes, session, wish)

    async def deposit(self) -> Row[Any]:
        """Ask for one deposit and look at it."""
        await self.ask()
        return await self.payment()

    async def payment(self) -> Row[Any]:
        """The newest payment's row."""
        [newest, *_] = await self.rows("SELECT * FROM payment ORDER BY number DESC")
        return newest

    async def rows(self, query: str, **values: object) -> list[Row[Any]]:
        async with self.database.reading() as reader:
            return list(await reader.all(text(query), values))

    async def events(self) -> list[str]:
        return [
            row.type
            for row in await self.rows("SELECT type FROM payment_event ORDER BY payment_id, sequence")
        ]

    async def reference(self) -> str:
        """Our reference of the newest try."""
        [newest, *_] = await self.rows(
            "SELECT attempt_id FROM attempt JOIN payment p USING (site_id, payment_id) ORDER BY p.number DESC"
        )
        return str(newest.attempt_id)

    async def store_notice(self, *facts: dict[str, object], mark: str = "", account: str = ACCOUNT) -> str:
        """Let a notice arrive; returns its id, also of one that came again."""
        body = json.dumps({"facts": facts, "mark": mark}).encode()
        raw = providers.RawNotice(f"/notices/{self.site_id}/{account}", {"x-told": "yes"}, body)
        await providers.take_notice(self.database, self.site_id, account, raw, at=self.clock.now())
        [row] = await self.rows("SELECT notice_id FROM notice WHERE body = :body", body=body)
        return str(row.notice_id)

    async def notice(self, *facts: dict[str, object], mark: str = "", account: str = ACCOUNT) -> str:
        """Let a notice arrive and be read."""
        notice_id = await self.store_notice(*facts, mark=mark, account=account)
        await payments.read_notice(self.pipes, self.site_id, notice_id)
        return notice_id

    async def credited(self, login: str = "aigerim") -> int:
        """The player's money with us, in minor units."""
        [row] = await self.rows("SELECT player_id FROM player WHERE site_login = :login", login=login)
        name = ledger.AccountName(row.player_id, ledger.Purpose.PLAYER_CASH, "KZT")
        async with self.database.reading() as reader:
            return (await ledger.balance(reader, self.site_id, name)).minor

    async def told(self) -> list[int]:
        """The status numbers that the merchant is told, in order."""
        rows = await self.rows("SELECT fields FROM webhook ORDER BY payment_id, sequence")
        return [row.fields["status_id"] for row in rows]

    async def answered(self) -> list[tuple[str, str]]:
        """What the merchant said to each question and the order numbers that he gave, as they are kept."""
        rows = await self.rows("SELECT state, external_id FROM callout ORDER BY sent_at, callout_id")
        return [(row.state, row.external_id) for row in rows]

    async def jobs(self, name: str) -> int:
        query = "SELECT count(*) AS n FROM queue.pgqueuer WHERE entrypoint = :name AND status = 'queued'"
        return int((await self.rows(query, name=name))[0].n)


@asynccontextmanager
async def opened(
    database: Database, clock: MovableClock, provider: Provider, *, seamless: bool = False
) -> AsyncIterator[World]:
    """A world on a fresh database. The provider must be listed among the gateways before."""
    async with (
        serving(accepting()) as shop,
        HttpClient(clock, allowed_private_peers={shop.peer}) as http,
    ):
        pipes = Pipes(database, http, clock, "https://cashier.example.com")
        peers = frozenset({shop.peer})
        async with database.transaction() as tx:
            new = merchants.NewSite(
                name="Altyn Games",
                currencies=("KZT",),
                callout_url=f"{shop.url}/callout",
                notify_url=f"{shop.url}/notify",
                callback_url=f"{shop.url}/wallet" if seamless else "",
            )
            created = await merchants.create_site(tx, new, at=clock.now(), allowed_private_peers=peers)
            await providers.seed_account(
                tx,
                created.site_id,
                ACCOUNT,
                gateway=provider.name,
                base_url="https://pay.example.com",
                credentials={"secret": ids.secret()},
            )
            await methods.offer_method(
                tx,
                created.site_id,
                "card",
                minimum=Money(50_000, "KZT"),
                maximum=Money(100_000_000, "KZT"),
                account=ACCOUNT,
            )
        yield World(pipes, clock, created.site_id, shop, provider)
