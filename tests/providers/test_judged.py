"""Where a provider may send the player's browser: to its own page, or nowhere."""

from dataclasses import replace

import httpx
import pytest
from sqlalchemy import text

from app import payments, providers
from app.main import create_app
from tests.payments import conftest
from tests.payments.world import Provider, World, awaiting

provider = conftest.provider
world = conftest.world

State = providers.State
OWN = "https://pay.example.com"
ACCOUNT = providers.ProviderAccount(1, "main", "told", OWN, OWN, {})
NO_ADDRESS = [
    "",
    "javascript:alert(1)",
    "JavaScript:alert(1)//https://pay.example.com/",
    " javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "//evil.example/1",
    "/pay/1",
    "https:/evil.example",
    "https:evil.example",
    "https:///evil.example",
    "https://",
    "https://pay.example.com@evil.example/1",
    "https://a:b@evil.example/1",
    "https://pay.example.com\\@evil.example/1",
    "https://pay.example.com\x00/1",
    "https://pay.example.com/1\x00",
    "https://pay.example.com/1\n",
    "https://pay.example.com\n",
    "https://pay.example.com/\r\nSet-Cookie: a=b",
    "java\tscript:alert(1)",
    "https://pay.example.com/\x1b[2J",
    "https://pay.example.com/\u202e1",
    "https://pay.example.com/\u2028",
    "https://pay.example.com/\x7f",
]
ELSEWHERE = [
    "https://evil.example/1",
    "http://pay.example.com/1",
    "https://pay.example.com.evil.example/1",
    "https://pay.example.com:8443/1",
    "https://pay.example.co/1",
    "https://evil.example/https://pay.example.com/1",
    "https://evil.example?https://pay.example.com",
]
ITS_OWN = [OWN, f"{OWN}/", f"{OWN}/1?order=att_1&x=https://a.example#top", f"{OWN}?a", f"{OWN}#a"]


@pytest.mark.parametrize("url", NO_ADDRESS)
@pytest.mark.parametrize("origin", [OWN, ""])
def test_what_is_no_web_address_says_nothing(url: str, origin: str) -> None:
    said = replace(awaiting(url), raw={"kept": "for staff"})
    found = providers.judged(replace(ACCOUNT, page_origin=origin), said)
    assert (found.state, found.next_action) == (State.UNKNOWN, None)
    assert found.error is not None
    assert (found.error.code, found.error.retryable) == ("bad_page", False)
    assert found.raw == {"kept": "for staff"}, "what the provider said is still on record"
    assert not found.nothing_was_sent


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_page_elsewhere_is_refused_where_the_origin_is_known(url: str) -> None:
    assert providers.judged(ACCOUNT, awaiting(url)).state is State.UNKNOWN
    assert providers.judged(replace(ACCOUNT, page_origin=""), awaiting(url)) == awaiting(url)


@pytest.mark.parametrize("url", ITS_OWN)
def test_its_own_page_is_left_as_it_is(url: str) -> None:
    for account in (ACCOUNT, replace(ACCOUNT, page_origin="")):
        assert providers.judged(account, awaiting(url)) == awaiting(url)


def test_an_origin_with_a_port_is_compared_with_it() -> None:
    account = replace(ACCOUNT, page_origin="http://127.0.0.1:8082")
    assert providers.judged(account, awaiting("http://127.0.0.1:8082/pay/1")).state is State.REQUIRES_ACTION
    for url in ("http://127.0.0.1/pay/1", "http://127.0.0.1:80820/pay/1", "http://127.0.0.1:808/pay/1"):
        assert providers.judged(account, awaiting(url)).state is State.UNKNOWN


@pytest.mark.parametrize("state", list(State))
def test_a_result_without_a_page_is_nobodys_to_judge(state: State) -> None:
    said = providers.Result(state, "theirs-1")
    assert providers.judged(ACCOUNT, said) is said


async def pages(world: World, view_token: str) -> list[httpx.Response]:
    """The player's page of a payment, and what the page polls."""
    transport = httpx.ASGITransport(create_app(world.pipes))
    async with httpx.AsyncClient(transport=transport, base_url="https://cashier.example.com") as client:
        page = f"/cashier/payment/{view_token}"
        return [
            await client.get(page),
            await client.get(f"{page}?returned=yes"),
            await client.get(f"{page}/status"),
        ]


async def bind_to_its_origin(world: World) -> None:
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE provider_account SET page_origin = :origin"), {"origin": OWN})


@pytest.mark.parametrize("url", [*NO_ADDRESS[:6], "https://pay.example.com\x00/1", ELSEWHERE[0]], ids=ascii)
async def test_the_players_page_stands_whatever_page_the_provider_named(
    world: World, provider: Provider, url: str
) -> None:
    await bind_to_its_origin(world)
    provider.answers = provider.statuses = [awaiting(url)]
    view_token = await world.ask()
    for _ in range(2):
        found = await world.payment()
        assert (found.sub_status, found.continue_url) == ("unknown", None)
        assert found.reason_code == "bad_page"
        for answer in await pages(world, view_token):
            assert answer.status_code == 200
            assert "evil.example" not in answer.text
            assert "alert(1)" not in answer.text
        await payments.ask_provider(world.pipes, world.site_id, found.payment_id)


async def test_a_good_page_named_later_is_gone_to(world: World, provider: Provider) -> None:
    await bind_to_its_origin(world)
    provider.answers = [awaiting("https://evil.example/1")]
    provider.statuses = [awaiting(f"{OWN}/1")]
    view_token = await world.ask()
    await payments.ask_provider(world.pipes, world.site_id, (await world.payment()).payment_id)
    assert (await world.payment()).continue_url == f"{OWN}/1"
    *_, polled = await pages(world, view_token)
    assert polled.json()["continue_url"] == f"{OWN}/1"


async def test_a_page_named_when_the_order_is_withdrawn_is_judged_too(
    world: World, provider: Provider
) -> None:
    provider.answers = [providers.Result(State.UNKNOWN)]
    provider.cancels = [awaiting("javascript:alert(1)")]
    view_token = await world.ask()
    world.clock.advance(1_800)
    await payments.ask_provider(world.pipes, world.site_id, (await world.payment()).payment_id)
    assert (await world.payment()).continue_url is None
    assert [answer.status_code for answer in await pages(world, view_token)] == [200, 200, 200]


async def test_a_page_named_by_a_notice_is_judged_too(
    world: World, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.answers = [providers.Result(State.UNKNOWN)]
    view_token = await world.ask()
    told = providers.Report("1", await world.reference(), awaiting("javascript:alert(1)"), None)
    monkeypatch.setattr(provider, "parse", lambda *_: [told])
    await world.notice()
    assert (await world.payment()).continue_url is None
    assert [answer.status_code for answer in await pages(world, view_token)] == [200, 200, 200]


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.PROCESSING])
def test_a_page_that_nobody_is_sent_to_changes_no_outcome(state: State) -> None:
    """A paid order with a link to a receipt is a paid order."""
    said = replace(awaiting("/receipt"), state=state)
    assert providers.judged(ACCOUNT, said).state is state
