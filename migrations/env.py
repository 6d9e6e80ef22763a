"""Runs migrations as the owner of the schema, through the same driver as the application.

The address is handed in by `app.cli` (or CASHIER_DATABASE_URL for the alembic command line). DDL waits at
most 2 s for a
lock: a migration that would stop the world gives up instead and can be run again.
"""

import asyncio
import importlib
import os
import pkgutil

from alembic import context
from sqlalchemy import Connection, make_url, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

import app
from app.plumbing.database import metadata

for room in pkgutil.iter_modules(app.__path__, "app."):
    if room.ispkg:
        for file in pkgutil.iter_modules(pkgutil.resolve_name(room.name).__path__, f"{room.name}."):
            if file.name.endswith("tables"):
                importlib.import_module(file.name)


def address() -> str:
    """Where to migrate: handed in by the caller, else the environment."""
    given = context.config.attributes.get("url") or os.environ.get("CASHIER_DATABASE_URL", "")
    return make_url(given).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def run(connection: Connection) -> None:
    """Run the chain in one transaction: all of it or nothing."""
    context.configure(connection=connection, target_metadata=metadata, compare_type=True)
    with context.begin_transaction():
        # Two starting processes migrate one by one: the second waits as long as the first needs.
        connection.execute(text("SELECT pg_advisory_xact_lock(7266342)"))
        connection.execute(text("SET LOCAL lock_timeout = '2s'"))
        context.run_migrations()


async def online() -> None:
    """Connect and run."""
    engine = create_async_engine(address(), poolclass=pool.NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


if context.is_offline_mode():
    context.configure(url=address(), target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
elif (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    asyncio.run(online())
