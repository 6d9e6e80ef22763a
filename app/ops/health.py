"""How the machine feels: alive, and fit to serve."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import structlog

from app.plumbing import queue, schema
from app.plumbing.database import Database, DatabaseDown

__all__ = ["Check", "checks"]

# An hour: the longest step of the webhook schedule; work due for longer means that nobody is working.
_QUEUE_AGE_LIMIT_SECONDS = 3_600
_ANSWER_SECONDS = 3  # a balancer that asks waits no longer
_log = structlog.get_logger("ops")
_SUPERUSER = "the login is a superuser: connect as a login that is a member of cashier_app only"
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


@dataclass(frozen=True, slots=True)
class Check:
    """One question about fitness and its answer; only `fatal` ones make the process not ready."""

    name: str
    is_well: bool
    detail: str
    fatal: bool = True


async def checks(database: Database, *, production: bool) -> list[Check]:
    """Ask the database, the migrations, the queue, the durability settings and who we are there.

    Never raises for a database that is down.
    """
    try:
        async with asyncio.timeout(_ANSWER_SECONDS), database.reading() as reader:
            revision = await schema.revision(reader)
            if revision != _wanted():
                at = revision or "nothing"
                detail = f"the database is at {at}, the code at {_wanted()}: run `cashier migrate`"
                return [
                    Check("database", is_well=True, detail="answers"),
                    Check("migrations", is_well=False, detail=detail),
                ]
            age = await queue.oldest_due_seconds(reader)
            settings = await schema.server_settings(reader, tuple(_DURABLE))
            is_superuser = await schema.is_superuser(reader)
    except (DatabaseDown, TimeoutError) as error:
        _log.warning("database.down", reason=repr(error.__cause__ or error))
        return [Check("database", is_well=False, detail="does not answer")]
    unsafe = _unsafe(settings)
    return [
        Check("database", is_well=True, detail="answers"),
        Check("migrations", is_well=True, detail=f"at {revision}"),
        Check(
            "queue", is_well=age < _QUEUE_AGE_LIMIT_SECONDS, detail=f"the oldest due job waits {age:.0f} s"
        ),
        Check(
            "role",
            is_well=not is_superuser,
            # The session's role is cashier_app, but whoever injects SQL could set it back to the login's.
            detail=_SUPERUSER if is_superuser else "the login is not a superuser",
            fatal=production,
        ),
        Check("durability", is_well=not unsafe, detail=unsafe or "commits reach the disk", fatal=production),
    ]


@cache
def _wanted() -> str:
    return schema.newest_revision()


def _unsafe(settings: Mapping[str, str]) -> str:
    return ", ".join(
        f"{name} = {settings.get(name)}" for name, wanted in _DURABLE.items() if settings.get(name) != wanted
    )
