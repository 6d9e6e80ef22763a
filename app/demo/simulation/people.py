"""What people do in a simulation: players pay in and withdraw, merchants say "pay", the desk decides."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, TypeVar

from sqlalchemy import text

from app import merchants, payments, players, staff
from app.demo.merchant_books import Withdrawal
from app.demo.simulation.bank import METHOD
from app.demo.simulation.merchant import CURRENCY
from app.demo.simulation.outcome import Plan
from app.demo.simulation.story import Killed
from app.demo.simulation.world import World
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money

__all__ = ["People"]

WEB: Final = 3  # protocol.md section 15, source_type
DESK_SECONDS: Final = 7_200
MOST_INITIATIONS: Final = 200
REJECTED, CHANGES_MIND = 0.1, 0.06
# A refund that waits so long waits for a dispute, so somebody calls it off.
REFUND_WAITS: Final = timedelta(hours=6)
WAITING: Final = """
SELECT site_id, payment_id, kind, sub_status, changed_at FROM payment
 WHERE kind IN ('payout', 'refund') AND sub_status IN
       ('under_review', 'awaiting_approval', 'awaiting_second_approval', 'approved')
 ORDER BY number
"""
PAID_IN: Final = """
SELECT payment_id, captured_minor - refunded_minor - refund_pending_minor - charged_back_minor AS left_minor
  FROM payment WHERE site_id = :site_id AND kind = 'deposit' AND sub_status = 'completed'
 ORDER BY number DESC LIMIT 40
"""
T = TypeVar("T")


@dataclass(slots=True)
class People:
    """Everybody who is no machine. `acknowledged` are the numbers that they were told."""

    world: World
    plan: Plan
    logins: list[str]
    sessions: dict[tuple[int, str], players.Session] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    acknowledged: list[str] = field(default_factory=list)

    async def arrive(self, name: str) -> None:
        """Let somebody come with a wish, and carry it out as far as they get."""
        chance = self.world.chance
        site_id = chance.random.choice(list(self.world.sites))
        login = chance.random.choice(self.logins)
        wanted = chance.random.random()
        if wanted < self.plan.refunds:
            await self._give_back(site_id, login, name)
            return
        pays_out = wanted < self.plan.refunds + self.plan.payouts
        amount = Money(50_000 + chance.random.randrange(150_000 if pays_out else 400_000), CURRENCY)
        await self._wish(site_id, login, amount, name, pays_out=pays_out)

    async def sit_at_the_desk(self) -> None:
        """Let two people go through what waits for them, and come back later."""
        async with self.world.database.reading() as reader:
            rows = await reader.all(text(WAITING))
        for row in rows:
            if row.sub_status == "approved":
                if row.kind == "refund" and row.changed_at < self.world.timeline.clock.now() - REFUND_WAITS:
                    await self._call_off(row.site_id, row.payment_id)
                continue
            rejects = self.world.chance.happens(REJECTED)
            for operator in self.world.deciding:
                if not await self._decide(row.site_id, row.payment_id, row.kind, operator, rejects=rejects):
                    break
        self.world.timeline.after(DESK_SECONDS, self.sit_at_the_desk)

    async def attempt(self, work: Callable[[], Awaitable[T]]) -> T | Killed | Refusal:
        """Let somebody do something, of which the process may die."""
        self.world.database.is_mortal = True
        try:
            return await work()
        except Refusal as refusal:
            self.refused[refusal.code] += 1
            return refusal
        except Killed as killed:
            return killed
        finally:
            self.world.database.is_mortal = False

    def initiate_agreed(self) -> None:
        """Let the merchants initiate later what they have agreed to."""
        for site_id, server in self.world.servers.items():
            agreed, server.agreed = server.agreed, []
            if site_id != self.world.seamless:
                for asked in agreed:
                    self._initiate_later(site_id, asked, self.world.chance.between(1, 900), 0)

    async def _wish(self, site_id: int, login: str, amount: Money, key: str, *, pays_out: bool) -> None:
        session = await self._session(site_id, login)
        pipes, chance = self.world.pipes, self.world.chance

        async def ask() -> str:
            if not pays_out:
                wish = payments.DepositWish(METHOD, amount, key, WEB)
                return await payments.request_deposit(pipes, session, wish)
            to = {"wallet": f"{session.player.player_id}-{1 + len(key) % 2}"}
            out = payments.PayoutWish(METHOD, amount, key, WEB, to)
            return await payments.request_payout(pipes, session, out)

        done = await self.attempt(ask)
        if isinstance(done, Killed):
            if chance.happens(0.5):  # the player sends the form again

                async def again() -> None:
                    await self._wish(site_id, login, amount, key, pays_out=pays_out)

                self.world.timeline.after(chance.between(20, 300), again)
        elif isinstance(done, Refusal):
            if pays_out:  # without money there is nothing to withdraw
                await self._wish(site_id, login, amount, f"{key}.in", pays_out=False)
        else:
            async with self.world.database.reading() as reader:
                found = await payments.payment_of_view(reader, done)
            self.acknowledged.append(str(found.number))
            if pays_out and chance.happens(CHANGES_MIND):
                self._cancel_later(found)

    def _cancel_later(self, its: payments.Payment) -> None:
        async def cancel() -> None:
            await self.attempt(
                lambda: payments.cancel(self.world.pipes, its.site_id, its.payment_id, its.player_id)
            )

        self.world.timeline.after(self.world.chance.between(1, 3_600), cancel)

    async def _give_back(self, site_id: int, login: str, key: str) -> None:
        """Ask for a refund of one of the newest deposits, of all or a part; without one, somebody pays in."""
        chance = self.world.chance
        async with self.world.database.reading() as reader:
            rows = await reader.all(text(PAID_IN), {"site_id": site_id})
        if not rows:
            await self._wish(site_id, login, Money(100_000, CURRENCY), key, pays_out=False)
            return
        row = chance.random.choice(rows)
        part = None if chance.happens(0.5) else Money(max(1, row.left_minor // 3), CURRENCY)
        wish = payments.RefundWish(row.payment_id, part, "simulated", key)
        [operator] = self.world.asking
        done = await self.attempt(lambda: payments.request_refund(self.world.pipes, site_id, wish, operator))
        if isinstance(done, payments.Payment):
            self.acknowledged.append(str(done.number))

    async def _session(self, site_id: int, login: str) -> players.Session:
        known = self.sessions.get((site_id, login))
        if known is not None:
            return known
        self.world.servers[site_id].enter(login)
        fields = {
            "site_login": login,
            "currency": CURRENCY,
            "customer_ip": "192.0.2.1",
            "language": "en",
            "signature": ids.secret(),
        }
        now = self.world.timeline.clock.now()
        async with self.world.database.transaction() as tx:
            site = await merchants.site(tx, site_id)
            key = await players.obtain_key(tx, site, fields, at=now)
        async with self.world.database.singly() as tx:
            session, _ = await players.use_key(tx, key, now=now)
        self.sessions[site_id, login] = session
        return session

    def _initiate_later(self, site_id: int, asked: Withdrawal, wait: float, tries: int) -> None:
        fields = {
            "site_id": str(site_id),
            "site_login": asked.login,
            "amount": str(asked.amount.minor),
            "currency": asked.amount.currency,
            "external_id": asked.external_id,
        }

        async def initiate() -> None:
            site = self.world.sites[site_id]
            done = await self.attempt(lambda: payments.initiate(self.world.pipes, site, fields))
            if isinstance(done, Killed):
                self._initiate_later(site_id, asked, 60, tries + 1)
            elif isinstance(done, Refusal):
                if done.code == "withdrawal_unknown" and tries < MOST_INITIATIONS:
                    self._initiate_later(site_id, asked, 600 * (1 + tries), tries + 1)
            else:
                self.world.timeline.tell(asked.transaction_id, "merchant: initiated")
                if tries == 0 and self.world.chance.happens(0.1):
                    self._initiate_later(site_id, asked, 30, MOST_INITIATIONS)

        self.world.timeline.after(wait, initiate)

    async def _decide(
        self, site_id: int, payment_id: str, kind: str, operator: staff.Operator, *, rejects: bool
    ) -> bool:
        """Let one person approve or reject; returns whether somebody else has to as well."""
        pipes, why = self.world.pipes, payments.Refusing("simulated", "not this time")

        async def decide() -> object:
            match kind, rejects:
                case "refund", True:
                    return await payments.reject_refund(pipes, site_id, payment_id, operator, reason="no")
                case "refund", False:
                    return await payments.approve_refund(pipes, site_id, payment_id, operator)
                case _, True:
                    return await payments.reject(pipes, site_id, payment_id, operator, why)
                case _:
                    return await payments.approve(pipes, site_id, payment_id, operator)

        done = await self.attempt(decide)
        return getattr(done, "sub_status", None) is payments.SubStatus.AWAITING_SECOND_APPROVAL

    async def _call_off(self, site_id: int, refund_id: str) -> None:
        [operator] = self.world.asking
        pipes = self.world.pipes
        await self.attempt(
            lambda: payments.cancel_refund(pipes, site_id, refund_id, operator, reason="a dispute")
        )
