"""Random lives of a deposit, its refunds and its disputes, held against what its provider has and had."""

import random
from collections.abc import Awaitable, Callable

import pytest

from app import payments, providers
from app.kernel.errors import Refusal
from app.payments.dispute_queries import UNDECIDED
from app.payments.states import DISPUTE_NEXT, DisputeState
from tests.payments.casework import REJECT, R, decide, open_cases, propose
from tests.payments.desk import Desk, kzt
from tests.payments.test_disputes import disputes, say
from tests.payments.world import State, fact, just, paid

D = DisputeState
LIVES, DEEDS = 30, 24
_FIRST = [D.EARLY_WARNING, D.OPENED, D.LOST]
_SUMS = (50_000, 99_000, 100_000, 150_000)
_ENDS = (State.SUCCEEDED, State.FAILED)


class Life:
    """One deposit. `truth`: what became of each order at the provider, and how much it is."""

    def __init__(self, desk: Desk, deposit: str, own: str, seed: int) -> None:
        self.desk, self.deposit, self.own = desk, deposit, own
        self.chance = random.Random(seed)
        self.truth = {own: (State.SUCCEEDED, 150_000)}
        self.next_answer = State.PROCESSING
        self.done: list[str] = []
        desk.provider.statuses = [self.said]

    def said(self, reference: str) -> providers.Result:
        state, minor = self.truth.get(reference, (State.NOT_FOUND, 0))
        number = "theirs-1" if reference == self.own else f"n-{reference}"
        return paid(number, kzt(minor)) if state is State.SUCCEEDED else just(state)

    async def placed(self, _http: object, _account: object, order: providers.RefundOrder) -> providers.Result:
        self.truth.setdefault(order.reference, (self.next_answer, order.amount.minor))
        return self.said(order.reference)

    async def refunds(self, *states: str) -> list[str]:
        rows = await self.desk.world.rows("SELECT payment_id, sub_status FROM payment WHERE kind = 'refund'")
        return [row.payment_id for row in rows if not states or row.sub_status in states]

    async def asks(self) -> None:
        await self.desk.refund(self.deposit, self.chance.choice([50_000, 100_000, None]))

    async def approves(self) -> None:
        self.next_answer = self.chance.choice([State.PROCESSING, *_ENDS])
        for refund in (await self.refunds("awaiting_approval"))[:1]:
            await self.desk.approve(refund)
            await self.desk.carry_on(refund)

    async def rejects(self) -> None:
        for refund in (await self.refunds("awaiting_approval"))[:1]:
            await payments.reject_refund(
                self.desk.pipes, self.desk.site_id, refund, self.desk.checker, reason="no"
            )

    async def carries_on(self) -> None:
        for refund in await self.refunds():
            await self.desk.carry_on(refund)

    async def changes(self) -> None:
        """What became of a refund is another thing now, and its provider says so."""
        for reference in [one for one in self.truth if one != self.own][:1]:
            state, minor = self.chance.choice(_ENDS), self.truth[reference][1]
            self.truth[reference] = state, minor
            its: dict[str, int] = {"minor": minor} if state is State.SUCCEEDED else {}
            told = fact(reference, state.value, theirs=f"n-{reference}", **its)
            await self.desk.world.notice(told, mark=str(len(self.done)))

    async def denies(self) -> None:
        state = self.chance.choice([*_ENDS, State.FAILED])
        self.truth[self.own] = state, 150_000
        await self.desk.world.notice(fact(self.own, state.value), mark=str(len(self.done)))

    async def disputes(self) -> None:
        """Its next word about one of two, mostly with the sum that is known."""
        number = self.chance.choice(["cb-1", "cb-2"])
        known = {one.dispute_reference: one for one in await disputes(self.desk, self.deposit)}
        before = known.get(number)
        minor = before.amount.minor if before and self.chance.random() < 0.8 else self.chance.choice(_SUMS)
        follow = sorted(DISPUTE_NEXT[before.state]) if before else _FIRST
        stage = self.chance.choice([*follow, *follow, D.WON, D.LOST])
        await say(self.desk, self.deposit, stage.value, minor, number)
        self.done.append(f"{number} {stage.value} {minor}")

    async def people_decide(self) -> None:
        """About the oldest case, with the sum that was told or another."""
        for its in (await open_cases(self.desk))[:1]:
            resolution = self.chance.choice([R.NOTED, R.NOT_PAID, R.ACCEPTED, R.ACCEPTED])
            sums = [50_000, 99_000, 150_000, its.exposure.minor if its.exposure else 1]
            amount = kzt(self.chance.choice(sums)) if resolution is R.ACCEPTED else None
            await propose(self.desk, its.case_id, resolution, amount=amount)
            try:
                await decide(self.desk, its.case_id)
            except Refusal:
                await decide(self.desk, its.case_id, REJECT)
                raise

    async def lived(self) -> None:
        deeds: list[Callable[[], Awaitable[None]]] = [
            *(self.asks, self.approves, self.rejects, self.carries_on, self.people_decide),
            *(self.changes, self.denies, *[self.disputes] * 6),
        ]
        for _ in range(DEEDS):
            self.desk.world.clock.advance(600)
            deed = self.chance.choice(deeds)
            self.done.append(deed.__name__)
            try:
                await deed()
            except Refusal as refusal:
                self.done.append(str(refusal))

    async def checked(self) -> None:
        """The books are the provider's, the figures are the books', and the state is the figures'."""
        captured, pending, refunded, charged_back = await self.desk.figures(self.deposit)
        its = await disputes(self.desk, self.deposit)
        posted = sum(one.posted.minor for one in its)
        rows = await self.desk.world.rows(
            "SELECT captured_minor FROM payment WHERE kind = 'refund' AND sub_status = 'completed'"
        )
        clearing = (await self.desk.balances()).get("provider_clearing", 0)
        assert clearing == -captured + refunded + posted, self.done
        assert refunded == sum(row.captured_minor for row in rows), self.done
        assert charged_back == min(posted, captured - pending - refunded), self.done
        is_undecided = any(one.posted.minor and one.state in UNDECIDED for one in its)
        match (await self.desk.found(self.deposit)).sub_status.value:
            case "refunded" | "charged_back":
                assert captured == refunded + charged_back, self.done
                assert not (is_undecided and charged_back), self.done
            case "completed":
                assert refunded + charged_back < captured or is_undecided, self.done
            case "reversed":
                assert (posted, refunded) == (0, 0), self.done
            case other:
                pytest.fail(f"{other}: {self.done}")


async def _lived(desk: Desk, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    deposit = await desk.deposit()
    [row] = await desk.world.rows("SELECT attempt_id FROM attempt WHERE payment_id = :of", of=deposit)
    life = Life(desk, deposit, row.attempt_id, seed)
    monkeypatch.setattr(desk.provider, "refund", life.placed)
    await life.lived()
    await life.checked()


@pytest.mark.parametrize("seed", range(LIVES))
async def test_nothing_goes_back_twice_and_nothing_is_lost(
    desk: Desk, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _lived(desk, seed, monkeypatch)


@pytest.mark.parametrize("seed", range(LIVES))
async def test_nor_where_the_merchant_keeps_the_balances(
    seamless: Desk, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _lived(seamless, seed, monkeypatch)
