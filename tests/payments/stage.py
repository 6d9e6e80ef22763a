"""A stage for withdrawals: a bank that counts what it pays, a merchant that counts what it is asked.

The bank keeps its orders by reference as an honest provider does, and misbehaves in every other way: it
hangs, loses answers, pays late, pays other amounts, denies. `Stage.settle` holds every payout against what
the bank really paid.
"""
# ruff: noqa: ANN401  wishes and policies are of any kind

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Row
from typing_extensions import override

from app import ledger, merchants, methods, payments, players, providers, staff
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.payments.model import PayoutPolicy
from app.plumbing.database import Database
from app.plumbing.http import HttpClient
from tests.payments import world
from tests.payments.peers import Heard, Manner, answering, hanging
from tests.payments.world import ACCOUNT, AMOUNT, NEVER_LEFT, UNKNOWN, Provider, World

State = providers.State
FUNDS = 500_000
WALLET = {"wallet": "aigerim77"}
JOBS = ("payments.ask_provider", "payments.ask_late", "providers.notice_arrived")
HANDS_OFF = PayoutPolicy(auto_below=Money(100_000_000, "KZT"), needs_initiation=False)

POSTED = """
SELECT p.*, coalesce((
    SELECT sum(CASE WHEN t.kind LIKE 'payout.to_%' THEN -t.amount_minor ELSE t.amount_minor END)
      FROM transfer t
     WHERE t.site_id = p.site_id AND t.because = p.payment_id AND t.outcome = 'posted'
       AND (t.kind LIKE 'payout.%' OR t.kind = 'hold.capture')), 0) AS posted
  FROM payment p WHERE kind = 'payout'
"""
NO = providers.ProviderError("05", "declined")
GARBAGE = providers.Result(State.UNKNOWN, error=providers.ProviderError("unreadable", "<html>"))
# What the bank does with a new order, and what it answers where that is not the truth.
MANNERS: dict[str, tuple[str, providers.Result | None]] = {
    "pays": ("kept paid", None),
    "accepts": ("kept", None),
    "declines": ("kept declined", None),
    "pays another amount": ("kept other paid", None),
    "declines and pays": ("kept paid denied", None),
    "pays silently": ("kept paid", UNKNOWN),
    "accepts silently": ("kept", UNKNOWN),
    "accepts and asks the player": ("kept", providers.Result(State.REQUIRES_ACTION)),
    "accepts and tells but its number": ("kept", providers.Result(State.UNKNOWN, "bank-0")),
    "loses the order": ("", UNKNOWN),
    "never hears": ("", NEVER_LEFT),
    "pays and says it never heard": ("kept paid", NEVER_LEFT),
    "pays and answers garbage": ("kept paid", GARBAGE),
}


@dataclass
class BankOrder:
    """An order as the bank has it."""

    reference: str
    theirs: str
    amount: Money
    state: State


@dataclass
class Bank(Provider):
    """A provider with books: an order is one by its reference, however often it comes.

    `manners` says what it does to the next new orders, in turn; the last one stays. `words` is what it says
    to the next status questions instead of the truth; "truth" is the truth.
    """

    name: str = "bank"
    caps: providers.Cap = (
        providers.Cap.DEPOSIT
        | providers.Cap.STATUS
        | providers.Cap.CANCEL
        | providers.Cap.PAYOUT
        | providers.Cap.BALANCE
    )
    manners: list[str] = field(default_factory=lambda: ["pays"])
    words: list[str] = field(default_factory=lambda: ["truth"])
    book: dict[str, BankOrder] = field(default_factory=dict)
    moved: list[tuple[str, Money]] = field(default_factory=list)
    before: Any = None
    no: providers.ProviderError = NO  # why it declines
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    @override
    async def pay_out(
        self, http: HttpClient, account: providers.ProviderAccount, order: providers.PayoutOrder
    ) -> providers.Result:
        self.payouts.append(order)
        if self.before is not None:
            await self.before(order)
        if order.reference in self.book:
            return self._told(self.book[order.reference])
        manner = self.manners.pop(0) if len(self.manners) > 1 else self.manners[0]
        return self._new(manner, order.reference, order.amount)

    def _new(self, manner: str, reference: str, amount: Money) -> providers.Result:
        kept = BankOrder(reference, f"bank-{next(self.numbers)}", amount, State.PROCESSING)
        deed, answer = MANNERS[manner]
        if "other" in deed:
            kept.amount = Money(amount.minor - 1, amount.currency)
        if "kept" in deed:
            self.book[reference] = kept
        if "paid" in deed:
            self.pay(kept)
        if "declined" in deed:
            kept.state = State.FAILED
        denied = providers.Result(State.FAILED, kept.theirs, error=self.no)
        return answer or (denied if "denied" in deed else self._told(kept))

    def pay(self, order: BankOrder) -> None:
        """Really move the money."""
        order.state = State.SUCCEEDED
        self.book[order.reference] = order
        self.moved.append((order.reference, order.amount))

    def send_back(self, reference: str) -> None:
        """Bring a paid order back."""
        order = self.book[reference]
        assert order.state is State.SUCCEEDED
        order.state = State.RETURNED
        self.moved.append((reference, -order.amount))

    def take_back(self, reference: str) -> None:
        """Say after all that an order which was sent back has reached the player."""
        order = self.book[reference]
        assert order.state is State.RETURNED
        order.state = State.SUCCEEDED
        self.moved.remove((reference, -order.amount))

    def _told(self, order: BankOrder) -> providers.Result:
        error = self.no if order.state is State.FAILED else None
        return providers.Result(order.state, order.theirs, order.amount, error=error)

    @override
    def _said(self, reference: str) -> providers.Result:
        self.asked.append(("status", reference))
        word = self.words.pop(0) if len(self.words) > 1 else self.words[0]
        order = self.book.get(reference)
        match word:
            case "truth" if order is None:
                return providers.Result(State.NOT_FOUND)
            case "truth" if order is not None:
                return self._told(order)
            case "nothing":
                return UNKNOWN
            case "pays now":
                assert order is not None
                self.pay(order)
                return self._told(order)
            case _:
                return providers.Result(
                    State(word), order.theirs if order else None, order.amount if order else None
                )

    def fact(self, reference: str, state: str = "succeeded", **more: object) -> dict[str, object]:
        """What a notice of the bank says of an order."""
        order = self.book.get(reference)
        told: dict[str, object] = {"reference": reference, "state": state}
        if order is not None:
            told |= {"theirs": order.theirs, "minor": order.amount.minor, "currency": order.amount.currency}
        return told | more


@dataclass
class Merchant:
    """The merchant's answers: each withdrawal once under one order number, however often it is asked.

    `says` is what it answers to the next requests instead; None is the honest answer.
    """

    says: list[Manner | None] = field(default_factory=list)
    asked: list[Mapping[str, Any]] = field(default_factory=list)
    orders: dict[str, str] = field(default_factory=dict)

    def answer(self, heard: Heard) -> Manner:
        """How to answer what was heard."""
        fields = heard.fields
        if fields.get("action") == "check_deposit":
            return answering({"code": 0, "external_id": f"d_{fields['transaction_id']}"})
        if fields.get("action") != "request_payout":
            return answering({"code": 0})
        self.asked.append(fields)
        said = self.says.pop(0) if self.says else None
        number = str(fields["transaction_id"])
        if said is not None:
            if said is hanging:
                self.orders.setdefault(number, f"w_{number}")
            return said
        order = self.orders.setdefault(number, f"w_{number}")
        return answering({"code": 50, "external_id": order})


@dataclass
class Stage(World):
    """What a test of withdrawals does and sees."""

    bank: Bank = field(default_factory=Bank)
    merchant: Merchant = field(default_factory=Merchant)
    keys: Any = field(default_factory=lambda: itertools.count(1))

    async def policy(self, **wanted: Any) -> None:
        async with self.database.transaction() as tx:
            await payments.set_policy(
                tx,
                self.site_id,
                "KZT",
                replace(HANDS_OFF, **wanted),
                by="machine:test",
                at=self.clock.now(),
            )

    async def fund(self, minor: int = FUNDS, login: str = "aigerim", key: str = "") -> None:
        """Give a player money with us."""
        session = await self.session(login)
        request = ledger.PostRequest(
            "tests",
            key or f"fund-{next(self.keys)}",
            ledger.DEPOSIT_TO_PLAYER,
            Money(minor, "KZT"),
            ACCOUNT,
            session.player.player_id,
            "fund",
        )
        async with self.database.transaction() as tx:
            [posted] = await ledger.post(tx, self.site_id, [request], at=self.clock.now())
        assert posted.is_posted

    async def withdraw(
        self,
        minor: int = AMOUNT.minor,
        session: players.Session | None = None,
        *,
        key: str = "",
        **wish: Any,
    ) -> Row[Any]:
        """Ask for a withdrawal and look at it."""
        session = session or await self.session()
        wanted = payments.PayoutWish(
            wish.pop("method", "e_wallet"),
            Money(minor, "KZT"),
            key or f"out-{next(self.keys)}",
            3,
            wish.pop("destination", WALLET),
            **wish,
        )
        token = await payments.request_payout(self.pipes, session, wanted)
        async with self.database.reading() as reader:
            found = await payments.payment_of_view(reader, token)
        return await self.row(found.payment_id)

    async def row(self, payment_id: str) -> Row[Any]:
        [found] = await self.rows("SELECT * FROM payment WHERE payment_id = :id", id=payment_id)
        return found

    async def state(self, payment_id: str) -> tuple[str, str | None]:
        found = await self.row(payment_id)
        return found.sub_status, found.attention

    async def leg(self, payment_id: str) -> Row[Any]:
        [found] = await self.rows("SELECT * FROM payout_leg WHERE payment_id = :id", id=payment_id)
        return found

    async def references(self, payment_id: str) -> list[str]:
        rows = await self.rows(
            "SELECT attempt_id FROM attempt WHERE payment_id = :id ORDER BY number", id=payment_id
        )
        return [row.attempt_id for row in rows]

    async def operator(self, login: str, *roles: staff.Role) -> staff.Operator:
        new = staff.NewOperator(login, login.title(), frozenset(roles or {staff.Role.FINANCE}))
        async with self.database.transaction() as tx:
            return (await staff.create_operator(tx, new, at=self.clock.now()))[0]

    async def initiate(self, found: Row[Any], **change: str) -> Any:
        fields = {
            "site_id": str(self.site_id),
            "site_login": "aigerim",
            "amount": str(found.amount_minor),
            "currency": "KZT",
            "external_id": found.external_id,
            **change,
        }
        async with self.database.reading() as reader:
            site = await merchants.site(reader, self.site_id)
        return await payments.initiate(self.pipes, site, fields)

    async def work(self) -> int:
        """Run every job that waits, and those that they leave; returns how many."""
        done = 0
        while True:
            rows = await self.rows(
                "SELECT id, entrypoint, convert_from(payload, 'UTF8')::json AS payload FROM queue.pgqueuer "
                "WHERE status = 'queued' AND entrypoint = ANY (:jobs) ORDER BY id",
                jobs=list(JOBS),
            )
            if not rows:
                return done
            async with self.database.transaction() as tx:
                await tx.execute(
                    text("DELETE FROM queue.pgqueuer WHERE id = ANY (:ids)"),
                    {"ids": [row.id for row in rows]},
                )
            for row in rows:
                if row.entrypoint == "providers.notice_arrived":
                    await payments.read_notice(self.pipes, self.site_id, row.payload["notice_id"])
                else:
                    await payments.carry_on(self.pipes, self.site_id, row.payload["payment_id"])
            done += len(rows)

    async def later(self, wait: float | timedelta) -> None:
        """Let time pass, sweep, and do what is due."""
        self.clock.advance(wait)
        await payments.renew_expired(self.pipes)
        await payments.sweep_due(self.pipes)
        await self.work()

    async def owed(self, login: str = "aigerim") -> int:
        [row] = await self.rows("SELECT player_id FROM player WHERE site_login = :login", login=login)
        async with self.database.reading() as reader:
            return (await ledger.debt(reader, self.site_id, row.player_id, "KZT")).minor

    async def spend(self, minor: int, login: str = "aigerim") -> None:
        """Let a player's money leave for a game."""
        [row] = await self.rows("SELECT player_id FROM player WHERE site_login = :login", login=login)
        wanted = (f"spent-{next(self.keys)}", ledger.TRANSFER_OUT, Money(minor, "KZT"), row.player_id, "site")
        async with self.database.transaction() as tx:
            request = ledger.PostRequest("tests", *wanted, "spent")
            [posted] = await ledger.post(tx, self.site_id, [request], at=self.clock.now())
        assert posted.is_posted

    async def held(self) -> int:
        rows = await self.rows("SELECT sum(balance_minor) AS n FROM account WHERE purpose = 'player_held'")
        return int(rows[0].n or 0)

    async def settle(self, *, doubles: int = 0) -> None:
        """Hold every payout against what the bank really paid, and what the ledger says of it.

        Args:
            doubles: payouts that the bank is expected to have paid twice: nought.
        """
        paid: Counter[str] = Counter()
        times: Counter[tuple[str, int]] = Counter()
        owners = {
            row.attempt_id: (row.payment_id, row.leg)
            for row in await self.rows("SELECT attempt_id, payment_id, leg FROM attempt")
        }
        for reference, amount in self.bank.moved:
            paid[owners[reference][0]] += amount.minor
            times[owners[reference]] += amount.minor > 0
        assert sum(count > 1 for count in times.values()) == doubles, times
        for row in await self.rows(POSTED):
            assert row.posted == row.captured_minor - row.refunded_minor, row
            is_over = row.status not in {"pending", "processing"}
            if is_over and row.attention is None:
                assert row.posted == paid[row.payment_id], (row.sub_status, row.posted, paid[row.payment_id])
            if row.status in {"failed", "cancelled"} and row.attention is None:
                assert paid[row.payment_id] == 0, row


@asynccontextmanager
async def opened(
    database: Database, clock: MovableClock, bank: Bank, *, seamless: bool = False, **policy: Any
) -> AsyncIterator[Stage]:
    """A stage on a fresh database; the bank must be listed among the gateways before."""
    async with world.opened(database, clock, bank, seamless=seamless) as made:
        stage = Stage(made.pipes, made.clock, made.site_id, made.shop, bank, bank=bank)

        async def choose(heard: Heard) -> None:
            made.shop.manner = stage.merchant.answer(heard)

        made.shop.before = choose
        async with database.transaction() as tx:
            for method in ("e_wallet", "card"):
                await methods.offer_method(
                    tx,
                    made.site_id,
                    method,
                    minimum=Money(1_000, "KZT"),
                    maximum=Money(100_000_000, "KZT"),
                    account=ACCOUNT,
                    direction=methods.Direction.PAYOUT,
                )
        await stage.policy(**policy)
        yield stage
