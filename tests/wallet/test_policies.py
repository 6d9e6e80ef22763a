"""What a site decides is checked when it is written, and laid over by what it decides for one platform."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from app.kernel.clock import MovableClock
from app.plumbing.database import Database
from app.wallet.contract import Refused
from app.wallet.decisions import set_policy
from app.wallet.queries import policies_of, told_policies
from app.wallet.terms import Policy, Scope, StakeOrder
from tests.wallet.counter import Counter, opened


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        yield made


async def decided(counter: Counter) -> dict[str, Policy]:
    async with counter.pipes.database.reading() as reader:
        return await policies_of(reader, counter.site_id)


async def test_who_has_decided_nothing_has_the_defaults(counter: Counter) -> None:
    assert await decided(counter) == {"": Policy()}


async def test_a_platform_has_what_the_site_has_but_where_it_differs(counter: Counter) -> None:
    await counter.decide(max_bet="500", stake_order="bonus_first", stuck_after_hours="2")
    await counter.decide("acme", max_bet="900", reverse_wins="true", id_scope="round")
    site = Policy(max_bet=500, stake_order=StakeOrder.BONUS_FIRST, stuck_after_hours=2)
    acme = dataclasses.replace(site, max_bet=900, reverse_wins=True, id_scope=Scope.ROUND)
    assert await decided(counter) == {"": site, "acme": acme}


async def test_what_is_not_named_stays(counter: Counter) -> None:
    await counter.decide(max_bet="500")
    await counter.decide(max_transfer="700")
    assert await decided(counter) == {"": Policy(max_bet=500, max_transfer=700)}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Policy)])
async def test_every_decision_can_be_written_as_it_is(counter: Counter, name: str) -> None:
    default = getattr(Policy(), name)
    await counter.decide(**{name: str(default).lower() if isinstance(default, bool) else str(default)})
    assert await decided(counter) == {"": Policy()}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_bets", "1"),
        ("max_bet", "-1"),
        ("max_bet", "1.5"),
        ("max_bet", "٣"),
        ("max_bet", str(10**15 + 1)),
        ("stuck_after_hours", "0"),
        ("reverse_wins", "yes"),
        ("id_scope", "galaxy"),
        ("amount_unit", "major "),
    ],
)
async def test_what_is_no_decision_is_named_and_changes_nothing(
    counter: Counter, name: str, value: str
) -> None:
    async with counter.pipes.database.transaction() as tx:
        with pytest.raises(Refused, match=name) as caught:
            await set_policy(
                tx, counter.site_id, "", {"max_transfer": "5", name: value}, at=counter.clock.now()
            )
    assert caught.value.data["field"] == name
    assert await decided(counter) == {"": Policy()}


async def test_words_of_another_version_are_left_out(counter: Counter) -> None:
    async with counter.pipes.database.transaction() as tx:
        await tx.execute(
            text("INSERT INTO wallet_policy (site_id, provider_id, policy) VALUES (:site, '', :told)"),
            {"site": counter.site_id, "told": '{"max_bet": 5, "of_tomorrow": true}'},
        )
    assert await decided(counter) == {"": Policy(max_bet=5)}
    async with counter.pipes.database.reading() as reader:
        assert (await told_policies(reader, counter.site_id))[""]["of_tomorrow"] is True


async def test_a_decision_reaches_the_calls_within_seconds(counter: Counter) -> None:
    await counter.player(cash=1000)
    await counter.decide(max_bet="100")
    assert (await counter.play("bet", amount=101))["code"] == "LIMIT_EXCEEDED"


async def test_a_site_may_speak_in_major_units(counter: Counter) -> None:
    await counter.decide(amount_unit="major")
    await counter.player()
    body = {"playerExternalId": "aigerim", "currency": "KZT", "amount": 10.5, "transferId": "t-1"}
    await counter.post("/v1/player/wallet/deposit", body)
    headers = {"authorization": f"Bearer {counter.tokens['read']}"}
    asked = {"playerExternalId": "aigerim", "currency": "KZT"}
    answer = await counter.http.get("/v1/player/wallet/balance", params=asked, headers=headers)
    assert '"withdrawable":10.50' in answer.text
    answer = await counter.http.get("/v1/transaction/list", params=asked, headers=headers)
    assert '"balanceAfter":10.50' in answer.text


async def test_two_who_decide_at_once_both_decide(counter: Counter) -> None:
    await counter.decide(max_bet="5000")
    began = asyncio.Event()

    async def behind() -> None:
        await began.wait()
        async with counter.pipes.database.transaction() as tx:
            await set_policy(tx, counter.site_id, "", {"reverse_wins": "true"}, at=counter.clock.now())

    other = asyncio.create_task(behind())
    async with counter.pipes.database.transaction() as tx:
        await set_policy(tx, counter.site_id, "", {"max_win": "500"}, at=counter.clock.now())
        began.set()
        await asyncio.sleep(0.3)
    await other
    assert await decided(counter) == {"": Policy(max_bet=5000, max_win=500, reverse_wins=True)}


async def test_what_is_decided_is_told_with_what_was(counter: Counter) -> None:
    await counter.decide(max_bet="500")
    async with counter.pipes.database.transaction() as tx:
        told = await set_policy(tx, counter.site_id, "", {"max_win": "700"}, at=counter.clock.now())
    assert told == {"max_bet": 500, "max_win": 700}


@pytest.mark.parametrize("provider", ["", "acme"])
async def test_ids_keep_their_scope_once_there_is_a_wallet(counter: Counter, provider: str) -> None:
    await counter.decide(provider, id_scope="player")
    await counter.player()
    with pytest.raises(Refused, match="id_scope cannot change") as caught:
        await counter.decide(provider, id_scope="site", max_bet="5")
    assert caught.value.data["field"] == "id_scope"
    assert (await decided(counter)).get("acme", Policy()).max_bet == 0


async def test_the_first_wallet_waits_until_every_process_knows_the_scope(counter: Counter) -> None:
    body = {"playerExternalId": "aigerim", "currency": "KZT"}
    async with counter.pipes.database.transaction() as tx:
        await set_policy(tx, counter.site_id, "", {"id_scope": "player"}, at=counter.clock.now())
    status, told = await counter.post("/v1/player/create", body)
    assert (status, told["code"], told["data"]["retryAfter"]) == (409, "IN_PROGRESS", 3)
    counter.clock.advance(3)
    assert (await counter.post("/v1/player/create", body))[0] == 200
    # The next one waits for nothing, whatever else is decided.
    async with counter.pipes.database.transaction() as tx:
        await set_policy(tx, counter.site_id, "", {"max_bet": "5"}, at=counter.clock.now())
    assert (await counter.post("/v1/player/create", body | {"playerExternalId": "bolat"}))[0] == 200


async def test_a_scope_that_is_decided_meanwhile_keeps_the_first_wallet_waiting(counter: Counter) -> None:
    began = asyncio.Event()

    async def first() -> str:
        await began.wait()
        body = {"playerExternalId": "aigerim", "currency": "KZT"}
        return str((await counter.post("/v1/player/create", body))[1]["code"])

    asked = asyncio.create_task(first())
    async with counter.pipes.database.transaction() as tx:
        await set_policy(tx, counter.site_id, "", {"id_scope": "player"}, at=counter.clock.now())
        began.set()
        await asyncio.sleep(0.3)
        assert not asked.done()
    assert await asked == "IN_PROGRESS"
