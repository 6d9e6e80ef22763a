"""How the demo shop tells the cashier to pay a withdrawal: payout initiation, as a merchant does it.

`POST /api/payout/` (docs/connect.md). As long as no answer is understood the same message is sent again: the
order number is the same, so the cashier pays once.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlencode

from app.demo.merchant_books import Withdrawal, WithdrawalStatus
from app.demo.merchant_shop import InitiationManner, Shop
from app.kernel import signing
from app.plumbing.http import CallFailed

__all__ = ["initiate"]

DEADLINE_SECONDS: Final = 10.0
ORDER_DIGITS: Final = 30  # protocol.md 3.3
STORM_CALLS: Final = 20
NOT_FOUND, TOO_MANY, SERVER_ERRORS = 404, 429, 500
M = InitiationManner


class Outcome(StrEnum):
    """How one call ended."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Said:
    """What the cashier said. `may_change`: worth asking again by itself, the same question."""

    outcome: Outcome
    order_id: str = ""
    reason: str = ""
    may_change: bool = False


async def initiate(shop: Shop, asked: Withdrawal, *, is_patient: bool = True) -> None:
    """Tell the cashier to pay an approved withdrawal, again while nothing is understood.

    The outcome is written down. A refusal puts the withdrawal back before the owner. The impatient asks once.
    """
    try:
        said = await _call_until_understood(shop, asked, shop.settings.pauses_seconds if is_patient else ())
    finally:
        asked.is_being_sent = False
    if said.outcome is Outcome.ACCEPTED:
        if asked.status in {WithdrawalStatus.REQUESTED, WithdrawalStatus.APPROVED}:
            asked.status = WithdrawalStatus.INITIATED
        _must_agree(asked, said.order_id)
    elif asked.status is WithdrawalStatus.APPROVED:
        asked.problem = said.reason
        if said.outcome is Outcome.REFUSED:
            asked.status = WithdrawalStatus.REQUESTED


def _must_agree(asked: Withdrawal, order_id: str) -> None:
    if asked.order_id not in {"", order_id}:
        asked.problem = f"The cashier gave two numbers: {asked.order_id} and {order_id}."
    else:
        asked.order_id = order_id


async def _call_until_understood(shop: Shop, asked: Withdrawal, pauses_seconds: tuple[float, ...]) -> Said:
    said = await _call_in_manner(shop, asked)
    for pause in pauses_seconds:
        if not said.may_change:
            break
        await asyncio.sleep(pause)
        said = await _call_in_manner(shop, asked)
    return said


async def _call_in_manner(shop: Shop, asked: Withdrawal) -> Said:
    fields = _fields(shop, asked)
    match shop.initiation:
        case M.LOST_ANSWER:
            await _call(shop, fields)
            return await _call(shop, fields)
        case M.AGAIN:
            return _of_all(asked, [await _call(shop, fields), await _call(shop, fields)])
        case M.STORM:
            calls = (_call(shop, fields) for _ in range(STORM_CALLS))
            return _of_all(asked, await asyncio.gather(*calls))
        case _:
            return await _call(shop, fields)


def _of_all(asked: Withdrawal, answers: Sequence[Said]) -> Said:
    """Take a yes for all of them, if there is one; two of them must name one number."""
    yes = [said for said in answers if said.outcome is Outcome.ACCEPTED]
    for said in yes:
        _must_agree(asked, said.order_id)
    return yes[0] if yes else answers[0]


def _fields(shop: Shop, asked: Withdrawal) -> dict[str, str]:
    player = shop.books.player(asked.login)
    fields = {
        "action": "payout",
        "site_id": str(shop.settings.site_id),
        "site_login": asked.login,
        "amount": str(asked.amount.minor),
        "currency": asked.amount.currency,
        "external_id": asked.external_id,
        "customer_purse": asked.purse,
        "remember_customer_purse": asked.remember_purse,
        "comment": f"#{asked.external_id[-6:]}",
        "first_name": player.first_name,
        "last_name": player.last_name,
        "country_code": "KZ",
    }
    match shop.initiation:
        case M.EVERY_FIELD:
            fields |= {**EVERY_OTHER_FIELD, "owner_name": player.name}
        case M.WRONG_AMOUNT:
            fields["amount"] = str(asked.amount.minor + 1)
        case M.WRONG_CURRENCY:
            fields["currency"] = "USD" if asked.amount.currency != "USD" else "EUR"
        case M.WRONG_LOGIN:
            fields["site_login"] = next(login for login in shop.books.players if login != asked.login)
        case M.UNKNOWN_ORDER:
            fields["external_id"] = f"{asked.external_id}x"
        case M.NO_ORDER:
            del fields["external_id"]
        case M.CARD_NUMBER:
            fields["customer_purse"] = "4111111111111111"
        case M.EXTRA_FIELD:
            fields["payment_group_id"] = "1"
        case _:
            pass
    return {name: value for name, value in fields.items() if value}


EVERY_OTHER_FIELD: Final[Mapping[str, str]] = {
    "invoice_id": "9050976",
    "user_preset_id": "100",
    "customer_ip": "127.0.0.1",
    "billing_phone": "+77011234567",
    "owner_phone": "+77011234567",
    "owner_address": "Abay Avenue 10, Almaty",
    "bank": "Demo Bank",
    "document_id": "AB1234567",
    "birthdate": "01-02-1989",
    "external_value1": "demo",
}


async def _call(shop: Shop, fields: Mapping[str, str]) -> Said:
    settings = shop.settings
    is_form = shop.initiation is M.AS_FORM
    signature = signing.sign(fields, settings.salt)
    if shop.initiation is M.BAD_SIGNATURE:
        signature = signature[::-1]
    content = {**fields, "signature": signature}
    body = urlencode(content) if is_form else json.dumps(content, ensure_ascii=False)
    media_type = "application/x-www-form-urlencoded" if is_form else "application/json"
    noted: dict[str, Any] = {"at": settings.clock.now().isoformat(), "sent": content}
    shop.initiations.append(noted)
    try:
        reply = await shop.http.call(
            "POST",
            f"{settings.base_url}/api/payout/",
            body=body.encode(),
            headers={"content-type": media_type},
            deadline_seconds=DEADLINE_SECONDS,
            peer=f"payouts {settings.base_url}",
        )
    except CallFailed as failure:
        said = Said(Outcome.UNKNOWN, reason=f"The cashier did not answer ({failure.kind}).", may_change=True)
    else:
        noted |= {"status": reply.status, "answer": reply.body.decode(errors="replace")}
        said = _read(reply.status, reply.body)
    noted |= {"outcome": said.outcome, "reason": said.reason}
    return said


def _read(status: int, body: bytes) -> Said:
    """Read the answer. Only a clear yes is a yes, and only a clear no is a no."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    match answer:
        case {"success": True, "code": 0, "transaction_id": int(), "order_id": str(order_id)} if (
            order_id.isascii() and order_id.isdigit() and len(order_id) == ORDER_DIGITS
        ):
            return Said(Outcome.ACCEPTED, order_id=order_id)
        case {"success": False, "errors": str(errors)} if status < SERVER_ERRORS and status != TOO_MANY:
            # The cashier may not have written our answer to request_payout yet: its yes overtook it.
            return Said(Outcome.REFUSED, reason=errors, may_change=status == NOT_FOUND)
        case _:
            reason = f"The cashier's answer was not understood (HTTP {status})."
            return Said(Outcome.UNKNOWN, reason=reason, may_change=True)
