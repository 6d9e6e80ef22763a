"""Money goes back to where it came from first: the plan, its sentences, the withdrawal that follows it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import methods, payments, providers, staff
from app.kernel.money import Money
from app.payments.closed_loop import Paid, plan
from app.payments.policies import set_policy
from app.payments.sources import paid_by
from tests.payments.desk import Desk, kzt
from tests.payments.peers import answering
from tests.payments.world import ACCOUNT, NEVER_LEFT, State, just, paid


def source(name: str, deposited: int, returned: int = 0, *, can_be_paid: bool = True) -> Paid:
    return Paid(name, f"card *{name}", kzt(deposited), kzt(returned), can_be_paid)


CASES: list[tuple[str, list[Paid], int, list[tuple[str, int, str]]]] = [
    (
        "nothing is known of where it came from",
        [],
        10_000,
        [
            (
                "1111",
                10_000,
                "100.00 to card *1111: more than is to go back elsewhere, so where the player chose",
            )
        ],
    ),
    (
        "all to one card",
        [source("4242", 18_000, 8_000)],
        10_000,
        [("4242", 10_000, "100.00 to card *4242: deposited 180.00, already returned 80.00")],
    ),
    (
        "what is above it where the player chose",
        [source("4242", 18_000, 8_000)],
        15_000,
        [
            ("4242", 10_000, "100.00 to card *4242: deposited 180.00, already returned 80.00"),
            (
                "1111",
                5_000,
                "50.00 to card *1111: more than is to go back elsewhere, so where the player chose",
            ),
        ],
    ),
    (
        "the chosen one first, the rest of the amount to the oldest",
        [source("4242", 18_000), source("1111", 5_000)],
        9_000,
        [
            ("1111", 5_000, "50.00 to card *1111: deposited 50.00, already returned 0.00"),
            ("4242", 4_000, "40.00 to card *4242: deposited 180.00, already returned 0.00"),
        ],
    ),
    (
        "winnings go to the chosen one, in one part with what it is owed",
        [source("4242", 3_000), source("1111", 5_000)],
        10_000,
        [
            (
                "1111",
                7_000,
                (
                    "50.00 to card *1111: deposited 50.00, already returned 0.00; and 20.00: more than is to "
                    "go back elsewhere, so where the player chose"
                ),
            ),
            ("4242", 3_000, "30.00 to card *4242: deposited 30.00, already returned 0.00"),
        ],
    ),
    (
        "nothing can be sent to where it came from",
        [source("4242", 18_000, can_be_paid=False)],
        10_000,
        [
            (
                "1111",
                10_000,
                (
                    "100.00 to card *1111: more than is to go back elsewhere, so where the player chose; "
                    "nothing can be sent to card *4242"
                ),
            )
        ],
    ),
    (
        "who got more than he paid is owed nothing",
        [source("4242", 18_000, 20_000), source("5555", 1_000, 1_000)],
        10_000,
        [
            (
                "1111",
                10_000,
                "100.00 to card *1111: more than is to go back elsewhere, so where the player chose",
            )
        ],
    ),
]


@pytest.mark.parametrize(
    ("known", "amount", "expected"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_the_plan_says_why(known: list[Paid], amount: int, expected: list[tuple[str, int, str]]) -> None:
    parts = plan(known, kzt(amount), "1111", "card *1111")
    assert [(part.instrument_id, part.amount.minor, part.sentence) for part in parts] == expected


figures = st.integers(min_value=0, max_value=10**6)


@given(
    known=st.lists(st.tuples(figures, figures, st.booleans()), max_size=6),
    amount=st.integers(min_value=1, max_value=10**7),
    chosen=st.integers(min_value=0, max_value=7),
)
def test_parts_sum_to_the_amount_and_no_source_gets_more_than_it_gave(
    known: list[tuple[int, int, bool]], amount: int, chosen: int
) -> None:
    paid_in = [source(str(i), came, went, can_be_paid=can) for i, (came, went, can) in enumerate(known)]
    parts = plan(paid_in, kzt(amount), str(chosen), "card")
    assert sum(part.amount.minor for part in parts) == amount
    assert all(part.amount.minor > 0 for part in parts)
    assert len({part.instrument_id for part in parts}) == len(parts)
    by_id = {one.instrument_id: one for one in paid_in}
    for part in parts:
        if part.instrument_id != str(chosen):
            assert by_id[part.instrument_id].can_be_paid
            assert part.amount <= by_id[part.instrument_id].outstanding
    # Nothing goes out as winnings while somewhere else is owed something.
    own = next((part.amount.minor for part in parts if part.instrument_id == str(chosen)), 0)
    owed = by_id[str(chosen)].outstanding.minor if str(chosen) in by_id else 0
    if own > owed:
        payable = [one for one in paid_in if one.can_be_paid and one.instrument_id != str(chosen)]
        served = {part.instrument_id: part.amount for part in parts}
        assert all(served.get(one.instrument_id, kzt(0)) == one.outstanding for one in payable)


def by_card(result: providers.Result, last_four: str, token: str | None = None) -> providers.Result:
    seen = providers.InstrumentSeen(
        "card",
        f"400000******{last_four}",
        f"fpr_{last_four}",
        token if token is not None else f"tok_{last_four}",
    )
    return replace(result, instrument=seen)


@pytest.fixture
async def desk(desk: Desk) -> Desk:
    """A desk whose site pays out to cards."""
    desk.provider.caps |= providers.Cap.PAYOUT | providers.Cap.TOKENS
    async with desk.world.database.transaction() as tx:
        await methods.offer_method(
            tx,
            desk.site_id,
            "card",
            minimum=kzt(100),
            maximum=kzt(100_000_000),
            account=ACCOUNT,
            direction=methods.Direction.PAYOUT,
        )
    return desk


async def pay_in(desk: Desk, last_four: str, amount: int, **more: Any) -> str:  # noqa: ANN401
    """A completed deposit by a card that the provider tells."""
    number = next(desk.keys)
    await desk.world.ask(key=f"form-{number}", amount=kzt(amount))
    row = await desk.world.payment()
    desk.provider.statuses = [by_card(paid(f"theirs-{number}", kzt(amount)), last_four, **more)]
    await payments.ask_provider(desk.pipes, desk.site_id, row.payment_id)
    assert (await desk.found(row.payment_id)).sub_status.value == "completed"
    return str(row.payment_id)


async def withdraw(desk: Desk, amount: int, number: str = "4000000000001117") -> list[Any]:
    """Ask for a withdrawal to a card; its legs."""
    wish = payments.PayoutWish("card", kzt(amount), f"wish-{next(desk.keys)}", 3, {"number": number})
    await payments.request_payout(desk.pipes, await desk.world.session(), wish)
    found = await desk.world.rows(
        "SELECT p.number, l.masked, l.amount_minor, l.destination, l.why FROM payout_leg l JOIN payment p "
        "USING (site_id, payment_id) ORDER BY p.number DESC, leg"
    )
    return [leg for leg in found if leg.number == found[0].number]


async def test_a_withdrawal_goes_back_to_the_cards_first(desk: Desk) -> None:
    await pay_in(desk, "4242", 180_000)
    refunded = await pay_in(desk, "5556", 70_000)
    await desk.refund(refunded, 20_000)
    legs = await withdraw(desk, 220_000)
    assert [(leg.masked[-4:], leg.amount_minor, leg.destination) for leg in legs] == [
        ("4242", 180_000, {"token": "tok_4242"}),
        ("5556", 40_000, {"token": "tok_5556"}),
    ]
    assert legs[1].why == {
        "closed_loop": "400.00 to card *5556: deposited 700.00, already returned 200.00",
    }
    # What is on its way counts as returned: the next one finds less.
    [first] = await withdraw(desk, 10_000)
    assert first.why["closed_loop"].startswith(
        "100.00 to card *5556: deposited 700.00, already returned 600.00"
    )


async def test_what_is_cancelled_counts_again(desk: Desk) -> None:
    await pay_in(desk, "4242", 100_000)
    await withdraw(desk, 60_000)
    row = (await desk.world.rows("SELECT payment_id, player_id FROM payment WHERE kind = 'payout'"))[0]
    async with desk.world.database.reading() as reader:
        [card] = await paid_by(reader, desk.site_id, row.player_id, "KZT")
    assert (card.deposited, card.returned) == (kzt(100_000), kzt(60_000))
    await payments.cancel(desk.pipes, desk.site_id, row.payment_id, row.player_id)
    async with desk.world.database.reading() as reader:
        [card] = await paid_by(reader, desk.site_id, row.player_id, "KZT")
        assert await paid_by(reader, desk.site_id, row.player_id, "USD") == []
    assert card.returned == kzt(0)


async def test_a_part_that_was_given_back_counts_again_beside_one_that_was_paid(desk: Desk) -> None:
    await pay_in(desk, "4242", 100_000)
    await pay_in(desk, "5556", 50_000)
    async with desk.world.database.transaction() as tx:
        rules = payments.PayoutPolicy(auto_below=kzt(10**9), needs_initiation=False, closed_loop=True)
        await set_policy(tx, desk.site_id, "KZT", rules, by=staff.SYSTEM, at=desk.world.clock.now())
    desk.world.shop.manner = answering({"code": 50, "external_id": "withdrawal_1"})
    assert [leg.amount_minor for leg in await withdraw(desk, 150_000)] == [100_000, 50_000]
    [row] = await desk.world.rows("SELECT payment_id, player_id FROM payment WHERE kind = 'payout'")
    desk.provider.answers, nothing = [NEVER_LEFT], just(State.NOT_FOUND)
    await desk.carry_on(row.payment_id)
    await payments.cancel_for_staff(desk.pipes, desk.site_id, row.payment_id, desk.second, reason="asked for")
    # The first part was paid all the same, and the second never came.
    desk.provider.statuses = [paid("out-1", kzt(100_000)), nothing]
    await desk.carry_on(row.payment_id)
    found = await desk.found(row.payment_id)
    assert (found.sub_status.value, found.captured) == ("completed", kzt(100_000))
    async with desk.world.database.reading() as reader:
        cards = await paid_by(reader, desk.site_id, row.player_id, "KZT")
    assert [card.returned for card in cards] == [kzt(100_000), kzt(0)]


async def test_a_card_without_a_token_is_passed_over_in_words(desk: Desk) -> None:
    await pay_in(desk, "4242", 100_000, token="")
    [leg] = await withdraw(desk, 60_000)
    assert leg.masked.endswith("1117")
    assert leg.why["closed_loop"].endswith("nothing can be sent to card *4242")


async def test_a_site_may_switch_it_off(desk: Desk) -> None:
    async with desk.world.database.transaction() as tx:
        rules = payments.PayoutPolicy(closed_loop=False)
        await set_policy(tx, desk.site_id, "KZT", rules, by=desk.second.actor, at=desk.world.clock.now())
    await pay_in(desk, "4242", 100_000)
    [leg] = await withdraw(desk, 60_000)
    assert (leg.masked[-4:], leg.why) == ("1117", {})


@pytest.mark.parametrize(
    "seen",
    [
        providers.InstrumentSeen("card", "*4242", ""),
        providers.InstrumentSeen("card", "4242424242424242", "fpr"),
        providers.InstrumentSeen("card", "*4242", "4242424242424242"),
    ],
)
async def test_what_cannot_be_kept_never_stands_in_the_way_of_the_money(
    desk: Desk, seen: providers.InstrumentSeen
) -> None:
    row = await desk.world.deposit()
    desk.provider.statuses = [replace(paid(), instrument=seen)]
    await payments.ask_provider(desk.pipes, desk.site_id, row.payment_id)
    assert (await desk.found(row.payment_id)).sub_status.value == "completed"
    assert (await desk.world.rows("SELECT instrument_id FROM payment"))[0].instrument_id is None
    assert await desk.world.rows("SELECT 1 FROM instrument") == []


def test_amounts_of_two_currencies_are_never_mixed() -> None:
    with pytest.raises(Exception, match="cannot be combined"):
        plan([source("4242", 100)], Money(100, "USD"), "1", "card")
