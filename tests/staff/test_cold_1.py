"""Nobody is handed a token that opens nothing."""

import pytest

from app import staff
from tests.staff.desk import Desk


async def test_somebody_who_was_sent_away_gets_no_new_token(desk: Desk) -> None:
    """It is printed "once" and noted as replaced, and is refused wherever it is shown."""
    gone = await desk.operator("gone")
    async with desk.database.transaction() as tx:
        await staff.disable_operator(tx, gone.operator_id, at=desk.now)
    with pytest.raises(staff.OperatorDisabled):
        async with desk.database.transaction() as tx:
            await staff.new_token(tx, gone.operator_id, at=desk.now)
