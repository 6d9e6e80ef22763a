"""While accounts are switched off: what is offered to a player, and who hears the number of a new card."""

import pytest

from app import merchants, methods, payments, providers
from app.payments.previews import preview_payout
from app.plumbing.http import HttpClient
from tests.cashier import withdrawing
from tests.cashier.test_pages import Elements
from tests.cashier.withdrawing import CARD, WALLET, Browser, errors_of
from tests.payments.accounts import SECOND, order_out, switch_off, switch_on
from tests.payments.banks import another_bank, through_both_banks
from tests.payments.stage import Bank, Stage
from tests.payments.world import ACCOUNT, AMOUNT

browser = withdrawing.browser
NUMBER = {"number": "4111 1111 1111 1111"}
NOT_NOW = "Money cannot be received this way now. Choose another one."


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The accounts that were told the number of a card."""
    heard: list[str] = []
    tokenise = Bank.tokenise

    async def hears(
        self: Bank, http: HttpClient, account: providers.ProviderAccount, number: object
    ) -> object:
        heard.append(account.account)
        return await tokenise(self, http, account, number)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(Bank, "tokenise", hears)
    return heard


@pytest.fixture
async def second(stage: Stage, bank: Bank, monkeypatch: pytest.MonkeyPatch) -> Bank:
    made = another_bank(bank, monkeypatch)
    await through_both_banks(stage)
    return made


async def offered(stage: Stage) -> list[tuple[str, str]]:
    async with stage.database.reading() as reader:
        site = await merchants.site(reader, stage.site_id)
        found = await payments.offered(reader, site, "KZT")
    return sorted((one.method.code, one.direction.value) for one in found)


async def first_only(stage: Stage) -> None:
    async with stage.database.transaction() as tx:
        await merchants.set_most_attempts(tx, stage.site_id, 1, at=stage.clock.now())


async def test_a_new_card_is_told_to_the_account_that_will_pay_to_it(
    stage: Stage, bank: Bank, second: Bank, told: list[str]
) -> None:
    await switch_off(stage, ACCOUNT)
    found = await stage.withdraw(method="card", destination=NUMBER)
    assert told == [SECOND]
    [kept] = await stage.rows("SELECT account FROM instrument")
    assert (kept.account, (await stage.leg(found.payment_id)).account) == (SECOND, SECOND)
    await stage.work()
    assert await stage.state(found.payment_id) == ("completed", None)
    assert (len(second.payouts), bank.payouts) == (1, [])


@pytest.mark.parametrize("deed", ["asked for", "looked at"])
async def test_a_new_card_is_told_to_nobody_where_all_are_off(
    stage: Stage, second: Bank, told: list[str], deed: str
) -> None:
    for name in (ACCOUNT, SECOND):
        await switch_off(stage, name)
    session = await stage.session()
    wish = payments.PayoutWish("card", AMOUNT, "form-1", 3, NUMBER)
    do = payments.request_payout if deed == "asked for" else preview_payout
    with pytest.raises(methods.MethodUnavailable):
        await do(stage.pipes, session, wish)
    assert (told, await stage.rows("SELECT 1 FROM instrument")) == ([], [])
    assert (await stage.rows("SELECT 1 FROM payment"), await stage.rows("SELECT 1 FROM claim")) == ([], [])
    assert await stage.held() == 0
    await switch_on(stage, ACCOUNT)
    await do(stage.pipes, session, wish)
    assert told == [ACCOUNT]


async def test_nor_to_one_behind_those_that_the_site_lets_be_asked(
    stage: Stage, second: Bank, told: list[str]
) -> None:
    await first_only(stage)
    await switch_off(stage, ACCOUNT)
    with pytest.raises(methods.MethodUnavailable):
        await stage.withdraw(method="card", destination=NUMBER)
    assert told == []


async def test_a_player_whose_card_cannot_be_taken_reads_to_choose_another_way(
    stage: Stage, second: Bank, browser: Browser, told: list[str]
) -> None:
    await order_out(stage, ACCOUNT, method="card")  # and by a wallet through the second as well
    await switch_off(stage, ACCOUNT)
    answer = await browser.review(**CARD)
    assert (answer.status_code, errors_of(answer)) == (422, {"method": NOT_NOW})
    assert told == []
    await browser.nothing_happened()


async def test_what_nobody_can_carry_out_is_not_offered(stage: Stage, second: Bank) -> None:
    everything = [("card", "deposit"), ("card", "payout"), ("e_wallet", "payout")]
    assert await offered(stage) == everything
    await switch_off(stage, ACCOUNT)  # the only one of deposits
    assert await offered(stage) == everything[1:]
    await switch_off(stage, SECOND)
    assert await offered(stage) == []
    await switch_on(stage, SECOND)
    assert await offered(stage) == everything[1:]
    await first_only(stage)
    assert await offered(stage) == []


async def test_the_page_shows_what_can_be_chosen(stage: Stage, second: Bank, browser: Browser) -> None:
    async def shown(deed: str) -> list[str]:
        page = await browser.client.get("/open", params={"key": browser.key, "deed": deed})
        assert page.status_code == 200, page.text
        inputs = Elements(page.text).all("input")
        return sorted(found["value"] for found in inputs if found["name"] == "method")

    assert (await shown("deposit"), await shown("withdraw")) == (["card"], ["card", "e_wallet"])
    await switch_off(stage, ACCOUNT)
    assert (await shown("deposit"), await shown("withdraw")) == ([], ["card", "e_wallet"])
    await switch_on(stage, ACCOUNT)
    assert await shown("deposit") == ["card"]


async def test_a_form_that_was_open_already_is_taken_and_waits(
    stage: Stage, second: Bank, browser: Browser
) -> None:
    reviewed = await browser.review(**WALLET)
    for name in (ACCOUNT, SECOND):
        await switch_off(stage, name)
    assert (await browser.confirm(reviewed)).status_code == 303
    await stage.work()
    assert "is switched off" in (await stage.payment()).reason
    await switch_on(stage, SECOND)
    await stage.later(300)
    assert (await stage.payment()).sub_status == "completed"
