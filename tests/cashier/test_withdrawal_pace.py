"""Who may not withdraw learns nothing from us, and nobody sends forms faster than a person."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest
from typing_extensions import override

from app import payments, players, providers
from app.cashier.routes import PLAYER_AT_ONCE
from app.kernel.masking import CardNumber
from app.main import create_app
from app.payments.trials import NEW_AT_MOST
from app.plumbing import switches
from app.plumbing.http import HttpClient
from app.providers.gateways import GATEWAYS
from tests.cashier import withdrawing
from tests.cashier.withdrawing import CARD, WALLET, Browser, errors_of, key_of
from tests.payments import conftest
from tests.payments.stage import Bank, Stage

stage = conftest.stage
browser = withdrawing.browser
PATHS = ["/cashier/withdraw", "/cashier/withdraw/review"]
TOO_MANY = "Too many attempts"


@dataclass
class Oracle(Bank):
    """A bank that says which cards there are, and remembers who asked."""

    heard: list[str] = field(default_factory=list)

    @override
    async def tokenise(
        self, http: HttpClient, account: providers.ProviderAccount, number: CardNumber
    ) -> providers.Tokenised | providers.ProviderError:
        self.heard.append(number.masked)
        return await super().tokenise(http, account, number)


@pytest.fixture
def bank(monkeypatch: pytest.MonkeyPatch) -> Oracle:
    made = Oracle()
    monkeypatch.setitem(GATEWAYS, made.name, made)
    return made


async def _stopped(stage: Stage) -> None:
    async with stage.database.transaction() as tx:
        await switches.set_switch(
            tx,
            stage.site_id,
            payments.PAYOUTS,
            stopped=True,
            reason="drill",
            by="machine:test",
            at=stage.clock.now(),
        )


async def _blocked(stage: Stage) -> None:
    async with stage.database.transaction() as tx:
        await players.set_status(tx, stage.site_id, "aigerim", players.PlayerStatus.BLOCKED)


async def _poor(stage: Stage) -> None:
    await stage.withdraw(499_999)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("hinder", "status"), [(_stopped, 503), (_blocked, 422), (_poor, 402)])
async def test_the_bank_is_not_asked_about_a_card_in_vain(
    browser: Browser, stage: Stage, bank: Oracle, path: str, hinder: object, status: int
) -> None:
    await stage.fund()
    assert callable(hinder)
    await hinder(stage)
    assert (await browser.post(path, **CARD)).status_code == status
    assert bank.heard == []


async def test_a_form_that_was_taken_is_found_again_when_nothing_is_possible_any_more(
    browser: Browser, stage: Stage, bank: Oracle
) -> None:
    await stage.fund(150_000)
    first = await browser.post("/cashier/withdraw", **CARD)
    await _blocked(stage)
    await _stopped(stage)
    again = await browser.post("/cashier/withdraw", **CARD)
    assert (again.status_code, again.headers["location"]) == (303, first.headers["location"])
    assert len(bank.heard) == 1


async def test_who_tries_out_cards_is_slowed_down(browser: Browser, stage: Stage, bank: Oracle) -> None:
    await stage.fund()
    bank.tokenised = providers.ProviderError("14", "no such card")
    seen = [(await browser.post(PATHS[n % 2], form_token=f"f{n}", **CARD)).status_code for n in range(25)]
    assert seen == [422] * PLAYER_AT_ONCE + [429] * (25 - PLAYER_AT_ONCE)
    assert len(bank.heard) == PLAYER_AT_ONCE
    page = await browser.review(lang="ru", **CARD)
    assert "Слишком много попыток" in page.text
    assert "Подождите минуту" in page.text
    # Another one of the same site goes on.
    other = Browser(stage, browser.client, await key_of(stage, site_login="bolat"))
    assert (await other.review(**CARD)).status_code == 402
    stage.clock.advance(5)
    assert (await browser.review(**CARD)).status_code == 422
    assert (await browser.review(**CARD)).status_code == 429


async def test_cancelling_has_the_same_pace(browser: Browser, stage: Stage) -> None:
    await stage.fund()
    await stage.policy(auto_below=None)
    address = await browser.withdraw()
    cancel = f"{address.partition('?')[0]}/cancel"
    while (await browser.review(change="yes")).status_code != 429:
        pass
    page = await browser.client.post(cancel)
    assert page.status_code == 429
    assert TOO_MANY in page.text
    assert (await stage.payment()).sub_status == "under_review"
    stage.clock.advance(5)
    assert (await browser.client.post(cancel)).status_code == 303
    assert (await stage.payment()).sub_status == "by_player"


async def test_only_so_many_new_details_a_day(browser: Browser, stage: Stage, bank: Oracle) -> None:
    await stage.fund()
    for number in range(NEW_AT_MOST):
        stage.clock.advance(60)
        assert (await browser.review(to_e_wallet_wallet=f"wallet{number:05}")).status_code == 200
    stage.clock.advance(60)
    said = {"form": "You have entered too many new details today. Choose the ones that you used before."}
    for path in PATHS:
        for fields in (CARD, {**WALLET, "to_e_wallet_wallet": "another"}):
            assert errors_of(await browser.post(path, **fields)) == said
    assert bank.heard == []
    kept = await stage.rows("SELECT instrument_id FROM instrument ORDER BY instrument_id")
    assert len(kept) == NEW_AT_MOST
    await browser.withdraw(to_e_wallet=kept[0].instrument_id)
    stage.clock.advance(24 * 3600)
    browser.key = await key_of(stage)
    assert (await browser.review(to_e_wallet_wallet="tomorrow")).status_code == 200


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(stage.pipes))
    async with httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as made:
        yield made


@pytest.mark.parametrize(
    ("force", "path"),
    [("1", "/cashier/withdraw"), ("1", "/cashier/withdraw/review"), ("2", "/cashier/deposit")],
)
async def test_what_the_merchant_did_not_open_is_refused(
    stage: Stage, client: httpx.AsyncClient, force: str, path: str
) -> None:
    await stage.fund()
    browser = Browser(stage, client, await key_of(stage, force_action=force))
    answer = await browser.post(path, **({"method": "card"} if path.endswith("deposit") else {}))
    assert answer.status_code == 403
    assert "This is not possible here" in answer.text
    await browser.nothing_happened()
    for free in ("4", "5"):
        browser.key = await key_of(stage, force_action=free)
        good = await browser.post(path, **({"method": "card"} if path.endswith("deposit") else {}))
        assert good.status_code in {200, 303}, good.text
