"""What a site offers, on a real database: limits, switches, currencies, and strangers' sites."""

import pytest

from app import merchants, methods
from app.kernel.clock import MovableClock
from app.kernel.money import CurrencyMismatch, Money
from app.plumbing.database import Database

LOW, HIGH = Money(50_000, "KZT"), Money(100_000_000, "KZT")


async def new_site(database: Database, clock: MovableClock) -> int:
    new = merchants.NewSite(
        name="Altyn Games",
        currencies=("KZT", "USD"),
        callout_url="https://shop.example.com/callout",
        notify_url="https://shop.example.com/notify",
    )
    async with database.transaction() as tx:
        return (await merchants.create_site(tx, new, at=clock.now())).site_id


async def offered(
    database: Database,
    site_id: int,
    currency: str = "KZT",
    direction: methods.Direction = methods.Direction.DEPOSIT,
) -> list[str]:
    async with database.reading() as reader:
        found = await methods.offers(reader, site_id, currency)
    return [one.method.code for one in found if one.direction is direction]


async def test_offering_switching_and_strangers(database: Database, clock: MovableClock) -> None:
    site_id, other = [await new_site(database, clock) for _ in range(2)]
    async with database.transaction() as tx:
        for position, method in ((2, "card"), (1, "qr"), (1, "aggregator")):
            await methods.offer_method(
                tx, site_id, method, minimum=LOW, maximum=HIGH, account="main", position=position
            )
    assert await offered(database, site_id) == ["aggregator", "qr", "card"]
    assert await offered(database, site_id, "USD") == []
    assert await offered(database, other) == []
    async with database.transaction() as tx:
        await methods.switch_method(tx, site_id, "qr", "KZT", enabled=False)
    assert await offered(database, site_id) == ["aggregator", "card"]
    for site, currency, method in (
        (site_id, "KZT", "qr"),
        (site_id, "USD", "card"),
        (other, "KZT", "card"),
        (site_id, "KZT", "nonsense"),
    ):
        async with database.reading() as reader:
            with pytest.raises(methods.MethodUnavailable):
                await methods.offer(reader, site, currency, method)
    async with database.transaction() as tx:
        await methods.switch_method(tx, site_id, "qr", "KZT", enabled=True)
    assert await offered(database, site_id) == ["aggregator", "qr", "card"]


async def test_offering_again_changes_the_limits_and_switches_on(
    database: Database, clock: MovableClock
) -> None:
    site_id = await new_site(database, clock)
    async with database.transaction() as tx:
        await methods.offer_method(tx, site_id, "card", minimum=LOW, maximum=HIGH, account="main")
        await methods.switch_method(tx, site_id, "card", "KZT", enabled=False)
        await methods.offer_method(
            tx, site_id, "card", minimum=LOW, maximum=LOW, account="second", position=3
        )
    async with database.reading() as reader:
        found = await methods.offer(reader, site_id, "KZT", "card")
    assert (found.minimum, found.maximum, found.account, found.position) == (LOW, LOW, "second", 3)


async def test_what_cannot_be_offered(database: Database, clock: MovableClock) -> None:
    site_id = await new_site(database, clock)
    async with database.transaction() as tx:
        with pytest.raises(methods.MethodUnavailable):
            await methods.offer_method(tx, site_id, "nonsense", minimum=LOW, maximum=HIGH, account="main")
        usd = Money(10, "USD")
        with pytest.raises(CurrencyMismatch):
            await methods.offer_method(tx, site_id, "card", minimum=LOW, maximum=usd, account="main")
        with pytest.raises(ValueError, match="maximum below minimum"):
            await methods.offer_method(tx, site_id, "card", minimum=HIGH, maximum=LOW, account="main")
        with pytest.raises(methods.MethodUnavailable):
            await methods.switch_method(tx, site_id, "card", "KZT", enabled=True)
    assert await offered(database, site_id) == []


async def test_a_method_is_offered_each_way_by_itself(database: Database, clock: MovableClock) -> None:
    site_id = await new_site(database, clock)
    payout = methods.Direction.PAYOUT
    async with database.transaction() as tx:
        await methods.offer_method(tx, site_id, "card", minimum=LOW, maximum=HIGH, account="main")
        await methods.offer_method(
            tx, site_id, "card", minimum=LOW, maximum=LOW, account="second", direction=payout
        )
        await methods.offer_method(
            tx, site_id, "e_wallet", minimum=LOW, maximum=LOW, account="second", direction=payout, position=1
        )
        for method in ("qr", "mobile_app", "aggregator", "nonsense"):
            with pytest.raises(methods.MethodUnavailable):
                await methods.offer_method(
                    tx, site_id, method, minimum=LOW, maximum=HIGH, account="main", direction=payout
                )
    assert await offered(database, site_id) == ["card"]
    assert await offered(database, site_id, direction=payout) == ["card", "e_wallet"]
    async with database.reading() as reader:
        assert (await methods.offer(reader, site_id, "KZT", "card")).account == "main"
        assert (await methods.offer(reader, site_id, "KZT", "card", direction=payout)).account == "second"
        with pytest.raises(methods.MethodUnavailable):
            await methods.offer(reader, site_id, "KZT", "e_wallet")
    async with database.transaction() as tx:
        await methods.switch_method(tx, site_id, "card", "KZT", enabled=False, direction=payout)
        with pytest.raises(methods.MethodUnavailable):
            await methods.switch_method(tx, site_id, "e_wallet", "KZT", enabled=False)
    assert await offered(database, site_id) == ["card"]
    assert await offered(database, site_id, direction=payout) == ["e_wallet"]


async def test_several_accounts_stand_in_the_sites_order(database: Database, clock: MovableClock) -> None:
    site_id = await new_site(database, clock)
    async with database.transaction() as tx:
        await methods.offer_method(tx, site_id, "card", minimum=LOW, maximum=HIGH, account="main")
        assert (await methods.offer(tx, site_id, "KZT", "card")).accounts == ("main",)
        await methods.order_accounts(tx, site_id, "card", "KZT", ["second", "main", "third"])
        found = await methods.offer(tx, site_id, "KZT", "card")
        assert (found.account, found.accounts) == ("second", ("second", "main", "third"))
        # Offered anew it goes through the one account that is named, as it always did.
        await methods.offer_method(tx, site_id, "card", minimum=LOW, maximum=HIGH, account="main")
        assert (await methods.offer(tx, site_id, "KZT", "card")).accounts == ("main",)


@pytest.mark.parametrize("accounts", [[], ["a", "a"], ["a", "b", "a"], [str(number) for number in range(10)]])
async def test_an_order_of_accounts_that_cannot_be_is_refused(
    database: Database, clock: MovableClock, accounts: list[str]
) -> None:
    site_id = await new_site(database, clock)
    async with database.transaction() as tx:
        await methods.offer_method(tx, site_id, "card", minimum=LOW, maximum=HIGH, account="main")
        with pytest.raises(methods.BadAccounts):
            await methods.order_accounts(tx, site_id, "card", "KZT", accounts)
        with pytest.raises(methods.MethodUnavailable):
            await methods.order_accounts(tx, site_id, "qr", "KZT", ["main"])
