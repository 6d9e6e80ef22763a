"""The order of a method's accounts, and how many are asked, by command: clear refusals, and the diary."""

import asyncio
import os
import sys

import pytest

from app import merchants, methods, providers
from app.kernel.errors import Refusal
from tests.payments.desk import Desk
from tests.payments.test_deposit_command import run, said


async def second(desk: Desk) -> None:
    async with desk.world.database.transaction() as tx:
        await providers.seed_account(
            tx, desk.site_id, "second", gateway="told", base_url="https://two.example.com", credentials={}
        )


async def test_an_order_is_set_shown_and_noted(desk: Desk, clone_url: str) -> None:
    await second(desk)
    site = desk.site_id
    assert await said(clone_url, "site", "accounts", site, "kzt", "card") == "1  main\n"
    shown = await said(clone_url, "site", "accounts", site, "KZT", "card", "second", "main")
    assert shown == "1  second\n2  main\n"
    async with desk.world.database.reading() as reader:
        assert (await methods.offer(reader, site, "KZT", "card")).accounts == ("second", "main")
    [row] = await desk.world.rows("SELECT * FROM diary WHERE deed = 'offer.accounts'")
    assert (row.subject, row.detail) == (
        "offer:card:KZT:deposit",
        {"accounts": ["second", "main"], "before": ["main"]},
    )


async def test_how_many_are_asked_is_set_and_what_is_beyond_is_said(desk: Desk, clone_url: str) -> None:
    await second(desk)
    site = desk.site_id
    assert await said(clone_url, "site", "attempts", site) == "at most 3\n"
    assert await said(clone_url, "site", "attempts", site, 1) == "at most 1\n"
    shown = await said(clone_url, "site", "accounts", site, "KZT", "card", "main", "second")
    assert shown == "1  main\n2  second  never asked: see site attempts\n"


BAD: list[tuple[tuple[str, ...], type[Refusal], str]] = [
    (("card", "nobody"), providers.AccountNotFound, "no provider account nobody"),
    (("card", "main", "main"), methods.BadAccounts, "main stands there twice"),
    (("card", *(f"a{number}" for number in range(10))), providers.AccountNotFound, "a0"),
    (("e_wallet", "main"), methods.MethodUnavailable, "not available here: e_wallet"),
    (("nonsense", "main"), methods.MethodUnavailable, "nonsense"),
    (("card", "main", "--direction", "payout"), methods.MethodUnavailable, "card"),
]


@pytest.mark.parametrize(("asked", "refusal", "words"), BAD)
async def test_what_cannot_be_is_refused_in_words(
    desk: Desk, clone_url: str, asked: tuple[str, ...], refusal: type[Refusal], words: str
) -> None:
    failed = await run(clone_url, "site", "accounts", desk.site_id, "KZT", *asked)
    assert isinstance(failed.exception, refusal)
    assert words in str(failed.exception)
    assert await said(clone_url, "site", "accounts", desk.site_id, "KZT", "card") == "1  main\n"


async def test_an_account_by_which_nothing_is_paid_out_is_none_for_payouts(
    desk: Desk, clone_url: str
) -> None:
    """The stub of this desk's provider collects only."""
    async with desk.world.database.transaction() as tx:
        offered = await methods.offer(tx, desk.site_id, "KZT", "card")
        await methods.offer_method(
            tx,
            desk.site_id,
            "card",
            minimum=offered.minimum,
            maximum=offered.maximum,
            account="main",
            direction=methods.Direction.PAYOUT,
        )
    asked = ("site", "accounts", desk.site_id, "KZT", "card", "main", "--direction", "payout")
    desk.world.provider.caps = providers.Cap.DEPOSIT
    assert isinstance((await run(clone_url, *asked)).exception, providers.AccountNotFound)


async def test_a_site_that_there_is_not_has_no_accounts(desk: Desk, clone_url: str) -> None:
    failed = await run(clone_url, "site", "accounts", 9, "KZT", "card")
    assert isinstance(failed.exception, merchants.SiteNotFound)


@pytest.mark.parametrize("most", [0, 10, -1])
async def test_a_number_of_attempts_that_cannot_be_is_refused(desk: Desk, clone_url: str, most: int) -> None:
    failed = await run(clone_url, "site", "attempts", desk.site_id, "--", most)
    assert isinstance(failed.exception, merchants.BadAttempts)


@pytest.mark.parametrize(
    "asked",
    [("attempts", "99999999999"), ("show", "99999999999"), ("accounts", "{site}", "K\udcffT", "card")],
)
async def test_what_no_database_can_hold_is_a_sentence(
    desk: Desk, clone_url: str, asked: tuple[str, ...]
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "site", *(part.format(site=desk.site_id) for part in asked)),
        env={**os.environ, "CASHIER_DATABASE_URL": clone_url},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said_of_it = await process.communicate()
    expected = "error: a number or a text is none that the database can hold.\n"
    assert (process.returncode, said_of_it.decode()) == (1, expected)
