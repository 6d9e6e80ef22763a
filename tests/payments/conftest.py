"""The world of a payment: everything real but the provider, who says what it is told."""

from collections.abc import AsyncIterator

import pytest

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.providers.gateways import GATEWAYS
from tests import invariants
from tests.payments.accounts import SECOND, THIRD, listed, through_both_accounts, tries
from tests.payments.banks import another_bank, through_both_banks
from tests.payments.desk import Desk, at_desk
from tests.payments.questions import agree
from tests.payments.stage import Bank, Stage
from tests.payments.stage import opened as opened_stage
from tests.payments.world import REFUSED, Provider, World, awaiting, opened


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    """The provider of the test, listed among the gateways."""
    told = Provider()
    monkeypatch.setitem(GATEWAYS, told.name, told)
    return told


@pytest.fixture
async def world(database: Database, clock: MovableClock, provider: Provider) -> AsyncIterator[World]:
    """A world; at its end the ledger's invariants hold and each credited deposit was credited once,
    each reversed one taken again once.
    """
    async with opened(database, clock, provider) as made:
        yield made
        await invariants.hold(database)
        wrong = await made.rows(
            "SELECT p.payment_id, p.sub_status, count(t.transfer_id) FROM payment p "
            "LEFT JOIN transfer t ON t.site_id = p.site_id AND t.because = p.payment_id "
            "GROUP BY p.site_id, p.payment_id, p.sub_status "
            "HAVING count(t.transfer_id) FILTER (WHERE t.kind LIKE 'deposit.%') "
            "     <> (p.sub_status IN ('completed', 'reversed'))::int "
            "    OR count(t.transfer_id) FILTER (WHERE t.kind NOT LIKE 'deposit.%') "
            "     <> (p.sub_status = 'reversed')::int"
        )
        assert not wrong, wrong
        gaps = await made.rows(
            "SELECT p.payment_id FROM payment p JOIN payment_event e USING (site_id, payment_id) "
            "GROUP BY p.site_id, p.payment_id, p.sequence "
            "HAVING count(*) <> p.sequence OR max(e.sequence) <> p.sequence"
        )
        assert not gaps, "the events of a payment are numbered without a gap"
        await agree(made)


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch) -> Bank:
    """A bank that counts, listed among the gateways."""
    made = Bank()
    monkeypatch.setitem(GATEWAYS, made.name, made)
    return made


@pytest.fixture
async def stage(database: Database, clock: MovableClock, bank: Bank) -> AsyncIterator[Stage]:
    """A stage for withdrawals; at its end every payout is held against the bank and the ledger."""
    async with opened_stage(database, clock, bank) as made:
        yield made
        await made.settle()
        await invariants.hold(database)
        gaps = await made.rows(
            "SELECT p.payment_id FROM payment p JOIN payment_event e USING (site_id, payment_id) "
            "GROUP BY p.site_id, p.payment_id, p.sequence "
            "HAVING count(*) <> p.sequence OR max(e.sequence) <> p.sequence"
        )
        assert not gaps, "the events of a payment are numbered without a gap"
        await agree(made)


@pytest.fixture
async def desk(database: Database, clock: MovableClock, provider: Provider) -> AsyncIterator[Desk]:
    """A site whose player can pay in, and people at its desk."""
    async with at_desk(database, clock, provider) as made:
        yield made


@pytest.fixture
async def seamless(database: Database, clock: MovableClock, provider: Provider) -> AsyncIterator[Desk]:
    """The same where the merchant keeps the players' balances."""
    async with at_desk(database, clock, provider, seamless=True) as made:
        yield made


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Provider:
    return listed(monkeypatch, SECOND)


@pytest.fixture
def third(monkeypatch: pytest.MonkeyPatch) -> Provider:
    return listed(monkeypatch, THIRD)


@pytest.fixture
async def through_both(world: World, second: Provider, third: Provider) -> None:
    await through_both_accounts(world)


@pytest.fixture
async def next_bank(stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """The bank to which a withdrawal goes where the first declines it."""
    made = another_bank(bank, monkeypatch)
    await through_both_banks(stage)
    return made


@pytest.fixture
async def both_tried(
    world: World, provider: Provider, second: Provider, through_both: None
) -> tuple[str, str]:
    """The first refused; the second awaits its player. The references of both."""
    provider.answers, second.answers = [REFUSED], [awaiting("https://second.example.com/2")]
    provider.statuses = [REFUSED]
    second.statuses = [awaiting("https://second.example.com/2")]
    await world.deposit()
    first, next_one = await tries(world)
    return first.attempt_id, next_one.attempt_id
