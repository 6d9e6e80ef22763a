"""Moving money for who has locked and decided, on a real PostgreSQL and as the application's role."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg
import pytest
from sqlalchemy import text

from app import ledger
from app.kernel.clock import MovableClock
from app.ledger.rules import UndeclaredMovement
from app.plumbing.database import Database, Transaction, asyncpg_dsn
from tests import invariants
from tests.ledger.examples import CASH, PLAYER, SITE, balance, deposit, posted

BONUS = ledger.AccountName(PLAYER, ledger.Purpose.PLAYER_BONUS, "KZT")
FLOAT = ledger.AccountName("site", ledger.Purpose.OPERATOR_FLOAT, "KZT")
HOUSE = ledger.AccountName("site", ledger.Purpose.HOUSE_GAMING, "KZT")
Ids = dict[ledger.AccountName, int]


@pytest.fixture
async def ids(database: Database, now: datetime) -> Ids:
    async with database.transaction() as tx:
        return await ledger.open_accounts(tx.raw, SITE, [CASH, BONUS, FLOAT, HOUSE], at=now)


def moving(
    ids: Ids,
    key: str,
    movement: ledger.Movement,
    minor: int,
    source: ledger.AccountName,
    target: ledger.AccountName,
) -> ledger.Move:
    return ledger.Move(movement, minor, "KZT", ids[source], ids[target], key, "wop_1")


async def moved(
    database: Database, moves: Sequence[ledger.Move], at: datetime, *, site_id: int = SITE
) -> datetime:
    async def work(tx: Transaction) -> datetime:
        touched = [one.source_account_id for one in moves] + [one.target_account_id for one in moves]
        await tx.raw.fetch("SELECT FROM ledger_lock($1, $2)", site_id, touched)
        return await ledger.move(tx.raw, site_id, moves, source="wallet", actor="game", at=at)

    return await database.retried(work)


async def test_an_account_is_opened_once_and_keeps_its_id(
    database: Database, now: datetime, ids: Ids
) -> None:
    assert len(set(ids.values())) == 4
    other = ledger.AccountName("plr_b", ledger.Purpose.PLAYER_CASH, "KZT")
    async with database.transaction() as tx:
        again = await ledger.open_accounts(tx.raw, SITE, [BONUS, other, CASH, BONUS], at=now)
        elsewhere = await ledger.open_accounts(tx.raw, SITE + 1, [CASH], at=now)
        assert await ledger.open_accounts(tx.raw, SITE, [], at=now) == {}
    assert (again[BONUS], again[CASH]) == (ids[BONUS], ids[CASH])
    assert again[other] not in ids.values()
    assert elsewhere[CASH] not in {*ids.values(), again[other]}


async def test_those_who_open_one_account_at_once_get_one(database: Database, now: datetime) -> None:
    async def work(tx: Transaction) -> int:
        return (await ledger.open_accounts(tx.raw, SITE, [CASH], at=now))[CASH]

    assert len(set(await asyncio.gather(*(database.retried(work) for _ in range(20))))) == 1


async def test_a_batch_moves_in_its_order_and_every_line_follows(
    database: Database, now: datetime, ids: Ids
) -> None:
    await moved(
        database,
        [
            moving(ids, "in", ledger.TRANSFER_IN, 100, FLOAT, CASH),
            moving(ids, "gift", ledger.GRANT_BONUS, 30, HOUSE, BONUS),
            moving(ids, "bet", ledger.BET_CASH, 100, CASH, HOUSE),
            moving(ids, "bet'", ledger.BET_BONUS, 10, BONUS, HOUSE),
            moving(ids, "win", ledger.WIN_CASH, 250, HOUSE, CASH),
        ],
        now,
    )
    for name, held in ((CASH, 250), (BONUS, 20), (FLOAT, -100), (HOUSE, -170)):
        assert await balance(database, name) == held
    async with database.reading() as reader:
        cash = await ledger.account_statement(reader, SITE, CASH)
        house = await ledger.account_statement(reader, SITE, HOUSE)
        rows = await reader.all(text("SELECT source, actor, because, outcome, fingerprint FROM transfer"))
    assert [(line.version, line.amount.minor, line.balance_after.minor) for line in cash] == [
        (1, 100, 100),
        (2, -100, 0),
        (3, 250, 250),
    ]
    assert [(line.version, line.balance_after.minor) for line in house] == [
        (1, -30),
        (2, 70),
        (3, 80),
        (4, -170),
    ]
    assert [line.kind for line in cash] == ["wallet.deposit", "wallet.bet_cash", "wallet.win_cash"]
    assert [line.transfer_id for line in house] == sorted(line.transfer_id for line in house)
    assert {tuple(row) for row in rows} == {("wallet", "game", "wop_1", "posted", b"")}
    await invariants.hold(database)


async def test_currencies_may_be_mixed_but_not_in_one_transfer(
    database: Database, now: datetime, ids: Ids
) -> None:
    names = [ledger.AccountName(name.owner, name.purpose, "USD") for name in (FLOAT, CASH)]
    async with database.transaction() as tx:
        dollars = await ledger.open_accounts(tx.raw, SITE, names, at=now)
    tenge = moving(ids, "a", ledger.TRANSFER_IN, 5, FLOAT, CASH)
    usd = ledger.Move(ledger.TRANSFER_IN, 7, "USD", dollars[names[0]], dollars[names[1]], "b", "x")
    await moved(database, [tenge, usd], now)
    assert [await balance(database, name) for name in (CASH, names[1])] == [5, 7]
    crossed = usd._replace(source_account_id=ids[FLOAT], key="c")
    with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="transfer c refused"):
        await moved(database, [tenge._replace(key="d"), crossed], now)
    assert await balance(database, CASH) == 5


async def test_nothing_to_move_is_nothing_done(database: Database, now: datetime) -> None:
    assert await moved(database, [], now) == now


async def test_a_key_is_used_once(database: Database, now: datetime, ids: Ids) -> None:
    first = moving(ids, "a", ledger.TRANSFER_IN, 100, FLOAT, CASH)
    await moved(database, [first], now)
    for again in ([first], [first._replace(key="b"), first], [first._replace(key="c")] * 2):
        with pytest.raises(asyncpg.UniqueViolationError, match="uq_transfer_site_id_source_key"):
            await moved(database, again, now)
    assert await balance(database, CASH) == 100


async def test_what_is_not_there_is_not_moved(database: Database, now: datetime, ids: Ids) -> None:
    bet = moving(ids, "a", ledger.BET_CASH, 1, CASH, HOUSE)
    with pytest.raises(asyncpg.CheckViolationError, match="under its floor"):
        await moved(database, [bet], now)


async def test_an_undeclared_movement_is_a_fault_of_the_code(
    database: Database, now: datetime, ids: Ids
) -> None:
    forged = ledger.Movement("wallet.deposit", ledger.Purpose.HOUSE_GAMING, ledger.Purpose.PLAYER_CASH)
    gift = ledger.Movement("gift", ledger.Purpose.HOUSE_GAMING, ledger.Purpose.PLAYER_CASH)
    same = ledger.Movement("wallet.deposit", ledger.Purpose.OPERATOR_FLOAT, ledger.Purpose.PLAYER_CASH)
    for movement in (forged, gift):
        moves = [
            moving(ids, "a", ledger.TRANSFER_IN, 1, FLOAT, CASH),
            moving(ids, "b", movement, 1, HOUSE, CASH),
        ]
        with pytest.raises(UndeclaredMovement):
            await moved(database, moves, now)
    assert await balance(database, CASH) == 0
    await moved(database, [moving(ids, "c", same, 1, FLOAT, CASH)], now)


async def test_the_instant_is_told_and_never_goes_back(
    database: Database, clock: MovableClock, ids: Ids
) -> None:
    clock.advance(60)
    ahead = clock.now()
    assert await moved(database, [moving(ids, "a", ledger.TRANSFER_IN, 1, FLOAT, CASH)], ahead) == ahead
    # Also because of the other account only, which nobody locked before.
    bonus = moving(ids, "b", ledger.GRANT_BONUS, 1, HOUSE, BONUS)
    assert await moved(database, [bonus], ahead + timedelta(seconds=9)) == ahead + timedelta(seconds=9)
    bet = moving(ids, "c", ledger.BET_CASH, 1, CASH, HOUSE)
    assert await moved(database, [bet], ahead - timedelta(seconds=30)) == ahead + timedelta(seconds=9)
    await invariants.hold(database)


async def test_only_accounts_with_a_floor_are_locked_early(
    database: Database, clone_url: str, ids: Ids
) -> None:
    everything = list(ids.values())
    probe = "SELECT FROM account WHERE site_id = $1 AND account_id = $2 FOR UPDATE NOWAIT"
    async with database.transaction() as tx:
        assert await tx.raw.fetch("SELECT * FROM ledger_lock($1, $2)", SITE + 1, everything) == []
        rows = await tx.raw.fetch("SELECT * FROM ledger_lock($1, $2)", SITE, everything + everything)
        assert [row["account_id"] for row in rows] == sorted((ids[CASH], ids[BONUS]))
        owner = await asyncpg.connect(asyncpg_dsn(clone_url))
        for name in (FLOAT, HOUSE):
            assert len(await owner.fetch(probe, SITE, ids[name])) == 1
        for name in (CASH, BONUS):
            with pytest.raises(asyncpg.LockNotAvailableError):
                await owner.fetch(probe, SITE, ids[name])
        await owner.close()


async def test_the_hot_account_and_the_slow_rooms_never_deadlock(
    database: Database, now: datetime, ids: Ids
) -> None:
    names = [ledger.AccountName(f"plr_{number}", ledger.Purpose.PLAYER_CASH, "KZT") for number in range(6)]
    async with database.transaction() as tx:
        players = await ledger.open_accounts(tx.raw, SITE, names, at=now)
    everything = ids | players

    async def wallet(number: int) -> None:
        wanted = [names[(number * step) % 6] for step in (1, 5, 2)]
        moves = [
            moving(everything, f"{number}.{place}", ledger.TRANSFER_IN, 2, FLOAT, name)
            for place, name in enumerate(wanted)
        ]
        back = [
            moving(everything, f"{number}.{place}'", ledger.BET_CASH, 1, name, HOUSE)
            for place, name in enumerate(wanted)
        ]
        await moved(database, moves + back, now)

    async def payments(number: int) -> None:
        wishes = [deposit(f"{number}.{place}", 1, player=f"plr_{(number + place) % 6}") for place in range(3)]
        await posted(database, wishes, now)

    await asyncio.gather(*(work(number) for number in range(30) for work in (wallet, payments)))
    async with database.reading() as reader:
        counted = await reader.scalar(
            text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        )
    assert counted == 0
    assert await balance(database, FLOAT) == -180
    assert await balance(database, HOUSE) == 90
    await invariants.hold(database)


@pytest.mark.parametrize(
    "settings",
    [
        {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_hashjoin": "off"},
        {"plan_cache_mode": "force_generic_plan"},
        {"plan_cache_mode": "force_custom_plan"},
    ],
)
async def test_plans_made_on_empty_tables_serve_when_the_tables_have_grown(
    clone_url: str, now: datetime, settings: dict[str, str]
) -> None:
    session = await asyncpg.connect(asyncpg_dsn(clone_url), server_settings=settings)
    fetched = """
    SELECT sum(pg_stat_get_xact_tuples_fetched(indexrelid)) FROM pg_index
     WHERE indrelid IN ('account'::regclass, 'transfer'::regclass)
    """

    async def batch(first: int) -> int:
        """Pay in to ten players, all by the same plans; how many rows were looked at for it."""
        owners = [f"plr_{number}" for number in range(first, first + 10)]
        async with session.transaction():
            house, *ids = await session.fetchval(
                "SELECT ledger_open($1, $2, $3, $4, $5, $6)",
                SITE,
                ["site", *owners],
                ["operator_float"] + ["player_cash"] * 10,
                ["KZT"] * 11,
                [None] + [0] * 10,
                now,
            )
            await session.fetch("SELECT FROM ledger_lock($1, $2)", SITE, ids)
            moves = [
                ledger.Move(ledger.TRANSFER_IN, 1, "KZT", house, player, f"{first}.{player}", "x")
                for player in ids
            ]
            await ledger.move(session, SITE, moves, source="wallet", actor="x", at=now)
            keys = [one.key for one in moves]
            known = await session.fetch(
                "SELECT * FROM ledger_known_keys($1, $2, $3)", SITE, ["wallet"] * 10, keys
            )
            assert len(known) == 10
            return int(await session.fetchval(fetched))

    await batch(0)
    await session.execute(
        "INSERT INTO account (site_id, owner, purpose, currency, floor_minor, opened_at, moved_at) "
        "SELECT 7, 'x' || i, 'player_cash', 'KZT', 0, now(), now() FROM generate_series(1, 3000) AS i"
    )
    assert 10 <= await batch(10) < 150
    await session.close()
