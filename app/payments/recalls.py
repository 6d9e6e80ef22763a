"""What is open and asked about no more is not forgotten: when people are called again about it.

Giving up is ours; the money may be held still, and what people have only noted is theirs again after as long.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Integer, func, select

from app.payments.casebook import case_page
from app.payments.legs import Leg
from app.payments.model import CaseState
from app.payments.queries import Payment
from app.payments.schedules import ASK_HORIZON, PARTS_AT_PROVIDER, WAITS_FOR_US, asks_provider
from app.payments.states import OPEN, Kind, LegState, SubStatus
from app.payments.tables import payment_events
from app.plumbing.database import Reader

__all__ = ["again_at", "may_be_forgotten", "there_since"]

_WAITS_FOR_PEOPLE = WAITS_FOR_US - {SubStatus.APPROVED}


def may_be_forgotten(found: Payment) -> bool:
    """Whether something was sent of what is open: no end of it comes by itself once nobody is asked.

    So it is with what people have let go: whatever stands in its way is seen at its turns alone.
    """
    is_out = found.kind is not Kind.DEPOSIT or found.sent_at is not None
    return is_out and found.sub_status in OPEN and found.sub_status not in _WAITS_FOR_PEOPLE


async def again_at(reader: Reader, found: Payment, at: datetime) -> datetime | None:
    """When people are called again about something that nobody is asked about from now on.

    None while a case about it is open, for that is theirs; and where it is over, or was never sent.
    """
    if not may_be_forgotten(found):
        return None
    known = await case_page(reader, found.site_id, state=CaseState.OPEN, limit=1, payment_id=found.payment_id)
    return None if known.cases else at + ASK_HORIZON


async def there_since(reader: Reader, found: Payment, parts: Sequence[Leg]) -> list[datetime]:
    """Since when each part that is at its provider may be carried out there.

    Since it left; or since nobody knows of it again, where it had ended, or seemed not to have left.

    Args:
        reader: where to read.
        found: a withdrawal or refund that is open.
        parts: of a withdrawal.
    """
    left = [(part.leg, part.sent_at) for part in parts if part.state in PARTS_AT_PROVIDER]
    if found.kind is Kind.REFUND and asks_provider(found.kind, found.sub_status):
        left = [(0, found.sent_at)]
    if not left:
        return []
    its = payment_events.c
    of_leg = its.detail["leg_state"].astext
    # Of what has but one part the event names none.
    of_all = of_leg.is_(None) & (its.sub_status == SubStatus.UNKNOWN)
    became = (of_leg == LegState.UNKNOWN) | (of_all & (its.detail["path"][0].astext != SubStatus.UNKNOWN))
    leg = func.coalesce(its.detail["leg"].astext.cast(Integer), left[0][0])
    own = (its.site_id == found.site_id) & (its.payment_id == found.payment_id)
    rows = await reader.all(
        select(leg.label("leg"), func.max(its.recorded_at).label("at")).where(own, became).group_by(leg)
    )
    unknown_at = {row.leg: row.at for row in rows}
    return [max(sent_at, unknown_at.get(leg, sent_at)) for leg, sent_at in left if sent_at is not None]
