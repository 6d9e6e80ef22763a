"""Attack: the role of the reports reads about people what is kept from it one table further."""

import pytest

from tests.payments.world import World
from tests.plumbing.test_roles import member

ADDRESS = "127.0.0.1"  # of the player, as the merchant told it


@pytest.mark.parametrize("role", ["cashier_reader", "cashier_auditor"])
async def test_reports_read_nothing_about_a_person(world: World, clone_url: str, role: str) -> None:
    """`payment.customer_ip` is kept from both roles (payments_grants.sql: "nothing about a person")."""
    await world.deposit()
    places = {
        "callout.request": "SELECT DISTINCT request->>'customer_ip' FROM callout",
        "webhook.fields": "SELECT DISTINCT fields->>'customer_ip' FROM webhook WHERE fields IS NOT NULL",
    }
    found = {}
    async with member(clone_url, role) as session:
        for place, query in places.items():
            try:
                found[place] = [row[0] for row in await session.fetch(query)]
            except Exception as error:  # noqa: BLE001
                found[place] = [type(error).__name__]
    assert not any(ADDRESS in values for values in found.values()), found
