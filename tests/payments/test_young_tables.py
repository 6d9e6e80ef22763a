"""Plans that are made while the tables are empty: each row is found by what tells it apart."""

import re

import pytest

from app.payments import fences, notices, offers, queries, steps
from app.plumbing.database import Built, Database
from app.webhooks import turns

# Of these a site, an account of a provider, has many.
SHARED = {"site_id", "account", "kind", "direction", "currency"}
STATEMENTS: dict[str, tuple[Built, tuple[str, ...]]] = {
    "a payment is locked": (queries._ONE_LOCKED, ()),
    "a payment is changed": (steps._CHANGE, ("ask_at", "of_site", "of_payment")),
    "a wish is looked up": (offers._WISHED, ()),
    "a deposit goes on": (fences._LOCKED_FOR_ORDER, ()),
    "whose numbers are they": (fences._BOTH, ()),
    "a notice's try": (notices._LOCKED, ()),
    "a notification's neighbours": (turns.WITH_NEIGHBOURS, ()),
}


@pytest.mark.parametrize("name", STATEMENTS)
async def test_a_row_is_found_by_what_tells_it_apart(database: Database, name: str) -> None:
    statement, names = STATEMENTS[name]
    its = statement.text(names)
    asked = ", ".join(["NULL"] * len(its.places))
    async with database.transaction() as tx:
        await tx.raw.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        await tx.raw.execute(f"PREPARE its AS {its.sql}")
        plan = await tx.raw.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE its ({asked})")
        await tx.raw.execute("DEALLOCATE its")
    growing = {"payment", "attempt", "webhook"}
    found = [
        one
        for one in nodes(plan[0]["Plan"])
        if one.get("Relation Name") in growing and "Scan" in str(one["Node Type"])
    ]
    assert found, "it reads one of the tables that grow"
    for one in found:
        condition = str(one.get("Index Cond", ""))
        by = set(re.findall(r"\((?:\w+\.)?(\w+) = ", condition))
        assert by - SHARED, (
            f"{one['Node Type']} of {one['Relation Name']} {one.get('Index Name')}: {condition}"
        )


def nodes(plan: dict[str, object]) -> list[dict[str, object]]:
    """A plan's node and all beneath it."""
    beneath = plan.get("Plans", [])
    assert isinstance(beneath, list)
    return [plan, *(node for one in beneath for node in nodes(one))]
