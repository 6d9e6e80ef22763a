"""A plan that was made while a table was empty does not outlive its growth, though nobody has analysed it."""

from sqlalchemy import Integer, Text, bindparam, column, select, table, text

from app.plumbing.database import Built, Database, SessionSettings

YOUNG = table("young", column("site_id", Integer), column("id", Text), column("facts", Text))
BY_ID = Built(select(YOUNG).where(YOUNG.c.site_id == bindparam("of_site"), YOUNG.c.id == bindparam("of_id")))
# As payments are: the list of a site's begins with the site as well.
MADE = """
CREATE TABLE young (
  site_id integer, id text, made_at timestamptz, facts char(900), PRIMARY KEY (site_id, id)
);
CREATE INDEX listed ON young (site_id, made_at, id);
ALTER TABLE young SET (autovacuum_enabled = off);
"""
GROWN = "INSERT INTO young SELECT 1, 'dep_' || n, now(), '' FROM generate_series(1, 5000) AS n"
KEPT = text("SELECT name FROM pg_prepared_statements WHERE statement LIKE 'SELECT young.%'")


async def looked_up(database: Database, times: int) -> None:
    for _ in range(times):
        async with database.singly() as tx:
            await tx.first(BY_ID, {"of_site": 1, "of_id": "dep_7"})


async def index_used(database: Database) -> str:
    """Of the plan that the one connection has kept."""
    async with database.transaction() as tx:
        rows = await tx.raw.fetch(f"EXPLAIN EXECUTE \"{await tx.scalar(KEPT)}\" (1, 'dep_7')")
    return str(rows[0][0]).partition(" using ")[2].split()[0]


async def test_a_plan_of_an_empty_table_is_made_anew_as_it_grows(clone_url: str) -> None:
    async with Database(clone_url, SessionSettings(role=""), pool_size=1) as database:
        async with database.transaction() as tx:
            await tx.raw.execute(MADE)
        await looked_up(database, 20)
        assert await index_used(database) == "listed"
        async with database.transaction() as tx:
            await tx.raw.execute(GROWN)
        assert await index_used(database) == "listed"
        await looked_up(database, 128)
        assert await index_used(database) == "young_pkey"
