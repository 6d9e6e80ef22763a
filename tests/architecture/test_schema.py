"""The tables keep every rule of `schema.py`, and the migrated database is what the code declares."""

import asyncio
import importlib
import re
from collections.abc import Callable, Iterable

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import CheckConstraint, MetaData, text

from app.plumbing.database import Database, metadata
from tests.architecture.rules import ROOT, source_files
from tests.architecture.schema import SCHEMA_RULES

for path in source_files(ROOT, "app"):
    if " = Table(" in path.read_text():
        importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


@pytest.mark.parametrize("rule", SCHEMA_RULES, ids=lambda rule: rule.__name__)
def test_the_tables_keep(rule: Callable[[MetaData], Iterable[str]]) -> None:
    assert metadata.tables, "no table was found"
    trespasses = list(rule(metadata))
    assert not trespasses, "\n".join([rule.__doc__ or "", *trespasses])


async def test_the_database_checks_the_same_states_as_the_enums(owner_database: Database) -> None:
    # Long lists stand in functions, each with the name of its CHECK: see migrations/sql/words.sql.
    query = """
        SELECT conname AS name, coalesce(prosrc, pg_get_constraintdef(c.oid)) AS rule
          FROM pg_constraint c LEFT JOIN pg_proc p ON p.proname = conname AND p.pronamespace = connamespace
         WHERE contype = 'c'
    """
    async with owner_database.reading() as reader:
        rows = await reader.all(text(query))
    kept = {row.name: set(re.findall(r"'([^']*)'::text", row.rule)) for row in rows}
    declared = {
        str(constraint.name): {value.value for value in constraint.info["enum"]}
        for table in metadata.sorted_tables
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint) and "enum" in constraint.info
    }
    assert {name: kept.get(name) for name in declared} == declared


async def test_no_check_lists_words_by_itself(owner_database: Database) -> None:
    # Where hundreds of rows are written at once, a list is read once for all of them.
    query = """
        SELECT conname FROM pg_constraint
         WHERE contype = 'c' AND connamespace = 'public'::regnamespace
           AND conrelid::regclass::text NOT IN ('account', 'transfer', 'wallet_operation', 'wallet_round')
           AND pg_get_constraintdef(oid) LIKE '%ARRAY[%'
    """
    async with owner_database.reading() as reader:
        assert not await reader.all(text(query)), "read anew for each statement: see migrations/sql/words.sql"


async def test_every_function_of_a_check_has_a_search_path_of_its_own(owner_database: Database) -> None:
    query = """
        SELECT proname FROM pg_proc JOIN pg_constraint ON conname = proname AND connamespace = pronamespace
         WHERE contype = 'c' AND proconfig IS DISTINCT FROM '{"search_path=public, pg_temp"}'
    """
    async with owner_database.reading() as reader:
        assert not await reader.all(text(query)), "the session of its caller says what its words mean"


async def test_every_instant_and_sum_of_the_database_has_its_type(owner_database: Database) -> None:
    query = """
        SELECT table_name || '.' || column_name AS name, data_type AS type FROM information_schema.columns
        WHERE table_schema = 'public' AND (column_name LIKE '%\\_minor' AND data_type <> 'bigint'
            OR data_type IN ('timestamp without time zone', 'real', 'double precision', 'money'))
    """
    async with owner_database.reading() as reader:
        rows = await reader.all(text(query))
    assert not [f"{row.name} is {row.type}" for row in rows]


async def test_the_migrations_make_what_the_code_declares(clone_url: str) -> None:
    config = Config(ROOT / "alembic.ini")
    config.attributes["url"] = clone_url
    await asyncio.to_thread(command.check, config)
