"""What a site offers, by command: clear refusals, accounts that follow, and a diary of what was before."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context

import pytest

from app import methods, payments, players, providers, staff
from app.kernel.errors import Refusal
from app.kernel.money import Money
from app.payments.policies import BadPolicy
from app.plumbing.database import Transaction
from tests.payments.accounts import SECOND
from tests.payments.desk import FULL, Desk
from tests.payments.test_deposit_command import run, said
from tests.payments.test_provider_command import SECRET, WORDS, opened, typed
from tests.payments.world import Provider
from tests.wallet.locking import blocked

LIMITS = ("--minimum", "1", "--maximum", "2")
NO_OFFER: list[tuple[tuple[str, ...], type[Refusal], str]] = [
    (("KZT", "card", "nobody", *LIMITS), providers.AccountNotFound, "nobody"),
    (("KZT", "nonsense", "main", *LIMITS), methods.MethodUnavailable, "nonsense"),
    (
        ("KZT", "aggregator", "main", *LIMITS, "--direction", "payout"),
        methods.MethodUnavailable,
        "aggregator",
    ),
    (("USD", "card", "main", *LIMITS), players.CurrencyNotOffered, "it offers KZT"),
    (
        ("KZT", "card", "main", "--minimum", "0", "--maximum", "2"),
        BadPolicy,
        "The minimum must be more than zero.",
    ),
    (
        ("KZT", "card", "main", "--minimum", "3", "--maximum", "2"),
        BadPolicy,
        "The maximum must not be below the minimum.",
    ),
]


@pytest.mark.parametrize(("asked", "refusal", "words"), NO_OFFER)
async def test_what_can_be_no_offer_is_one_sentence(
    desk: Desk, clone_url: str, asked: tuple[str, ...], refusal: type[Refusal], words: str
) -> None:
    desk.world.provider.caps |= providers.Cap.PAYOUT
    failed = await run(clone_url, "site", "offer", desk.site_id, *asked)
    assert isinstance(failed.exception, refusal)
    assert words in str(failed.exception)
    assert await desk.world.rows("SELECT * FROM diary WHERE deed = 'offer.set'") == []


async def test_nothing_is_offered_through_an_account_that_cannot(desk: Desk, clone_url: str) -> None:
    desk.world.provider.caps = providers.Cap.DEPOSIT
    asked = ("site", "offer", desk.site_id, "KZT", "card", "main", *LIMITS, "--direction", "payout")
    assert isinstance((await run(clone_url, *asked)).exception, providers.AccountNotFound)


async def test_other_limits_keep_the_accounts_that_follow(
    desk: Desk, clone_url: str, second: Provider
) -> None:
    second.caps = FULL
    await typed(clone_url, SECRET, "provider", "open", desk.site_id, SECOND, *WORDS)
    async with desk.world.database.transaction() as tx:
        await methods.order_accounts(tx, desk.site_id, "card", "KZT", ["main", SECOND])
    offer = ("site", "offer", desk.site_id, "KZT", "card")
    assert (await said(clone_url, *offer, "main", *LIMITS)).endswith("  main, second\n")
    assert (await said(clone_url, *offer, SECOND, *LIMITS)).endswith("2.00 KZT  second\n")
    rows = await desk.world.rows("SELECT * FROM diary WHERE deed = 'offer.set' ORDER BY recorded_at")
    limits = {"minimum_minor": 100, "maximum_minor": 200, "position": 0}
    through_both = {"account": "main", "further_accounts": [SECOND], **limits}
    assert [(row.subject, row.detail["now"]) for row in rows] == [
        ("offer:card:KZT:deposit", through_both),
        ("offer:card:KZT:deposit", {"account": SECOND, "further_accounts": [], **limits}),
    ]
    assert rows[1].detail["before"] == through_both


async def test_an_order_of_accounts_that_is_set_meanwhile_is_not_undone(
    desk: Desk, clone_url: str, second: Provider
) -> None:
    second.caps = FULL
    await typed(clone_url, SECRET, "provider", "open", desk.site_id, SECOND, *WORDS)
    await opened(desk, clone_url)
    database = desk.world.database
    async with database.transaction() as tx:
        await methods.order_accounts(tx, desk.site_id, "card", "KZT", ["main", SECOND])
    outside = copy_context()  # where no transaction is open
    async with database.transaction() as tx:
        await methods.order_accounts(tx, desk.site_id, "card", "KZT", ["main", "own", SECOND])
        offer = said(clone_url, "site", "offer", desk.site_id, "KZT", "card", "main", *LIMITS)
        offering = asyncio.create_task(offer, context=outside)
        await blocked(clone_url)
    assert (await offering).endswith("2.00 KZT  main, own, second\n")


async def test_one_that_was_switched_off_has_its_followers_again(desk: Desk, clone_url: str) -> None:
    await opened(desk, clone_url)
    async with desk.world.database.transaction() as tx:
        await methods.order_accounts(tx, desk.site_id, "card", "KZT", ["main", "own"])
        await methods.switch_method(tx, desk.site_id, "card", "KZT", enabled=False)
    shown = await said(clone_url, "site", "offer", desk.site_id, "KZT", "card", "main", *LIMITS)
    assert shown.endswith("  main, own\n")


async def test_it_keeps_its_place_unless_another_is_named(desk: Desk, clone_url: str) -> None:
    async def placed(method: str, *more: str) -> int:
        await said(clone_url, "site", "offer", desk.site_id, "KZT", method, "main", *LIMITS, *more)
        async with desk.world.database.reading() as reader:
            return (await methods.offer(reader, desk.site_id, "KZT", method)).position

    assert await placed("qr") == 0
    asked: list[tuple[str, ...]] = [("--position", "7"), (), ("--position", "0")]
    assert [await placed("card", *more) for more in asked] == [7, 7, 0]
    rows = await desk.world.rows("SELECT * FROM diary WHERE deed = 'offer.set' ORDER BY recorded_at")
    assert [row.detail["now"]["position"] for row in rows] == [0, 7, 7, 0]


async def wrote(desk: Desk) -> list[dict[str, object]]:
    """What the diary says of offers, oldest first."""
    async with desk.world.database.reading() as reader:
        lines = await staff.diary(reader, desk.site_id)
    return [dict(one.detail) for one in reversed(lines) if one.deed.startswith("offer.")]


@asynccontextmanager
async def first(
    desk: Desk, clone_url: str, deed: Callable[[Transaction], Awaitable[object]], *words: object
) -> AsyncIterator[asyncio.Task[str]]:
    """Somebody's deed that is not committed while a command waits for it; it commits at the end."""
    outside = copy_context()  # where no transaction is open
    async with desk.world.database.transaction() as tx:
        await deed(tx)
        waiting = asyncio.create_task(said(clone_url, "site", *words), context=outside)
        await blocked(clone_url)
        yield waiting
    await waiting


def offering(desk: Desk, method: str, maximum: int) -> Callable[[Transaction], Awaitable[object]]:
    wanted = methods.Offer(methods.CATALOGUE[method], Money(100, "KZT"), Money(maximum, "KZT"), "main", 0)

    async def offer(tx: Transaction) -> None:
        await payments.set_offer(tx, desk.site_id, wanted, by="machine:tests", at=desk.world.clock.now())

    return offer


@pytest.mark.parametrize("method", ["card", "qr"])
async def test_of_two_who_offer_at_once_the_second_saw_what_the_first_did(
    desk: Desk, clone_url: str, method: str
) -> None:
    """Card is offered before; of qr there is no row that could be locked."""
    words = ("offer", desk.site_id, "KZT", method, "main", *LIMITS)
    async with first(desk, clone_url, offering(desk, method, 700), *words):
        pass
    one, other = await wrote(desk)
    assert one["now"] == {
        "account": "main",
        "further_accounts": [],
        "minimum_minor": 100,
        "maximum_minor": 700,
        "position": 0,
    }
    assert other["before"] == one["now"]


async def test_what_another_did_not_offer_after_all_was_not_before(desk: Desk, clone_url: str) -> None:
    words = ("offer", desk.site_id, "KZT", "qr", "main", *LIMITS)
    with pytest.raises(ZeroDivisionError):
        async with first(desk, clone_url, offering(desk, "qr", 700), *words) as waiting:
            raise ZeroDivisionError
    await waiting
    [only] = await wrote(desk)
    assert only["before"] is None


async def test_of_two_who_order_accounts_at_once_the_second_saw_the_order_of_the_first(
    desk: Desk, clone_url: str, second: Provider
) -> None:
    second.caps = FULL
    await typed(clone_url, SECRET, "provider", "open", desk.site_id, SECOND, *WORDS)

    async def both(tx: Transaction) -> None:
        of = (desk.site_id, "KZT", "card", ["main", SECOND])
        await payments.set_accounts(tx, *of, by="machine:tests", at=desk.world.clock.now())

    async with first(desk, clone_url, both, "accounts", desk.site_id, "KZT", "card", SECOND):
        pass
    assert await wrote(desk) == [
        {"accounts": ["main", SECOND], "before": ["main"]},
        {"accounts": [SECOND], "before": ["main", SECOND]},
    ]
