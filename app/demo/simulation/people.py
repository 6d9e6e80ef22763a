"""What people do in a simulation: players pay in and withdraw, merchants say "pay", the desk approves."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import text

from app import merchants, payments, players, staff
from app.demo.merchant_books import Withdrawal
from app.demo.simulation.merchant import CURRENCY
from app.demo.simulation.story import Killed
from app.demo.simulation.world import METHOD, World
from app.kernel import ids
from app.kernel.errors import Refusal
from app.kernel.money import Money

__all__ = ["People"]

PAYOUTS: Final = 0.35
WEB: Final = 3  # protocol.md section 15, source_type
DESK_SECONDS: Final = 7_200
MOST_INITIATIONS: Final = 200
REJECTED: Final = 0.1


@dataclass(slots=True)
class People:
    """Everybody who is no machine."""

    world: World
    logins: list[str]
    sessions: dict[tuple[int, str], players.Session] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    async def arrive(self, name: str) -> None:
        """Let somebody come with a wish, and carry it out as far as they get."""
        chance = self.world.chance
        site_id = chance.random.choice(list(self.world.sites))
        login = chance.random.choice(self.logins)
        pays_out = chance.happens(PAYOUTS)
        amount = Money(50_000 + chance.random.randrange(150_000 if pays_out else 400_000), CURRENCY)
        await self._wish(site_id, login, amount, name, pays_out=pays_out)

    async def _wish(self, site_id: int, login: str, amount: Money, key: str, *, pays_out: bool) -> None:
        session = await self._session(site_id, login)
        pipes = self.world.pipes
        self.world.database.is_mortal = True
        try:
            if pays_out:
                wish = payments.PayoutWish(METHOD, amount, key, WEB, {"wallet": login})
                await payments.request_payout(pipes, session, wish)
            else:
                await payments.request_deposit(pipes, session, payments.DepositWish(METHOD, amount, key, WEB))
        except Killed:
            if self.world.chance.happens(0.5):  # the player sends the form again

                async def again() -> None:
                    await self._wish(site_id, login, amount, key, pays_out=pays_out)

                self.world.timeline.after(self.world.chance.between(20, 300), again)
        except Refusal as refusal:
            self.refused[refusal.code] += 1
            self.world.database.is_mortal = False
            if pays_out:  # without money there is nothing to withdraw
                await self._wish(site_id, login, amount, f"{key}.in", pays_out=False)
        finally:
            self.world.database.is_mortal = False

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
            session = await players.use_key(tx, key, now=now)
        self.sessions[site_id, login] = session
        return session

    def initiate_agreed(self) -> None:
        """Let the merchants initiate later what they have agreed to."""
        for site_id, server in self.world.servers.items():
            agreed, server.agreed = server.agreed, []
            if site_id != self.world.seamless:
                for asked in agreed:
                    self._initiate_later(site_id, asked, self.world.chance.between(1, 900), 0)

    def _initiate_later(self, site_id: int, asked: Withdrawal, wait: float, tries: int) -> None:
        async def initiate() -> None:
            fields = {
                "site_id": str(site_id),
                "site_login": asked.login,
                "amount": str(asked.amount.minor),
                "currency": asked.amount.currency,
                "external_id": asked.external_id,
            }
            self.world.database.is_mortal = True
            try:
                await payments.initiate(self.world.pipes, self.world.sites[site_id], fields)
            except Killed:
                self._initiate_later(site_id, asked, 60, tries + 1)
                return
            except Refusal as refusal:
                self.refused[refusal.code] += 1
                if refusal.code == "withdrawal_unknown" and tries < MOST_INITIATIONS:
                    self._initiate_later(site_id, asked, 600 * (1 + tries), tries + 1)
                return
            finally:
                self.world.database.is_mortal = False
            self.world.timeline.tell(asked.transaction_id, "merchant: initiated")
            if tries == 0 and self.world.chance.happens(0.1):
                self._initiate_later(site_id, asked, 30, MOST_INITIATIONS)

        self.world.timeline.after(wait, initiate)

    async def sit_at_the_desk(self) -> None:
        """Let two people go through what waits for them, and come back later."""
        async with self.world.database.reading() as reader:
            rows = await reader.all(
                text(
                    "SELECT site_id, payment_id FROM payment WHERE kind = 'payout' AND sub_status IN "
                    "('under_review', 'awaiting_second_approval') ORDER BY number"
                )
            )
        for row in rows:
            rejects = self.world.chance.happens(REJECTED)
            for operator in self.world.operators:
                await self._decide(row.site_id, row.payment_id, operator, rejects=rejects)
        self.world.timeline.after(DESK_SECONDS, self.sit_at_the_desk)

    async def _decide(
        self, site_id: int, payment_id: str, operator: staff.Operator, *, rejects: bool
    ) -> None:
        self.world.database.is_mortal = True
        try:
            if rejects:
                why = payments.Refusing("simulated", "not this time")
                await payments.reject(self.world.pipes, site_id, payment_id, operator, why)
            else:
                await payments.approve(self.world.pipes, site_id, payment_id, operator)
        except Refusal as refusal:
            self.refused[refusal.code] += 1
        except Killed:
            pass
        finally:
            self.world.database.is_mortal = False
