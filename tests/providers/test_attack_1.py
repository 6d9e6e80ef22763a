"""Attack: what a provider may sign and our intake does not see: JSON in UTF-16, and instants beyond the calendar."""

import json

from app.providers.gateways.sandbox import GATEWAY
from tests.providers.gate import Gate

CARD = "4111111111111111"


async def test_a_card_number_in_a_notice_in_utf_16_is_not_stored(gate: Gate) -> None:
    """The gateway reads such a notice (json.loads finds the encoding out); the mask looks for ASCII digits."""
    told = {"notice_id": "ntc_1", "reference": "att_1", "status": "pending", "message": f"card {CARD}"}
    body = json.dumps(told).encode("utf-16")
    assert (await gate.knock(body)).status_code == 200
    [row] = await gate.rows("SELECT body FROM notice")
    assert CARD not in bytes(row.body).replace(b"\x00", b"").decode(errors="replace")
