"""A provider account is switched off and on, and changed, by command; what was before is in the diary."""

import asyncio
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app import merchants, methods, payments, providers, staff
from app.kernel.clock import SystemClock
from app.kernel.errors import Refusal
from app.plumbing.addresses import BadPeerAddress
from tests.payments.accounts import through_both_accounts
from tests.payments.desk import Desk
from tests.payments.questions import days
from tests.payments.stage import Bank, Stage
from tests.payments.test_deposit_command import run, said
from tests.payments.test_provider_command import SECRET, URL, opened, own, typed
from tests.payments.world import ACCOUNT, REFUSED, UNKNOWN, Provider, World, fact, paid
from tests.wallet.locking import blocked

OFF = (
    "switched off: no new order goes there; withdrawals go by another account or wait, refunds wait; "
    "notices and questions about earlier orders still count\n"
)
ON = "switched on: new orders go there, and what waited for it\n"
ORIGIN = "https://pages.example.org"


async def switch(world: World, clone_url: str, to: str, name: str = "main") -> str:
    return await said(clone_url, "provider", f"switch-{to}", world.site_id, name)


async def noted(world: World) -> list[Any]:
    async with world.database.reading() as reader:
        lines = await staff.diary(reader, world.site_id)
    return [
        (one.deed.removeprefix("provider_account."), one.detail)
        for one in reversed(lines)
        if one.subject.startswith("provider_account:") and not one.deed.endswith("opened")
    ]


async def test_no_new_deposit_goes_to_an_account_that_is_switched_off(
    world: World, provider: Provider, clone_url: str
) -> None:
    assert await switch(world, clone_url, "off") == OFF
    with pytest.raises(methods.MethodUnavailable):
        await world.ask()
    assert provider.orders == []
    assert await switch(world, clone_url, "on") == ON
    await world.ask()
    assert len(provider.orders) == 1
    assert await noted(world) == [
        ("switched_off", {"now": {"enabled": False}, "before": {"enabled": True}}),
        ("switched_on", {"now": {"enabled": True}, "before": {"enabled": False}}),
    ]


async def test_a_notice_of_an_earlier_order_still_counts(world: World, clone_url: str) -> None:
    await world.ask()
    await switch(world, clone_url, "off")
    await world.notice(fact(await world.reference()))
    assert (await world.payment()).sub_status == "completed"


async def test_a_question_about_an_earlier_order_still_counts(
    world: World, provider: Provider, clone_url: str
) -> None:
    found = await world.deposit()
    await switch(world, clone_url, "off")
    provider.statuses = [paid()]
    await payments.ask_provider(world.pipes, world.site_id, found.payment_id)
    assert (await world.payment()).sub_status == "completed"


async def test_the_next_account_is_none_that_is_switched_off(
    world: World, provider: Provider, second: Provider, clone_url: str
) -> None:
    await through_both_accounts(world)
    await switch(world, clone_url, "off", "second")
    provider.answers = [REFUSED]
    assert (await world.deposit()).sub_status == "declined"
    assert second.orders == []


async def test_a_withdrawal_waits_for_it_and_is_sent_when_it_is_on(
    stage: Stage, bank: Bank, clone_url: str
) -> None:
    await stage.fund()
    found = await stage.withdraw()
    await switch(stage, clone_url, "off")
    await stage.later(300)
    assert bank.payouts == []
    why = "the provider account main is switched off; no other account"
    assert (await stage.row(found.payment_id)).reason == why
    await switch(stage, clone_url, "on")
    await stage.later(300)
    assert await stage.state(found.payment_id) == ("completed", None)


async def test_a_refund_waits_for_it(desk: Desk, clone_url: str) -> None:
    asked = await desk.refund(await desk.deposit())
    await desk.approve(asked.payment_id)
    await switch(desk.world, clone_url, "off")
    await desk.carry_on(asked.payment_id)
    assert desk.provider.refunds == []
    await switch(desk.world, clone_url, "on")
    desk.provider.answers = desk.provider.statuses = [paid("back-1")]
    await desk.carry_on(asked.payment_id)
    assert len(desk.provider.refunds) == 1


async def test_what_is_so_already_is_said_and_not_noted(world: World, clone_url: str) -> None:
    assert (await switch(world, clone_url, "on")).startswith("was switched on before: ")
    await switch(world, clone_url, "off")
    assert (await switch(world, clone_url, "off")).startswith("was switched off before: ")
    assert len(await noted(world)) == 1


async def test_who_speaks_a_language_that_nobody_knows_is_not_switched_on(
    world: World, clone_url: str
) -> None:
    await switch(world, clone_url, "off")
    async with world.database.transaction() as tx:
        await tx.execute(text("UPDATE provider_account SET gateway = 'pigeon'"))
    failed = await run(clone_url, "provider", "switch-on", world.site_id, "main")
    assert isinstance(failed.exception, providers.BadAccount)
    assert "pigeon is not known here" in str(failed.exception)
    assert len(await noted(world)) == 1


async def test_only_what_is_named_changes(desk: Desk, clone_url: str) -> None:
    await opened(desk, clone_url, "--page-origin", ORIGIN)
    change = ("provider", "change", desk.site_id, "own")
    elsewhere = "https://new.example.org/v2"
    assert await said(clone_url, *change, "--url", elsewhere) == "changed\n"
    found = await own(desk)
    assert (found.base_url, found.page_origin) == (elsewhere, ORIGIN)
    assert found.credentials == {"account": "m-77", "secret": SECRET}
    # What is as it was is not among what changed.
    await said(clone_url, *change, "--merchant-id", "m-78", "--url", elsewhere)
    await said(clone_url, *change, "--page-origin", "")
    found = await own(desk)
    assert (found.base_url, found.page_origin) == (elsewhere, "")
    assert found.credentials == {"account": "m-78", "secret": SECRET}
    assert await noted(desk.world) == [
        ("changed", {"now": {"base_url": elsewhere}, "before": {"base_url": URL}}),
        ("changed", {"now": {"merchant_id": "m-78"}, "before": {"merchant_id": "m-77"}}),
        ("changed", {"now": {"page_origin": ""}, "before": {"page_origin": ORIGIN}}),
    ]


async def test_with_orders_under_way_it_does_not_move_by_mistake(
    world: World, provider: Provider, clone_url: str
) -> None:
    """Elsewhere nobody may know them: not found, they would be sent again."""
    provider.answers = [UNKNOWN]
    await world.ask()
    change = ("provider", "change", world.site_id, ACCOUNT, "--url", "https://new.example.org")
    refused = await run(clone_url, *change)
    assert isinstance(refused.exception, payments.OrdersUnderWay)
    assert str(refused.exception).startswith(
        f"Orders at {ACCOUNT} are under way (1): say that they are known there"
    )
    async with world.database.reading() as reader:
        assert (await providers.account(reader, world.site_id, ACCOUNT)).base_url != "https://new.example.org"
    assert await said(clone_url, "provider", "change", world.site_id, ACCOUNT, "--page-origin", ORIGIN)
    assert await said(clone_url, *change, "--with-orders") == "changed\n"


async def test_an_order_that_has_ended_holds_no_account(
    world: World, provider: Provider, clone_url: str
) -> None:
    """Three days after the provider's no it is asked about no more."""
    provider.answers = provider.statuses = [REFUSED]
    await world.ask()
    change = ("provider", "change", world.site_id, ACCOUNT, "--url", "https://new.example.org")
    assert isinstance((await run(clone_url, *change)).exception, payments.OrdersUnderWay)
    await days(world, 4)
    assert await said(clone_url, *change) == "changed\n"


async def test_a_change_switches_nothing_on(desk: Desk, clone_url: str) -> None:
    await opened(desk, clone_url)
    await switch(desk.world, clone_url, "off", "own")
    await said(clone_url, "provider", "change", desk.site_id, "own", "--merchant-id", "m-78")
    with pytest.raises(providers.AccountNotFound):
        await own(desk)


NO_CHANGE: list[tuple[tuple[str, ...], type[Refusal], str]] = [
    (("--url", URL), providers.AccountUnchanged, "Nothing would change at the provider account own."),
    (("--merchant-id", "m-77", "--page-origin", ""), providers.AccountUnchanged, "Nothing would change"),
    (("--url", "http://pay.example.org"), BadPeerAddress, "it must begin with https://"),
    (("--url", "https://10.0.0.1"), BadPeerAddress, "a name, not an address"),
    (("--url", ""), BadPeerAddress, ""),
    (("--url", f"{URL}?a=b"), providers.BadAccount, "The account's url must have no query"),
    (("--merchant-id", ""), providers.BadAccount, "The account's merchant id must be 1 to 128"),
    (("--page-origin", f"{ORIGIN}:443"), providers.BadAccount, "must leave out the port 443"),
    # One that can be, beside one that cannot: neither counts.
    (("--merchant-id", "m-78", "--page-origin", f"{ORIGIN}/"), providers.BadAccount, "page origin"),
]


@pytest.mark.parametrize(("change", "refusal", "words"), NO_CHANGE)
async def test_what_can_be_no_change_is_one_sentence(
    desk: Desk, clone_url: str, change: tuple[str, ...], refusal: type[Refusal], words: str
) -> None:
    await opened(desk, clone_url)
    failed = await run(clone_url, "provider", "change", desk.site_id, "own", *change)
    assert isinstance(failed.exception, refusal)
    assert words in str(failed.exception)
    found = await own(desk)
    assert (found.base_url, found.page_origin, found.credentials["account"]) == (URL, "", "m-77")
    assert await noted(desk.world) == []


async def test_a_change_of_nothing_is_refused_by_the_names_of_what_could(desk: Desk, clone_url: str) -> None:
    failed = await run(clone_url, "provider", "change", desk.site_id, "main")
    assert failed.exit_code == 2
    told = " ".join(failed.output.replace("\u2502", " ").split())  # out of the frame that is drawn around it
    assert "--url, --merchant-id or --page-origin: name at least one of them, nothing would change" in told


async def test_a_private_address_is_changed_to_where_it_is_allowed(desk: Desk, clone_url: str) -> None:
    await opened(desk, clone_url)
    words = ("provider", "change", desk.site_id, "own", "--url", "http://127.0.0.1:9000")
    assert isinstance((await typed(clone_url, "", *words)).exception, BadPeerAddress)
    peers = {"CASHIER_ALLOWED_PRIVATE_PEERS": "127.0.0.1:9000"}
    assert (await typed(clone_url, "", *words, **peers)).exit_code == 0
    # It may be called no more without that setting, and its other half can be changed all the same.
    other = ("provider", "change", desk.site_id, "own", "--merchant-id", "m-78")
    assert (await typed(clone_url, "", *other)).exit_code == 0


async def test_of_two_who_change_it_at_once_the_second_saw_what_the_first_did(
    desk: Desk, clone_url: str
) -> None:
    await opened(desk, clone_url)
    outside = copy_context()  # where no transaction is open
    async with desk.world.database.transaction() as tx:
        change = providers.AccountChange(merchant_id="m-78")
        at = desk.world.clock.now()
        await providers.change_account(tx, desk.site_id, "own", change, by="machine:tests", at=at)
        words = ("provider", "change", desk.site_id, "own", "--merchant-id", "m-79")
        second = asyncio.create_task(said(clone_url, *words), context=outside)
        await blocked(clone_url)
    await second
    assert [detail for _, detail in await noted(desk.world)] == [
        {"now": {"merchant_id": "m-78"}, "before": {"merchant_id": "m-77"}},
        {"now": {"merchant_id": "m-79"}, "before": {"merchant_id": "m-78"}},
    ]


async def test_a_notice_is_stored_while_somebody_changes_its_account(world: World) -> None:
    """What refers to an account asks that it stays there, not that it stays as it is."""
    outside = copy_context()
    async with world.database.transaction() as tx:
        at = world.clock.now()
        await providers.switch_account(tx, world.site_id, "main", enabled=False, by="machine:tests", at=at)
        stored = asyncio.create_task(world.store_notice(fact("att_1")), context=outside)
        async with asyncio.timeout(5):
            await stored


async def test_the_secret_before_is_shown_while_it_is_good_and_can_be_ended(
    desk: Desk, clone_url: str
) -> None:
    async def listed() -> str:
        lines = (await said(clone_url, "provider", "list", desk.site_id)).splitlines()
        return next(line for line in lines if line.startswith("own")).partition("  on")[2]

    def hours_until(line: str) -> int:
        """How far away the instant is at which a line ends."""
        at = datetime.fromisoformat(line.strip().removesuffix(" UTC")[-16:]).replace(tzinfo=UTC)
        return round((at - SystemClock().now()) / timedelta(hours=1))

    async def rotated(secret: str, *words: str) -> str:
        done = await typed(clone_url, secret, "provider", "rotate-secret", desk.site_id, "own", *words)
        assert done.exit_code == 0, done.output
        return str(done.stdout)

    await opened(desk, clone_url)
    assert await listed() == ""
    shown = await rotated("two")
    assert shown.startswith("rotated; the secret before is good for notices until ")
    first, hint = shown.splitlines()
    assert hours_until(first) == 24
    assert hint == f"has it leaked? cashier provider end-former-secret {desk.site_id} own"
    assert (await listed()).startswith("  former secret until ")
    assert hours_until(await listed()) == 24
    await rotated("three", "--keep-former")
    assert hours_until(await listed()) == 24
    end = ("provider", "end-former-secret", desk.site_id, "own")
    assert await said(clone_url, *end) == "ended\n"
    assert await said(clone_url, *end) == "there was none that was still good\n"
    assert await listed() == ""
    await rotated("four", "--overlap-hours", "2")
    assert hours_until(await listed()) == 2
    shown = await rotated("five", "--overlap-hours", "0")
    assert shown == "rotated; the secret before is good for nothing any more\n"
    assert await listed() == ""


@pytest.mark.parametrize("hours", ["-1", "721", "99999999999999999999"])
async def test_an_overlap_that_can_be_none_is_a_sentence(desk: Desk, clone_url: str, hours: str) -> None:
    await opened(desk, clone_url)
    rotate = ("provider", "rotate-secret", desk.site_id, "own", "--overlap-hours", hours)
    failed = await typed(clone_url, "two", *rotate)
    assert str(failed.exception) == "The account's overlap must be 0 to 720 hours."
    assert (await own(desk)).credentials["secret"] == SECRET


DEEDS = [
    ("switch-off", ()),
    ("switch-on", ()),
    ("change", ("--merchant-id", "m-78")),
    ("end-former-secret", ()),
]


@pytest.mark.parametrize(("deed", "words"), DEEDS)
async def test_an_account_that_there_is_not_is_a_sentence(
    desk: Desk, clone_url: str, deed: str, words: tuple[str, ...]
) -> None:
    failed = await run(clone_url, "provider", deed, desk.site_id, "nobody", *words)
    assert isinstance(failed.exception, providers.AccountNotFound)
    failed = await run(clone_url, "provider", deed, 9, "main", *words)
    assert isinstance(failed.exception, merchants.SiteNotFound)


@pytest.mark.parametrize(("deed", "words"), DEEDS)
async def test_only_who_may_open_an_account_may_change_it(
    desk: Desk, clone_url: str, deed: str, words: tuple[str, ...]
) -> None:
    async def token(login: str, role: staff.Role) -> str:
        async with desk.world.database.transaction() as tx:
            new = staff.NewOperator(login, login.title(), frozenset({role}))
            return (await staff.create_operator(tx, new, at=desk.world.clock.now()))[1]

    await opened(desk, clone_url)
    if deed == "switch-on":
        await switch(desk.world, clone_url, "off", "own")
    if deed == "end-former-secret":
        await typed(clone_url, "two", "provider", "rotate-secret", desk.site_id, "own")
    before = await noted(desk.world)
    command = ("provider", deed, desk.site_id, "own", *words, "--token")
    weak, chief = await token("weak", staff.Role.FINANCE), await token("chief", staff.Role.ADMINISTRATOR)
    assert isinstance((await run(clone_url, *command, weak)).exception, staff.NotPermitted)
    assert await noted(desk.world) == before
    await said(clone_url, *command, chief)
    assert len(await noted(desk.world)) == len(before) + 1
    [newest] = await desk.world.rows(
        "SELECT actor FROM diary WHERE deed LIKE 'provider_account.%' ORDER BY recorded_at DESC LIMIT 1"
    )
    assert newest.actor.startswith("operator:")
