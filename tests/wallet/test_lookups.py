"""What was recorded is found again: page by page without a gap, by both ids, by round; and by their books."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app import ledger
from app.kernel.clock import MovableClock
from app.kernel.money import Money
from app.plumbing.database import Database, asyncpg_dsn
from tests import invariants
from tests.wallet.counter import Counter, Json, opened

READS = (
    "/v1/player/info",
    "/v1/player/wallet/balance",
    "/v1/player/wallet/transfer/t-1",
    "/v1/transaction/list",
    "/v1/transaction/round",
    "/v1/transaction/by-reference/t-1",
    "/v1/transaction/wop_1",
    "/v1/wallet/effect-matrix",
)


@pytest.fixture
async def counter(database: Database, clock: MovableClock) -> AsyncIterator[Counter]:
    async with opened(database, clock) as made:
        await made.player(cash=10_000)
        yield made
        await invariants.hold(database)


async def listed(counter: Counter, **asked: object) -> list[Json]:
    await counter.settled()
    status, told = await counter.get("/v1/transaction/list", **asked)
    assert status == 200, told
    return list(told["data"]["transactions"])


async def walked(counter: Counter, **asked: object) -> list[Json]:
    """Every page, one after the other."""
    await counter.settled()
    found: list[Json] = []
    while True:
        _, told = await counter.get("/v1/transaction/list", **asked)
        found += told["data"]["transactions"]
        if told["data"]["nextCursor"] is None:
            return found
        asked["cursor"] = told["data"]["nextCursor"]


@pytest.mark.parametrize("path", READS)
async def test_reads_need_a_token_and_any_will_do(counter: Counter, path: str) -> None:
    assert (await counter.http.get(path)).status_code == 401
    for scope in ("wallet", "play", "read"):
        status, _ = await counter.get(path, scope=scope)
        assert status not in {401, 403}


async def test_a_transfer_is_told_as_it_ended(counter: Counter) -> None:
    await counter.deposit(500, "t-in")
    await counter.transfer("withdraw", 99_999, "t-out")
    await counter.post("/v1/player/wallet/transfer/t-void/void", {})
    told = {}
    for key in ("t-in", "t-out", "t-void"):
        status, answer = await counter.get(f"/v1/player/wallet/transfer/{key}")
        told[key] = (status, answer["data"]["status"], answer["data"]["transferId"])
    assert told == {
        "t-in": (200, "completed", "t-in"),
        "t-out": (200, "refused", "t-out"),
        "t-void": (200, "voided", "t-void"),
    }
    _, out = await counter.get("/v1/player/wallet/transfer/t-out")
    assert (out["code"], out["data"]["code"]) == ("OK", "INSUFFICIENT_FUNDS")


async def test_a_transfer_that_has_not_come_is_promised_to_be_executed_once(counter: Counter) -> None:
    status, told = await counter.get("/v1/player/wallet/transfer/t-late")
    assert (status, told["code"]) == (404, "TRANSFER_NOT_FOUND")
    assert (await counter.deposit(5, "t-late"))["code"] == "OK"


async def test_an_id_may_hold_a_slash(counter: Counter) -> None:
    await counter.deposit(5, "a/b?c")
    _, told = await counter.get("/v1/player/wallet/transfer/a%2Fb%3Fc")
    assert told["data"]["transferId"] == "a/b?c"
    _, told = await counter.get("/v1/transaction/by-reference/a%2Fb%3Fc")
    assert told["data"]["externalId"] == "a/b?c"


async def test_an_operation_is_found_by_their_id_and_by_ours(counter: Counter) -> None:
    made = await counter.deposit(5, "x-1")
    _, theirs = await counter.get("/v1/transaction/by-reference/x-1")
    _, ours = await counter.get(f"/v1/transaction/{made['data']['transactionId']}")
    assert theirs["data"]["matches"] == [ours["data"]]
    assert ours["data"]["transferId"] == "x-1"
    for path in ("by-reference/x-2", "wop_none"):
        status, told = await counter.get(f"/v1/transaction/{path}")
        assert (status, told["code"]) == (404, "TRANSACTION_NOT_FOUND")


async def test_one_id_in_two_namespaces_is_told_twice(counter: Counter) -> None:
    await counter.deposit(5, "same")
    counter.clock.advance(1)
    await counter.play("bet", "same", amount=10)
    _, told = await counter.get("/v1/transaction/by-reference/same")
    assert [match["type"] for match in told["data"]["matches"]] == ["bet", "deposit"]
    assert told["data"]["type"] == "bet"


async def test_a_bet_that_was_taken_back_says_so(counter: Counter) -> None:
    await counter.play("bet", "b-1", amount=10)
    await counter.play("rollback", "r-1", referenceId="b-1")
    _, told = await counter.get("/v1/transaction/by-reference/b-1")
    assert told["data"]["reversed"] is True


async def test_another_site_finds_nothing_of_it(database: Database, counter: Counter) -> None:
    made = await counter.deposit(5, "x-1")
    async with opened(database, counter.clock) as other:
        for path in (
            "/v1/transaction/by-reference/x-1",
            "/v1/player/wallet/transfer/x-1",
            f"/v1/transaction/{made['data']['transactionId']}",
        ):
            assert (await other.get(path))[0] == 404
        assert await listed(other, includeRefused="true") == []


async def test_a_round_tells_its_sums_from_the_players_side(counter: Counter) -> None:
    await counter.play("bet", "b-1", amount=300)
    await counter.play("bet", "b-2", amount=200)
    await counter.deposit(1)
    await counter.play("rollback", "u-1", referenceId="b-2")
    await counter.play("win", "w-1", referenceId="b-1", amount=450, isRoundFinished=True)
    asked = {"playerExternalId": "aigerim", "providerId": "acme", "roundId": "r-1"}
    _, told = await counter.get("/v1/transaction/round", **asked)
    data = told["data"]
    assert [one["externalId"] for one in data["operations"]] == ["b-1", "b-2", "u-1", "w-1"]
    sums = (data["bet"], data["win"], data["reversed"], data["net"])
    assert (data["state"], *sums) == ("completed", 500, 450, 200, 150)
    assert data["stuckAt"] is None


async def test_a_lost_round_has_a_net_of_minus_the_bet(counter: Counter) -> None:
    await counter.play("bet", amount=300, isRoundFinished=True)
    await counter.play("bet", amount=200, roundId="r-2")
    asked = {"playerExternalId": "aigerim", "providerId": "acme"}
    _, lost = await counter.get("/v1/transaction/round", roundId="r-1", **asked)
    _, running = await counter.get("/v1/transaction/round", roundId="r-2", **asked)
    assert (lost["data"]["state"], lost["data"]["net"]) == ("completed", -300)
    assert (running["data"]["state"], running["data"]["stuckAt"]) == ("open", "2026-11-23T12:00:00.000Z")


async def test_a_round_that_is_none_is_named(counter: Counter) -> None:
    asked = {"playerExternalId": "aigerim", "providerId": "acme", "roundId": "r-9"}
    status, told = await counter.get("/v1/transaction/round", **asked)
    assert (status, told["code"], told["data"]["field"]) == (404, "TRANSACTION_NOT_FOUND", "roundId")


async def test_a_players_history_chains_and_counts_without_a_gap(counter: Counter) -> None:
    for amount in range(1, 8):
        await counter.play("bet", amount=amount)
    await counter.play("bet", amount=99_999)
    rows = await walked(counter, playerExternalId="aigerim", limit=3)
    assert [row["sequence"] for row in rows] == list(range(1, 9))
    assert all(a["balanceAfter"] == b["balanceBefore"] for a, b in itertools.pairwise(rows))
    everything = await walked(counter, playerExternalId="aigerim", limit=3, includeRefused="true")
    assert [row["code"] for row in everything] == [*["OK"] * 8, "INSUFFICIENT_FUNDS"]


@pytest.mark.parametrize("whose", [{"playerExternalId": "aigerim"}, {}])
async def test_pages_miss_and_repeat_nothing(counter: Counter, whose: Json) -> None:
    await counter.player(currency="USD", cash=500)
    for number in range(6):
        await counter.play("bet", amount=99_999)
        await counter.play("bet", amount=1 + number, currency="USD")
        counter.clock.advance(1)
        await counter.play("rollback", referenceId=f"none-{number}")
    asked = whose | {"includeRefused": "true"}
    whole = await listed(counter, **asked, limit=1000)
    assert len(whole) == 2 + 18
    for limit in (1, 2, 7):
        assert await walked(counter, **asked, limit=limit) == whole


async def test_pages_hold_while_others_write(counter: Counter) -> None:
    """A reader that follows the end sees each operation once, whatever is written meanwhile."""
    await counter.player("bolat", cash=10_000)
    seen: list[str] = []
    asked: Json = {"includeRefused": "true", "limit": 3}
    stopped = asyncio.Event()

    async def follow() -> None:
        while True:
            if was_stopped := stopped.is_set():
                await counter.settled()
            _, told = await counter.get("/v1/transaction/list", **asked)
            seen.extend(row["transactionId"] for row in told["data"]["transactions"])
            asked["cursor"] = told["data"]["resumeCursor"]
            if was_stopped and told["data"]["nextCursor"] is None:
                return

    async def write(login: str) -> None:
        for number in range(30):
            amount = 99_999 if number % 5 == 0 else 1
            await counter.play("bet", amount=amount, playerExternalId=login, roundId=f"r-{number}")

    following = asyncio.create_task(follow())
    await asyncio.gather(*(write(login) for login in ("aigerim", "bolat") * 2))
    stopped.set()
    await following
    rows = await counter.rows("SELECT operation_id FROM wallet_operation ORDER BY 1")
    assert sorted(seen) == [row.operation_id for row in rows]


async def test_an_unfinished_transaction_holds_the_watermark(clone_url: str, counter: Counter) -> None:
    """What was written behind one that is still running waits; completeUpTo says so."""
    other = await asyncpg.connect(asyncpg_dsn(clone_url))
    await other.execute("BEGIN; SELECT pg_current_xact_id()")
    made = await counter.deposit(7, "t-behind")
    _, told = await counter.get("/v1/transaction/list")
    assert "t-behind" not in {row["externalId"] for row in told["data"]["transactions"]}
    assert told["data"]["completeUpTo"] <= made["data"]["recordedAt"]
    _, own = await counter.get("/v1/transaction/list", playerExternalId="aigerim")
    assert own["data"]["transactions"][-1]["externalId"] == "t-behind"
    await other.close()
    assert (await listed(counter))[-1]["externalId"] == "t-behind"


async def test_filters_narrow_it_down(counter: Counter) -> None:
    await counter.play("bet", "b-1", amount=10)
    await counter.play("bet", "b-2", amount=10, roundId="r-2", providerId="other")
    await counter.play("bet", "b-3", amount=99_999)
    await counter.post("/v1/player/wallet/transfer/t-void/void", {})

    async def keys(**asked: object) -> list[str]:
        return [row["externalId"] for row in await listed(counter, **asked)]

    assert await keys(type="deposit") == ["t-1"]
    assert await keys(roundId="r-1") == ["b-1"]
    assert await keys(providerId="other") == ["b-2"]
    assert await keys(status="refused") == ["b-3"]
    assert await keys(status="voided") == ["t-void"]
    assert await keys(source="operator") == ["t-1"]
    assert await keys(transferId="b-1") == []
    assert await keys(externalId="b-1") == ["b-1"]
    assert await keys(playerExternalId="aigerim", roundId="r-2") == ["b-2"]
    assert await keys(currency="USD") == []


@pytest.mark.parametrize("whose", [{"playerExternalId": "aigerim"}, {}])
async def test_a_time_is_half_open_and_in_utc(counter: Counter, whose: Json) -> None:
    """t-1 stands at 12:00:00; each second later another."""
    for number in range(2, 7):
        counter.clock.advance(1)
        await counter.deposit(5, f"t-{number}")
        await counter.transfer("withdraw", 99_999, f"x-{number}")

    async def between(start: str, end: str) -> list[str]:
        asked = whose | {"startTime": start, "endTime": end, "includeRefused": "true"}
        return [row["externalId"] for row in await walked(counter, **asked, limit=2)]

    some = ["t-3", "x-3", "t-4", "x-4"]
    assert await between("2026-11-21T12:00:02Z", "2026-11-21T12:00:04Z") == some
    assert await between("2026-11-21 12:00:02Z", "2026-11-21 12:00:04+00:00") == some
    assert await between("2026-11-21T12:00:02Z", "2026-11-21T12:00:02Z") == []
    assert await between("2026-11-21T17:00:02+05:00", "2026-11-21T17:00:04+05:00") == some
    assert await between("2026-11-21T12:00:02.001Z", "2026-11-21T12:00:03Z") == []
    assert len(await between("2026-11-20T00:00:00Z", "")) == 11
    assert await between("", "2026-11-21T12:00:01Z") == ["t-1"]


async def test_old_callers_count_rows(counter: Counter) -> None:
    for number in range(2, 6):
        await counter.deposit(5, f"t-{number}")
    for whose in ({}, {"playerExternalId": "aigerim"}):
        rows = await listed(counter, **whose, offset=2, limit=2)
        assert [row["externalId"] for row in rows] == ["t-3", "t-4"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "ten"),
        ("offset", "-1"),
        ("cursor", "nonsense"),
        ("cursor", "W10"),
        ("cursor", "WyJzaXRlIiwgeyIwIjogWzAsIDEuNSwgIngiXX1d"),
        ("startTime", "yesterday"),
        ("endTime", "9999-99-99"),
        ("type", "bets"),
        ("status", "fine"),
        ("source", "us"),
        ("currency", "ZZZ"),
        ("includeRefused", "perhaps"),
        ("roundId", "x" * 129),
    ],
)
async def test_a_wrong_parameter_is_named(counter: Counter, name: str, value: str) -> None:
    status, told = await counter.get("/v1/transaction/list", **{name: value})
    assert (status, told["code"], told["data"]["field"]) == (400, "VALIDATION", name)


async def test_a_cursor_of_another_history_is_refused(counter: Counter) -> None:
    _, told = await counter.get("/v1/transaction/list", playerExternalId="aigerim")
    status, told = await counter.get("/v1/transaction/list", cursor=told["data"]["resumeCursor"])
    assert (status, told["data"]["field"]) == (400, "cursor")


async def test_the_effect_matrix_is_published(counter: Counter) -> None:
    _, told = await counter.get("/v1/wallet/effect-matrix")
    assert told["data"]["rows"]["win of B"]["none"] == "BET_NOT_FOUND"


async def test_only_differences_come_back(counter: Counter) -> None:
    await counter.deposit(100, "ok")
    await counter.deposit(200, "amount")
    await counter.deposit(300, "currency")
    await counter.deposit(400, "unknown-there")
    await counter.transfer("withdraw", 99_999, "refused")
    await counter.play("bet", "a-bet", amount=5)
    items = [
        {"id": "ok", "amount": 100, "currency": "KZT"},
        {"id": "t-1", "amount": 10_000, "currency": "KZT"},
        {"id": "amount", "amount": 201, "currency": "KZT"},
        {"id": "currency", "amount": 300, "currency": "USD"},
        {"id": "refused", "amount": 99_999, "currency": "KZT"},
        {"id": "never-came", "amount": 1, "currency": "KZT"},
        {"id": "a-bet", "amount": 5, "currency": "KZT"},
    ]
    period = {"from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z"}

    async def found(**more: object) -> dict[str, str]:
        status, told = await counter.post("/v1/reconcile", {"items": items} | more, scope="read")
        assert status == 200, told
        return {one["id"]: one["difference"] for one in told["data"]["differences"]}

    wrong = {
        "amount": "amount",
        "currency": "currency",
        "refused": "refused_here",
        "never-came": "missing_here",
    }
    assert await found() == wrong
    assert await found(period=period) == wrong | {"unknown-there": "missing_there"}
    assert await found(period=period, source="operator") == wrong | {
        "unknown-there": "missing_there",
        "a-bet": "missing_here",
    }
    elsewhen = {"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z"}
    assert await found(period=elsewhen) == wrong


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "items"),
        ({"items": [{}] * 10_001}, "items"),
        ({"items": ["t-1"]}, "items.0"),
        ({"items": [{"id": "a", "amount": 1.0, "currency": "KZT"}]}, "items.0.amount"),
        ({"items": [{"amount": 1, "currency": "KZT"}]}, "items.0.id"),
        ({"items": [], "source": "everybody"}, "source"),
        ({"items": [], "source": []}, "source"),
        ({"items": [], "source": "operator", "providerId": "acme"}, "providerId"),
        ({"items": [], "providerId": "x" * 129}, "providerId"),
        ({"items": [{"id": "a", "amount": 1, "currency": "KZT", "winAmount": -1}]}, "items.0.winAmount"),
        ({"items": [], "period": {"from": "2026-11-21T00:00:00Z"}}, "period"),
        ({"items": [], "period": {"from": 5, "to": 6}}, "from"),
    ],
)
async def test_a_book_that_cannot_be_read_is_named(counter: Counter, body: Json, field: str) -> None:
    status, told = await counter.post("/v1/reconcile", body, scope="read")
    assert (status, told["code"], told["data"]["field"]) == (400, "VALIDATION", field)


async def test_ten_thousand_lines_are_held_against_ours(counter: Counter) -> None:
    items = [{"id": f"none-{number}", "amount": 1, "currency": "KZT"} for number in range(10_000)]
    status, told = await counter.post("/v1/reconcile", {"items": items}, scope="read")
    assert (status, told["data"]["checked"]) == (200, 10_000)
    assert {one["difference"] for one in told["data"]["differences"]} == {"missing_here"}


async def test_money_of_the_cashier_stands_in_the_history(counter: Counter) -> None:
    made = await counter.player()
    async with counter.pipes.database.transaction() as tx:
        wish = ledger.HoldRequest("payments", "pay_1", made["playerCode"], Money(400, "KZT"), "pay_1")
        await ledger.hold(tx, counter.site_id, wish, at=counter.clock.now())
    await counter.deposit(1)
    rows = await listed(counter, playerExternalId="aigerim", type="cashier")
    assert [(row["amount"], row["balanceBefore"], row["balanceAfter"]) for row in rows] == [
        (400, 10_000, 9600)
    ]
