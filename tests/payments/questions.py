"""Which tries are asked about though they are over."""

from tests.payments.world import World


async def questioned(world: World) -> list[str]:
    """Their ids, the oldest first."""
    rows = await world.rows("SELECT attempt_id FROM attempt WHERE is_questioned ORDER BY number")
    return [row.attempt_id for row in rows]


async def agree(world: World) -> None:
    """A payment knows whether a question is open about any of its tries, and it shows."""
    wrong = await world.rows(
        "SELECT payment_id, is_questioned, attention FROM payment p "
        "WHERE is_questioned IS DISTINCT FROM EXISTS (SELECT FROM attempt a WHERE a.site_id = p.site_id "
        "AND a.payment_id = p.payment_id AND a.is_questioned) OR (is_questioned AND attention IS NULL)"
    )
    assert not wrong, wrong
