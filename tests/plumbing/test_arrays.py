import asyncpg
from hypothesis import given, settings
from hypothesis import strategies as st

from app.plumbing.database import Database, arrays

KINDS = ("text", "bytea", "boolean", "bigint")
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
ODD: list[list[object]] = [
    ["", "NULL", "null", None, '"', "\\", '\\"', "{a,b}", "a,b", "  ", "\n", "игрок", "\x1f"]
]
ROWS = st.lists(
    st.tuples(
        WORDS | st.none(), st.binary(max_size=8), st.booleans(), st.integers(-(2**63), 2**63 - 1) | st.none()
    ),
    max_size=8,
)


async def read(raw: asyncpg.Connection, kinds: tuple[str, ...], columns: list[list[object]]) -> list[object]:
    row = await raw.fetchrow(f"SELECT {arrays.placed(kinds, 1)}", *arrays.written(kinds, columns))
    return list(row)


async def test_postgresql_reads_back_what_was_written(database: Database) -> None:
    async with database.transaction() as tx:
        raw = tx.raw
        assert await read(raw, ("text",), ODD) == ODD
        assert await read(raw, KINDS, [[], [], [], []]) == [[], [], [], []]

        async def one(rows: list[tuple[object, ...]]) -> None:
            columns = [[row[at] for row in rows] for at in range(len(KINDS))]
            assert await read(raw, KINDS, columns) == columns

        for example in examples():
            await one(example)


def examples() -> list[list[tuple[object, ...]]]:
    """Rows as hypothesis thinks them up; PostgreSQL is asked afterwards, in one transaction."""
    found: list[list[tuple[object, ...]]] = []

    @settings(max_examples=150, database=None)
    @given(ROWS)
    def collect(rows: list[tuple[object, ...]]) -> None:
        found.append(rows)

    collect()
    return found
