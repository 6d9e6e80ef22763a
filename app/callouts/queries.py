"""What is known of the questions that were asked."""

from sqlalchemy import select

from app.callouts.model import CalloutState
from app.callouts.tables import callouts
from app.plumbing.database import Reader

__all__ = ["accepted_order"]


async def accepted_order(reader: Reader, site_id: int, payment_id: str) -> str:
    """The merchant's order number for a payment it accepted; empty when it accepted none."""
    found = await reader.scalar(
        select(callouts.c.external_id)
        .where(
            callouts.c.site_id == site_id,
            callouts.c.payment_id == payment_id,
            callouts.c.state == CalloutState.ACCEPTED,
        )
        .limit(1)
    )
    return str(found or "")
