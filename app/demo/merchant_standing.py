"""Where the cashier says that the demo shop's withdrawals stand: our own API, read with the shop's token.

The notifications tell the ends of a withdrawal; its owner also wants to know what it waits for meanwhile.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode

from app.demo.merchant_books import Withdrawal, WithdrawalStatus
from app.demo.merchant_shop import Shop
from app.plumbing.http import CallFailed

__all__ = ["look", "waits_for"]

DEADLINE_SECONDS: Final = 2.0  # the owner's page waits for it
OK: Final = 200
MOST: Final = 200  # of one page of the API
# The page asks every second; two windows of it need not ask twice.
REST: Final = timedelta(milliseconds=500)
S = WithdrawalStatus
OPEN: Final = frozenset({S.REQUESTED, S.APPROVED, S.INITIATED})
WAITS: Final[Mapping[str, str]] = {
    "cooling": "The player may still take it back.",
    "awaiting_kyc": "The cashier checks who the player is.",
    "under_review": "Somebody at the cashier must approve it first.",
    "awaiting_second_approval": "A second person at the cashier must approve it first.",
}


async def look(shop: Shop) -> None:
    """Ask where every open withdrawal stands, unless that was just asked; what is not answered stays."""
    asked = [one for one in shop.books.withdrawals.values() if one.status in OPEN]
    now = shop.settings.clock.now()
    is_fresh = shop.looked_at is not None and now - shop.looked_at < REST
    if not asked or is_fresh or not shop.settings.api_token:
        return
    shop.looked_at = now
    wanted = [("kind", "payout"), ("status", "pending"), ("status", "processing"), ("limit", MOST)]
    try:
        reply = await shop.http.call(
            "GET",
            f"{shop.settings.base_url}/v1/payments?{urlencode(wanted)}",
            headers={"authorization": f"Bearer {shop.settings.api_token}"},
            deadline_seconds=DEADLINE_SECONDS,
            peer=f"payments {shop.settings.base_url}",
        )
        if reply.status == OK:
            _remember(asked, json.loads(reply.body)["data"])
    except (CallFailed, ValueError, LookupError, TypeError):
        return  # no answer, or none that can be understood: the next round asks again


def waits_for(asked: Withdrawal) -> str:
    """What a withdrawal waits for that is not the owner's to decide; nothing: it does not."""
    return WAITS.get(asked.stands, "") if asked.status in OPEN else ""


def _remember(asked: Iterable[Withdrawal], told: Iterable[Mapping[str, Any]]) -> None:
    stands = {str(payment["transaction_id"]): payment for payment in told}
    for one in asked:
        payment = stands.get(one.transaction_id, {"sub_status": "", "id": one.payment_id})
        one.stands, one.payment_id = payment["sub_status"], payment["id"]
